"""`estimate_cost`: what a job will take, before anything is asked."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from me2sdk._sync import run_sync
from me2sdk._tracing import silence
from me2sdk.annotate import aparse_dag, parse_dag
from me2sdk.cost.simulated_model import Lengths, SimulatedModel
from me2sdk.errors import ConfigurationError
from me2sdk.judge import ajudge_pair, arank_traces, expected_comparisons, judge_pair, rank_traces
from me2sdk.llm import LLM, Model, TokenCounter, check_options, dry_run, open_llm
from me2sdk.sampling import Tally, best_of_n, escalation, next_wave, open_stronger, split_stop
from me2sdk.schema import Question, Usage

__all__ = ["CostEstimate", "Verb", "estimate_cost"]

Verb = Literal["best_of_n", "parse_dag", "judge_pair", "rank_traces"]
"""The verbs whose cost can be estimated."""

_VERBS: dict[str, Callable[..., Any]] = {
    "best_of_n": best_of_n,
    "parse_dag": parse_dag,
    "judge_pair": judge_pair,
    "rank_traces": rank_traces,
}
_DEFAULT_N: int = inspect.signature(best_of_n).parameters["n"].default
_WRITES = {
    "best_of_n": "answer",
    "parse_dag": "annotation",
    "judge_pair": "judgement",
    "rank_traces": "judgement",
}
# These change nothing that is counted, or are the caller's own code, which a dry run must not call.
_LEFT_OUT = frozenset(
    "max_concurrency timeout on_step on_candidate scorer select answer min_candidates deadline".split()
)


class CostEstimate(BaseModel):
    """What a job will take; ``str()`` of it is a sentence.

    Attributes:
        calls: calls that will reach a provider.
        cached_calls: answers that will come from the cache instead.
        prompt_tokens: tokens sent.
        completion_tokens: tokens received.
        cost: US dollars, or None where a price is not known.
        models: the models that the calls go to.
        least: where ``stop`` may end the sampling or ``escalate`` may ask a stronger model, the least that the job will
            take; the other figures are then the most. None where there is no such range.

    Example:
        ```python
        from me2sdk import estimate_cost

        estimate = estimate_cost("parse_dag", ["So it is 4."], model="openai/gpt-4o-mini")
        print(estimate.models)  # ('openai/gpt-4o-mini',)
        ```
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: int = Field(ge=0)
    cached_calls: int = Field(default=0, ge=0)
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    cost: float | None = Field(default=None, ge=0)
    models: tuple[str, ...] = ()
    least: CostEstimate | None = None

    def __str__(self) -> str:
        low = self.least or self
        calls = "no calls"
        if self.calls:
            calls = f"about {_range(low.calls, self.calls, _whole)} {'call' if self.calls == 1 else 'calls'}"
        cached = f" and {self.cached_calls:,} answers from the cache" if self.cached_calls else ""
        sent = _range(low.prompt_tokens, self.prompt_tokens, _short)
        received = _range(low.completion_tokens, self.completion_tokens, _short)
        names = f" with {', '.join(self.models)}" if self.models else ""
        cost = "at a price that is not known"
        if self.cost is not None and low.cost is not None:
            cost = f"about {_range(low.cost, self.cost, _dollars)}"
        return f"{calls}{cached}, {sent} tokens in and {received} out, {cost}{names}"

    def _plus(self, other: CostEstimate) -> CostEstimate:
        return CostEstimate(
            calls=self.calls + other.calls,
            cached_calls=self.cached_calls + other.cached_calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost=None if self.cost is None or other.cost is None else self.cost + other.cost,
            models=tuple(dict.fromkeys((*self.models, *other.models))),
        )


def estimate_cost(
    verb: Verb,
    items: Any,
    *,
    model: Model | LLM | None,
    question: Question | None = None,
    completion_tokens: int | Mapping[str, int] | None = None,
    agreement: float = 0.8,
    cache: bool | str | Path | None = None,
    **options: Any,
) -> CostEstimate:
    """Say how many calls, tokens and US dollars a job will take. Asks no model and uses no network.

    The verb itself runs, with a simulated model that answers at once and in a usual length: what would be sent
    is counted, so windows, shared views, ``early_stop`` and answers that are in the cache already count as they will.
    Every call is assumed to work at the first try. An estimate takes about a millisecond per call, and some seconds
    to import LiteLLM; of a very large job, estimate a sample.

    Prompts are counted in OpenAI's cl100k tokens; those of another model differ by some percent. Prompt-caching
    discounts are ignored. In `rank_traces` the number of comparisons depends on the verdicts, and the mean over all
    orders is given; a single job may take a fifth more or less. With ``stop`` or ``escalate`` of `best_of_n` the most
    is given, and ``.least`` beside it.

    Args:
        verb: "best_of_n", "parse_dag", "judge_pair" or "rank_traces".
        items: what the verb is to work on. For `best_of_n` a question, or a list of them; for `parse_dag` what it
            takes; for `judge_pair` a pair ``(a, b)``, or a list of them, each perhaps ``(question, a, b)``; for
            `rank_traces` a list of traces, or a list of such lists.
        model: as for the verb.
        question: as for the verb, where the items do not hold their own.
        completion_tokens: what the model writes. A number is the tokens of an answer (`best_of_n`, 600 by default),
            of the annotation of a step (`parse_dag`, 60) or of a judgement (200); a mapping may set ``"answer"``,
            ``"annotation"``, ``"summary"`` (a part of a trace, 40) and ``"judgement"``. For models that think, count
            their thinking in. ``max_tokens`` limits it.
        agreement: share of pairs on which all judgements agree, which is where ``early_stop`` saves nothing; also
            the share without a tie in `rank_traces`. The paper kept 104,500 of 130,000 pairs.
        cache: as for the verb: answers that it holds cost nothing, nor do those that repeat within the job. It is
            read, not written.
        **options: the other arguments of the verb, and the parameters of its calls.

    Returns:
        A `CostEstimate`.

    Raises:
        ConfigurationError: an argument cannot work, or is no option of the verb.
        InvalidTraceError: as the verb raises it.

    Example:
        ```python
        from me2sdk import estimate_cost

        estimate = estimate_cost("best_of_n", ["What is 2 + 2?"], model="openai/gpt-4o-mini", n=4)
        print(estimate.cost < 0.01)  # True
        ```
    """
    if verb not in _VERBS:
        raise ConfigurationError(f"verb is one of {', '.join(_VERBS)}, not {verb!r:.80}.")
    if not 0 <= agreement <= 1:
        raise ConfigurationError(f"agreement is a share between 0 and 1, not {agreement}.")
    strange = sorted(options.keys() & (_names(*_VERBS) - _options(verb)))
    if strange:
        raise ConfigurationError(f"{', '.join(strange)}: {verb} takes no such argument. Leave it out.")
    check_options(_VERBS[verb], options)
    lengths = _lengths(verb, completion_tokens)
    if model is None:
        if verb != "parse_dag":
            raise ConfigurationError(f"{verb} needs a model. Pass model=….")
        return CostEstimate(calls=0, prompt_tokens=0, completion_tokens=0, cost=0.0)
    plan = _Plan(verb, items, question, lengths, agreement, cache)
    return run_sync(
        _estimate_range(plan, model, options) if verb == "best_of_n" else _estimate(plan, model, options)
    )


class _Plan(NamedTuple):
    """What is to be estimated, apart from the model and the options."""

    verb: str
    items: Any
    question: Question | None
    lengths: Lengths
    agreement: float
    cache: Any


class _Amount(NamedTuple):
    """Usage that can be weighed."""

    calls: float = 0.0
    cached: float = 0.0
    prompt: float = 0.0
    completion: float = 0.0
    cost: float | None = 0.0

    @classmethod
    def of(cls, usage: Usage) -> _Amount:
        return cls(
            usage.calls,
            usage.cached_calls,
            usage.prompt_tokens or 0,
            usage.completion_tokens or 0,
            usage.cost,
        )

    def plus(self, other: _Amount, times: float = 1.0) -> _Amount:
        return _Amount(
            self.calls + times * other.calls,
            self.cached + times * other.cached,
            self.prompt + times * other.prompt,
            self.completion + times * other.completion,
            None if self.cost is None or other.cost is None else self.cost + times * other.cost,
        )


class _Job(NamedTuple):
    """What a verb is to do in a dry run."""

    llm: LLM
    simulated: SimulatedModel
    items: Any
    question: Question | None
    agreement: float
    options: Mapping[str, Any]


async def _estimate_range(plan: _Plan, model: Model | LLM, options: Mapping[str, Any]) -> CostEstimate:
    """Of `best_of_n`: the most it takes and, where ``stop`` or ``escalate`` leave it open, the least."""
    options = dict(options)
    stop = split_stop(options.pop("stop", None), options)
    stronger = escalation(options.pop("escalate", None), options.pop("min_confidence", None))
    most = await _estimate(plan, model, options)
    if stop is None and stronger is None:
        return most
    least = most
    if stop is not None:
        n = options.get("n", _DEFAULT_N)
        fewest = 1 if callable(stop) else next_wave(stop, Tally(), n)
        least = await _estimate(plan, model, {**options, "n": fewest})
    if stronger is not None:
        llm = open_llm(model, verb=plan.verb, budget=None, cache=None)
        strong, sent = open_stronger(
            llm, stronger, {k: v for k, v in options.items() if k not in ("n", "budget")}
        )
        # An `LLM` has a cache of its own; the plan's is that of the weaker model.
        plan = plan._replace(cache=None)
        most = most._plus(await _estimate(plan, strong, {**sent, "n": stronger.n}))
    return most.model_copy(update={"least": least})


async def _estimate(plan: _Plan, model: Model | LLM, options: Mapping[str, Any]) -> CostEstimate:
    verb, items, question, lengths, agreement, cache = plan
    kept = {name: value for name, value in options.items() if name not in _LEFT_OUT}
    llm = open_llm(model, verb=verb, budget=kept.pop("budget", None), cache=cache)
    # Where judges agree all repeats are asked for; otherwise early_stop ends after the first.
    ways = [(1.0, kept)]
    if kept.get("early_stop") and agreement < 1:
        ways = [(agreement, kept), (1 - agreement, {**kept, "repeats": 1})]
    counter: TokenCounter | None = None
    total = _Amount()
    with silence():
        for share, how in ways:
            simulated = SimulatedModel(lengths)
            dry = await dry_run(llm, simulated, counter)
            counter = dry.counter
            job = _Job(dry.llm, simulated, items, question, agreement, how)
            total = total.plus(await _RUN[verb](job), share)
    return CostEstimate(
        calls=round(total.calls),
        cached_calls=round(total.cached),
        prompt_tokens=round(total.prompt),
        completion_tokens=round(total.completion),
        cost=total.cost,
        models=tuple(dict.fromkeys(llm.models)),
    )


async def _best_of_n(job: _Job) -> _Amount:
    options = dict(job.options)
    n = options.pop("n", _DEFAULT_N)
    for one in _questions(job.items):
        async for _ in job.llm.asample(one, n, **options):
            pass
    return _Amount.of(job.llm.usage)


async def _parse_dag(job: _Job) -> _Amount:
    await aparse_dag(job.items, question=job.question, model=job.llm, **job.options)
    return _Amount.of(job.llm.usage)


async def _judge_pair(job: _Job) -> _Amount:
    for pair in _groups(job.items):
        if len(pair) not in (2, 3):
            raise ConfigurationError("A pair is (a, b) or (question, a, b).")
        asked, a, b = pair if len(pair) == 3 else (job.question, *pair)
        await ajudge_pair(asked, a, b, model=job.llm, **_without_own_annotator(job.options))
    return _Amount.of(job.llm.usage)


async def _rank_traces(job: _Job) -> _Amount:
    total = _Amount()
    options = _without_own_annotator(job.options)
    for traces in _groups(job.items):
        before, judged = job.llm.usage, job.simulated.used["judgement"]
        ranking = await arank_traces(job.question, traces, model=job.llm, **options)
        amount = _Amount.of(job.llm.usage).plus(_Amount.of(before), -1)
        if ranking.comparisons and not amount.cached:
            # One order was tried; others take more or fewer comparisons.
            own = _Amount.of(job.simulated.used["judgement"]).plus(_Amount.of(judged), -1)
            share = await expected_comparisons(len(traces), job.agreement) / len(ranking.comparisons)
            amount = amount.plus(own, share - 1)
        total = total.plus(amount)
    return total


_RUN = {
    "best_of_n": _best_of_n,
    "parse_dag": _parse_dag,
    "judge_pair": _judge_pair,
    "rank_traces": _rank_traces,
}


def _without_own_annotator(options: Mapping[str, Any]) -> dict[str, Any]:
    """The local annotator in the place of one that the caller wrote, which might ask somebody."""
    own = options.get("annotator")
    return {**options, "annotator": own if own is None or isinstance(own, str) else "local"}


def _names(*verbs: str) -> set[str]:
    """Names of the arguments of verbs, other than parameters of calls."""
    return {name for verb in verbs for name in inspect.signature(_VERBS[verb]).parameters} - {"params"}


def _options(verb: str) -> set[str]:
    """Names of the arguments of a verb that say how it works, not on what."""
    arguments = inspect.signature(_VERBS[verb]).parameters.values()
    return {one.name for one in arguments if one.kind is inspect.Parameter.KEYWORD_ONLY}


def _lengths(verb: str, given: int | Mapping[str, int] | None) -> Lengths:
    wanted = {} if given is None else dict(given) if isinstance(given, Mapping) else {_WRITES[verb]: given}
    if not wanted.keys() <= set(Lengths._fields) or any(
        not isinstance(number, int) or number < 1 for number in wanted.values()
    ):
        raise ConfigurationError(
            f"completion_tokens is a number of at least 1, or such numbers by {', '.join(Lengths._fields)}; "
            f"it is {given!r:.80}."
        )
    return Lengths(**wanted)


def _questions(items: Any) -> Sequence[Question]:
    """Several questions. A list of messages is one."""
    if isinstance(items, (list, tuple)) and all(isinstance(item, (str, list, tuple)) for item in items):
        return items
    return [items]


def _groups(items: Any) -> Sequence[Any]:
    """Several groups of traces. A list that holds traces is one."""
    if not isinstance(items, (list, tuple)):
        raise ConfigurationError(f"items is a list of traces, or of such lists, not {type(items).__name__}.")
    return items if all(isinstance(item, (list, tuple)) for item in items) else [items]


def _range(low: float, high: float, show: Callable[[Any], str]) -> str:
    return show(high) if show(low) == show(high) else f"{show(low)} to {show(high)}"


def _whole(count: int) -> str:
    return f"{count:,}"


def _short(count: int) -> str:
    """A count in two or three digits."""
    if count < 1000:
        return str(count)
    unit, letter = (1e6, "M") if count >= 100_000 else (1e3, "k")
    return f"{count / unit:.1f}{letter}" if count < 10 * unit else f"{count / unit:,.0f}{letter}"


def _dollars(cost: float) -> str:
    if cost == 0 or cost >= 0.1:
        return f"${cost:,.2f}"
    return f"${cost:.{1 - math.floor(math.log10(cost))}f}"  # two digits that say something
