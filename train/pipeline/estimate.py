"""What a build will cost, before anything is spent.

The calls for DAGs and judgements are not guessed: one made-up trace and pair goes through the real code, with a
simulated model that answers at once and counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from statistics import median_low
from typing import Any

from me2sdk._sync import run_sync
from me2sdk._tracing import silence
from me2sdk.annotate import aparse_dag
from me2sdk.cost import Lengths, SimulatedModel, filler
from me2sdk.dag import DAGBuilder, ReasoningDAG
from me2sdk.judge import ajudge_pair
from me2sdk.llm import LLM, Prices, TokenCounter, dry_run, prices_of
from me2sdk.schema import Message, Question, Step, Usage, Value, question_text
from me2sdk.train.pipeline.config import AnnotatorConfig, Assumptions, DataConfig, ModelConfig, asked
from me2sdk.train.pipeline.pairs import Usable, choose_pairs
from me2sdk.train.pipeline.questions import read_prompts
from me2sdk.verify import averify_answer

__all__ = ["BuildEstimate", "StageEstimate", "aestimate_build", "estimate_build"]

_COUNTED = 1000  # questions that are counted word by word
# Who is asked, calls, tokens sent and received.
_Work = tuple[DataConfig, ModelConfig | AnnotatorConfig | None, int, int, int]


class StageEstimate(Value):
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


class BuildEstimate(Value):
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


def _no_model(messages: list[Message], **params: Any) -> str:
    raise AssertionError("an estimate asks no model")


class _Counter:
    """Counts what work would ask of a model."""

    def __init__(self, assume: Assumptions) -> None:
        self._lengths = Lengths(annotation=assume.annotation_tokens, judgement=assume.judgement_tokens)
        self._tokens = TokenCounter()

    async def count(self, work: Callable[[LLM], Awaitable[Any]]) -> Usage:
        """The usage of ``work``, which gets a model that answers at once."""
        dry = await dry_run(LLM(_no_model), SimulatedModel(self._lengths), self._tokens)
        with silence():
            await work(dry.llm)
        return dry.llm.usage

    def questions(self, questions: Sequence[Question]) -> int:
        """Tokens of some questions; of many, a thousand are counted."""
        messages = [question_text(question) for question in questions]
        some = messages[:: max(1, len(messages) // _COUNTED)]
        tokens = sum(self._tokens.request([{"role": "user", "content": text}], {}) for text in some)
        return round(tokens * sum(map(len, messages)) / max(1, sum(map(len, some))))


async def aestimate_build(config: DataConfig) -> BuildEstimate:
    """Estimate a build; `estimate_build` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk.train import DataConfig, aestimate_build

        prompts = {"records": [{"question": "What is 2 + 2?", "answer": "4"}]}
        model = {"model": "openai/gpt-4o-mini"}
        config = DataConfig(output="data", prompts=prompts, models=[model], judge=model)
        print([stage.stage for stage in asyncio.run(aestimate_build(config)).stages][0])  # candidates
        ```
    """
    prompts = (await asyncio.to_thread(read_prompts, config.prompts)).prompts
    assume, sampling = config.assume, config.sampling
    put = [asked(prompt.question, sampling.instruction) for prompt in prompts]
    sent = [len(question_text(question)) for question in put]
    question = next(p.question for p, size in zip(prompts, sent, strict=True) if size == median_low(sent))
    text = question_text(question)
    written = min(assume.steps * assume.step_tokens, sampling.max_tokens)
    traces, pairs = _chosen(config)
    counter = await asyncio.to_thread(_Counter, assume)
    stages = []

    each = [(len(prompts) * sampling.samples, model) for model in config.models]
    stages.append(
        await _priced(
            "candidates",
            sum(count for count, _ in each),
            [
                (
                    config,
                    model,
                    count,
                    sampling.samples * await asyncio.to_thread(counter.questions, put),
                    count * written,
                )
                for count, model in each
            ],
        )
    )
    candidates = stages[0].items
    one = Usage()
    if config.verifier:
        one = await counter.count(
            lambda llm: averify_answer("\\boxed{no}", "yes", question=text, model=llm),
        )
    unclear = round(candidates * (1 - assume.right)) if config.verifier else 0
    stages.append(await _priced("verify", candidates, [_times(unclear, one, config, config.verifier)]))

    steps = [filler(assume.step_tokens)] * assume.steps
    one = Usage()
    if config.annotator.model:
        samples, window = config.annotator.samples, config.annotator.window
        one = await counter.count(
            lambda llm: aparse_dag(steps, question=text, model=llm, samples=samples, window=window)
        )
    count = len(prompts) * traces
    stages.append(await _priced("dags", count, [_times(count, one, config, config.annotator)]))

    if config.judge:
        first, second = _made_up(steps), _made_up(steps)
        repeats = config.judge.repeats
        one = await counter.count(lambda llm: ajudge_pair(text, first, second, model=llm, repeats=repeats))
        count = len(prompts) * pairs
        stages.append(await _priced("judge", count, [_times(count, one, config, config.judge)]))
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

    Example:
        ```python
        from me2sdk.train import DataConfig, estimate_build

        config = DataConfig(
            output="data",
            prompts={"records": [{"question": "What is 2 + 2?", "answer": "4"}]},
            models=[{"model": "openai/gpt-4o-mini"}],
            judge={"model": "openai/gpt-4o"},
        )
        print(estimate_build(config).total.calls > 4)  # True
        ```
    """
    return run_sync(aestimate_build(config))


def _times(count: int, one: Usage, config: DataConfig, role: ModelConfig | AnnotatorConfig | None) -> _Work:
    """The work of one model on ``count`` items that are like each other."""
    return (
        config,
        role,
        count * one.calls,
        count * (one.prompt_tokens or 0),
        count * (one.completion_tokens or 0),
    )


async def _priced(
    stage: str,
    items: int,
    work: list[_Work],
) -> StageEstimate:
    """Add up the work of several models."""
    usd: float | None = 0.0
    for config, role, calls, prompt, completion in work:
        price: Prices | None = Prices(0.0, 0.0)
        if calls and role is not None and role.model:
            price = await asyncio.to_thread(prices_of, role.model, config.call_params(role))
        cost = None if price is None else price.prompt * prompt + price.completion * completion
        usd = None if usd is None or cost is None else usd + cost
    return StageEstimate(
        stage=stage,
        items=items,
        calls=sum(calls for _, _, calls, _, _ in work),
        prompt_tokens=sum(prompt for _, _, _, prompt, _ in work),
        completion_tokens=sum(completion for _, _, _, _, completion in work),
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
    lines = [
        f"{assume.right:.0%} of the candidates are finished and right, which gives {traces} traces in {pairs} pairs "
        "per prompt",
        f"a candidate has {assume.steps} steps of {assume.step_tokens} tokens, but at most {written} tokens",
    ]
    if config.verifier:
        lines.append(f"the verifier is asked about the other {1 - assume.right:.0%}")
    if config.annotator.model:
        lines.append(f"an annotator writes {assume.annotation_tokens} tokens per step")
    lines.append(
        f"a judge{' or verifier' if config.verifier else ''} writes {assume.judgement_tokens} tokens per call, and "
        f"{Lengths().summary} for each part of a trace that it sums up"
    )
    lines.append("tokens are those of OpenAI's cl100k; every call is answered at once, and readably")
    if config.judge and config.judge.early_stop:
        lines.append("early_stop saves nothing")
    return lines
