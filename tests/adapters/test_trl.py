"""TRL's own call path: two steps of a real GRPOTrainer on a two-layer random model."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from me2sdk.errors import ConfigurationError, ScoringError
from me2sdk.schema import Trace
from me2sdk.train.rewards.gated import FAILURES_IN_A_ROW

trl = pytest.importorskip("trl")

from me2sdk.adapters.trl import GatedReward, ThinkingReward  # noqa: E402

GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."


class Lengths:
    """Rewards the shorter trace, and remembers what it was asked."""

    name = "lengths"

    def __init__(self) -> None:
        self.questions: list[Any] = []

    def score(self, question: Any, traces: Sequence[Trace]) -> list[float]:
        self.questions += question
        if any("odd" in trace.reasoning for trace in traces):
            raise OSError("this trace is odd")
        return [-float(len(trace.reasoning)) for trace in traces]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from support.tiny_policy import tiny_policy

    folder = tiny_policy(tmp_path_factory.mktemp("policy"))
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    return folder


# TRL calls what transformers renamed.
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("conversational", [False, True])
def test_two_steps_of_a_trainer(policy: Path, tmp_path: Path, conversational: bool) -> None:
    import datasets
    import transformers

    def prompt(text: str) -> Any:
        return [{"role": "user", "content": text}] if conversational else text

    scorer = Lengths()
    rows = [
        {"prompt": prompt(f"Write {n}."), "question": f"What is {n}?", "reference": str(n)} for n in range(4)
    ]
    arguments = trl.GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=8,
        logging_steps=1,
        learning_rate=1e-2,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = trl.GRPOTrainer(
        model=str(policy),
        reward_funcs=[ThinkingReward(scorer), GatedReward(scorer, alpha=0.2)],
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    trainer.train()
    logs = [line for line in trainer.state.log_history if "reward" in line]
    assert len(logs) == 2
    for line in logs:
        assert -8 * 4 <= line["rewards/thinking_reward/mean"] < 0
        assert line["rewards/gated_reward/mean"] == 0  # random bytes are no right answers
        assert line["r_t"] == pytest.approx(line["rewards/thinking_reward/mean"])
        assert line["score_failures"] == 0
    assert any((weight != before[name]).any() for name, weight in trainer.model.named_parameters())
    assert {question[:8] for question in scorer.questions} == {"What is "}


async def test_the_thinking_reward_alone() -> None:
    metrics: dict[str, float] = {}
    extra: dict[str, list[Any]] = {}
    reward = ThinkingReward("mini")
    completions = [BAD, GOOD, ""]
    values = await reward(
        prompts=["12 * 13?"] * 3,
        completions=completions,
        completion_ids=[[1]] * 3,
        trainer_state=object(),
        log_metric=metrics.__setitem__,
        log_extra=extra.__setitem__,
    )
    assert values[0] is not None
    assert values[1] is not None
    assert values[0] < values[1]
    assert values[2] == values[0]  # silence is worth what the worst is
    assert metrics["r_t"] == pytest.approx((values[0] + values[1]) / 2)
    assert extra["r_t"] == [values[0], values[1], None]
    chats = [[{"role": "assistant", "content": text}] for text in completions]
    prompts = [[{"role": "user", "content": "12 * 13?"}]] * 3
    squashed = await ThinkingReward("mini", squash=True)(prompts, chats)
    assert squashed[1] == pytest.approx(1 / (1 + math.exp(-values[1])), abs=0.05)
    assert isinstance(reward, ThinkingReward)
    assert reward.__name__ == "thinking_reward"


async def test_a_score_that_fails_is_left_out_and_a_scorer_that_is_gone_ends_the_run() -> None:
    reward = ThinkingReward(Lengths())
    assert await reward(["?"] * 3, ["short", "odd one", "much longer"]) == [-5.0, None, -11.0]
    assert reward.score_failures == 1
    assert await reward(["?"], [""]) == [None]
    for _ in range(FAILURES_IN_A_ROW - 1):
        assert await reward(["?"], ["odd"]) == [None]
    with pytest.raises(ScoringError, match="the scorer is not there"):
        await reward(["?"], ["odd"])
    with pytest.raises(ConfigurationError, match="needs a scorer"):
        ThinkingReward(None)  # type: ignore[arg-type]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "me2sdk.adapters.trl")
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(ImportError, match=r'Run: pip install "me2sdk\[trl\]"'):
        import me2sdk.adapters.trl  # noqa: F401
