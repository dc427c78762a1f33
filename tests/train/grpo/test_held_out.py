from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from me2sdk.train import GatedReward, gated_reward

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from me2sdk.testing import tiny_reward_model  # noqa: E402
from me2sdk.train.grpo.held_out import measure, trainer_prompt  # noqa: E402


class Answers:
    """A policy that says what it is told to, a list of texts; None is a text that never ends."""

    device = "cpu"

    def __init__(self, tokenizer: Any, texts: list[str | None]) -> None:
        self.tokenizer = tokenizer
        self.texts = texts
        self.prompts: list[str] = []

    def generate(self, *, input_ids: Any, max_new_tokens: int, do_sample: bool, **rest: Any) -> Any:
        assert not do_sample
        self.prompts += self.tokenizer.batch_decode(input_ids, skip_special_tokens=True)
        said, self.texts = self.texts[: len(input_ids)], self.texts[len(input_ids) :]
        rows = []
        for text in said:
            ids = self.tokenizer(text or "x" * max_new_tokens, add_special_tokens=False)["input_ids"]
            ids = ids if text is None else [*ids, self.tokenizer.eos_token_id]
            rows.append(ids[:max_new_tokens] + [self.tokenizer.pad_token_id] * (max_new_tokens - len(ids)))
        return torch.cat([input_ids, torch.tensor(rows)], dim=1)


def test_accuracy_thinking_rewards_and_lengths(tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_reward_model(tmp_path), padding_side="left")
    question = "What is 3 + 4?"
    rows = [
        {"prompt": [{"role": "user", "content": question}], "question": question, "reference": "7"}
        for _ in range(4)
    ]
    model = Answers(tokenizer, ["3 + 4 = 7.\n#### 7", "#### 8", None, "#### 7"])
    reward = GatedReward("mini")
    one = measure(model, tokenizer, rows, reward, step=3, max_tokens=20, batch_size=3)
    assert (one.step, one.questions, one.accuracy, one.clipped) == (3, 4, 0.5, 0.25)
    assert one.length == (len("3 + 4 = 7.\n#### 7") + 6 + 20 + 6) / 4
    assert one.r_t is not None
    assert gated_reward(1, one.r_t) > 0.8
    assert [answer.right for answer in one.answers] == [True, False, False, True]
    assert [answer.r_t is None for answer in one.answers] == [False, True, True, False]
    assert [answer.length for answer in one.answers] == [len("3 + 4 = 7.\n#### 7"), 6, 20, 6]
    assert model.prompts == [question + "\n"] * 4
    silent = measure(Answers(tokenizer, ["", "?"]), tokenizer, rows[:2], reward, step=0, max_tokens=4)
    assert (silent.accuracy, silent.r_t) == (0, None)


def test_prompts_are_messages_where_the_tokenizer_knows_chat() -> None:
    class Chat:
        chat_template = "{{ messages }}"

    class Plain:
        chat_template = None

    row = {"prompt": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}], "reference": "1"}
    assert trainer_prompt(row, Chat()) == row
    assert trainer_prompt(row, Plain()) == {"prompt": "a\nb\n", "reference": "1"}
