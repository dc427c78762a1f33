"""What a build will cost, before anything is spent.

The calls for DAGs and judgements are not guessed: one made-up trace and pair goes through the real code, with a
model that answers at once and counts.
"""

from __future__ import annotations

import asyncio
from statistics import median_low
from typing import Any

from pydantic import BaseModel, ConfigDict

from me2sdk._builder import DAGBuilder
from me2sdk._judge import ajudge_pair
from me2sdk._prompts import question_text
from me2sdk._sync import run_sync
from me2sdk.annotate import aparse_dag
from me2sdk.dag import ReasoningDAG
from me2sdk.llm._prices import Prices, token_prices
from me2sdk.schema import Step
from me2sdk.train.pipeline._pairs import Usable, choose_pairs
from me2sdk.train.pipeline._questions import read_prompts
from me2sdk.train.pipeline._settings import AnnotatorSettings, DataConfig, ModelSettings, asked
from me2sdk.verify import averify_answer

__all__ = ["BuildEstimate", "StageEstimate", "aestimate_build", "estimate_build"]

_CHARACTERS = 4  # a token


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageEstimate(_Value):
    """What a stage will take.

    Attributes:
        stage: its name.
        items: traces or pairs.
        calls: calls of models.
        prompt_tokens: tokens sent.
        completion_tokens: tokens received.
        usd: US dollars, or None where the price of a model is not known.
    """

    stage: str
    items: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None


class BuildEstimate(_Value):
    """What a build from its beginning will take.

    Attributes:
        stages: the stages in order.
        assumptions: what the figures rest on, in words.
    """

    stages: tuple[StageEstimate, ...]
    assumptions: tuple[str, ...]

    @property
    def total(self) -> StageEstimate:
        """All stages together."""
        costs = [stage.usd for stage in self.stages]
        return StageEstimate(
            stage="all",
            items=self.stages[0].items,
            calls=sum(stage.calls for stage in self.stages),
            prompt_tokens=sum(stage.prompt_tokens for stage in self.stages),
            completion_tokens=sum(stage.completion_tokens for stage in self.stages),
            usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        )


class _Counter:
    """A model that answers at once, so that every prompt can be satisfied, and counts."""

    def __init__(self, steps: int) -> None:
        self.calls = 0
        self.prompt_tokens = 0
        summaries = [f"[{number}] It computes." for number in range(steps)]
        annotations = [f"<|step|>{number}\n<|action|>continue" for number in range(steps)]
        self._judgement = "\n".join([*summaries, "<|decision|>Trace 1"])
        self._annotations = "\n".join(annotations)

    def _count(self, messages: list[dict[str, Any]]) -> None:
        self.calls += 1
        self.prompt_tokens += sum(len(message["content"]) for message in messages) // _CHARACTERS

    async def annotate(self, messages: list[dict[str, Any]], **params: Any) -> str:
        self._count(messages)
        return self._annotations if "<|step|>" in messages[0]["content"] else "<|action|>continue"

    async def judge(self, messages: list[dict[str, Any]], **params: Any) -> str:
        self._count(messages)
        return self._judgement

    async def verify(self, messages: list[dict[str, Any]], **params: Any) -> str:
        self._count(messages)
        return "Final Decision: Yes"


async def aestimate_build(config: DataConfig) -> BuildEstimate:
    """Estimate a build; `estimate_build` with ``await``."""
    prompts = (await asyncio.to_thread(read_prompts, config.prompts)).prompts
    assume, sampling = config.assume, config.sampling
    sent = [len(question_text(asked(prompt.question, sampling.instruction))) for prompt in prompts]
    question = next(p.question for p, size in zip(prompts, sent, strict=True) if size == median_low(sent))
    text = question_text(question)
    written = min(assume.steps * assume.step_tokens, sampling.max_tokens)
    traces, pairs = _chosen(config)
    stages = []

    each = [(len(prompts) * sampling.samples, model) for model in config.models]
    stages.append(
        await _priced(
            "candidates",
            sum(count for count, _ in each),
            [
                (config, model, count, sampling.samples * sum(sent) // _CHARACTERS, written)
                for count, model in each
            ],
        )
    )
    candidates = stages[0].items
    counter = _Counter(assume.steps)
    if config.verifier:
        await averify_answer("\\boxed{no}", "yes", question=text, model=counter.verify)
    unclear = round(candidates * (1 - assume.right)) if config.verifier else 0
    stages.append(
        await _priced(
            "verify",
            candidates,
            [(config, config.verifier, unclear, unclear * counter.prompt_tokens, assume.judgement_tokens)],
        )
    )
    counter = _Counter(assume.steps)
    steps = [f"So {'x' * (_CHARACTERS * assume.step_tokens - 3)}"] * assume.steps
    if config.annotator.model:
        settings = config.annotator
        await aparse_dag(
            steps, question=text, model=counter.annotate, samples=settings.samples, window=settings.window
        )
    count = len(prompts) * traces
    per_call = assume.annotation_tokens * config.annotator.window
    stages.append(
        await _priced(
            "dags",
            count,
            [(config, config.annotator, count * counter.calls, count * counter.prompt_tokens, per_call)],
        )
    )
    counter = _Counter(assume.steps)
    await ajudge_pair(
        text, _made_up(steps), _made_up(steps), model=counter.judge, repeats=config.judge.repeats
    )
    count = len(prompts) * pairs
    stages.append(
        await _priced(
            "judge",
            count,
            [
                (
                    config,
                    config.judge,
                    count * counter.calls,
                    count * counter.prompt_tokens,
                    assume.judgement_tokens,
                )
            ],
        )
    )
    return BuildEstimate(
        stages=tuple(stages), assumptions=tuple(_assumptions(config, written, traces, pairs))
    )


def estimate_build(config: DataConfig) -> BuildEstimate:
    """Estimate calls, tokens and US dollars of a build from its beginning, stage by stage. Asks no model.

    Args:
        config: the settings; ``config.assume`` holds what has to be assumed.

    Returns:
        A `BuildEstimate`. Where LiteLLM knows no price, the cost is None.

    Raises:
        ConfigurationError: the prompts cannot be read.
    """
    return run_sync(aestimate_build(config))


async def _priced(
    stage: str,
    items: int,
    work: list[tuple[DataConfig, ModelSettings | AnnotatorSettings | None, int, int, int]],
) -> StageEstimate:
    """Add up the work of several models: calls, prompt tokens in all, and completion tokens a call."""
    usd: float | None = 0.0
    for config, role, calls, prompt, each in work:
        price: Prices | None = Prices(0.0, 0.0)
        if calls and role is not None and role.model:
            price = await asyncio.to_thread(token_prices, role.model, config.call_params(role))
        cost = None if price is None else price.prompt * prompt + price.completion * calls * each
        usd = None if usd is None or cost is None else usd + cost
    return StageEstimate(
        stage=stage,
        items=items,
        calls=sum(calls for _, _, calls, _, _ in work),
        prompt_tokens=sum(prompt for _, _, _, prompt, _ in work),
        completion_tokens=sum(calls * each for _, _, calls, _, each in work),
        usd=usd,
    )


def _chosen(config: DataConfig) -> tuple[int, int]:
    """How many traces and pairs of a prompt are annotated and judged, by the rule that chooses them."""
    names = [model.name for _ in range(config.sampling.samples) for model in config.models]
    right = round(len(names) * config.assume.right)
    usable = [Usable(str(place), name, 1000 + place, str(place)) for place, name in enumerate(names[:right])]
    pairs = choose_pairs("", usable, config.max_pairs, config.seed)
    return len({key for pair in pairs for key in pair}), len(pairs)


def _made_up(steps: list[str]) -> ReasoningDAG:
    """A trace that goes back at every tenth step."""
    builder = DAGBuilder()
    for number, text in enumerate(steps):
        back = number % 10 == 9
        builder.add(
            Step(text, "\n\n"), "backtrack" if back else "continue", builder.main_path[-4:-3] if back else ()
        )
    return builder.build()


def _assumptions(config: DataConfig, written: int, traces: int, pairs: int) -> list[str]:
    assume = config.assume
    told = [
        f"{assume.right:.0%} of the candidates are finished and right, which gives {traces} traces in {pairs} pairs a "
        "prompt",
        f"a candidate has {assume.steps} steps of {assume.step_tokens} tokens, but at most {written} tokens",
    ]
    if config.verifier:
        told.append(f"the verifier is asked about the other {1 - assume.right:.0%}")
    if config.annotator.model:
        told.append(f"an annotator writes {assume.annotation_tokens} tokens a step")
    told.append(
        f"a judge{' or verifier' if config.verifier else ''} writes {assume.judgement_tokens} tokens a call"
    )
    told.append(f"a token is {_CHARACTERS} characters; every call is answered at once, and readably")
    if config.judge.early_stop:
        told.append("early_stop saves nothing")
    return told
