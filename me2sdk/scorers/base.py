"""What a scorer is, and how its arguments are read."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from me2sdk._tracing import span
from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.schema import Failure, Question, Scores, Trace
from me2sdk.scorers.text import trace_text

if TYPE_CHECKING:
    from me2sdk.llm import LLM

__all__ = [
    "FailureLimit",
    "Questions",
    "ScoredTrace",
    "Scorer",
    "alone_scorer",
    "ask_scorer",
    "asks_for",
    "bound_scorer",
    "explain_request",
    "is_joint",
    "read_inputs",
    "score_each",
    "scorer_name",
]

Questions = Question | Sequence[Question | None] | None


@runtime_checkable
class Scorer(Protocol):
    """Anything that gives each trace a number.

    Where it also has a coroutine ``ascore`` of the same form, asynchronous callers await that.

    Example:
        ```python
        from me2sdk import rerank

        class Shortest:
            def score(self, question, traces):
                return [-float(len(trace.reasoning)) for trace in traces]

        print(rerank("What is 2 + 2?", ["Let me see. It is 4.", "It is 4."], scorer=Shortest()).best.index)  # 1
        ```
    """

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> list[float]:
        """Score traces.

        Args:
            question: what was asked: a string, a list of chat messages, None, or a list with one of these per
                trace.
            traces: the traces; a string is read with `Trace.from_text`.

        Returns:
            One finite score per trace, in the same order; higher is better.
        """
        ...


def is_joint(scorer: Scorer) -> bool:
    """Whether a scorer looks at all traces of a question side by side.

    Such a scorer has a true attribute ``joint``. `best_of_n` asks it once, when all candidates are there, and with each
    of them; its rewards of two calls cannot be compared.
    """
    return bool(getattr(scorer, "joint", False))


def alone_scorer(scorer: Scorer) -> Scorer:
    """The scorer as it scores one trace at a time, so that no reward depends on which traces are scored with it.

    A joint scorer that can do so has a method ``alone()`` that returns such a scorer; any other comes back as it is.
    """
    make = getattr(scorer, "alone", None)
    return scorer if make is None else make()


def bound_scorer(scorer: Scorer, llm: LLM) -> Scorer:
    """The scorer with the limits of a model: where it asks models of its own, their calls count there.

    Such a scorer has a method ``within(llm)`` that returns a view of itself, whose calls keep to the budget and the
    concurrency of ``llm`` and are part of its usage.
    """
    within = getattr(scorer, "within", None)
    return scorer if within is None else within(llm)


def asks_for(scorer: Scorer | None) -> dict[str, Any]:
    """The parameters that a scorer needs with each call of the model whose answers it is to score.

    Such a scorer has an attribute ``request``, as `ConfidenceScorer` has.
    """
    return dict(getattr(scorer, "request", None) or {})


def explain_request(failure: Failure, scorer: Scorer | None) -> Failure:
    """The failure of a call; where the model refused what the scorer needs, its message says so."""
    if scorer is None or failure.status is None or not 400 <= failure.status < 500:
        return failure
    refused = {k: v for k, v in asks_for(scorer).items() if re.search(rf"\b{k}\b", failure.message)}
    if not refused:
        return failure
    asked = ", ".join(f"{name}={value!r}" for name, value in refused.items())
    advice = (
        f"The scorer {scorer_name(scorer)} asks for {asked}: take another scorer, or a model that gives it."
    )
    return failure.model_copy(update={"message": f"{failure.message} {advice}"})


def scorer_name(scorer: Scorer) -> str:
    """What results call a scorer."""
    return str(getattr(scorer, "name", type(scorer).__name__))


async def ask_scorer(scorer: Scorer, question: Questions, traces: Sequence[Trace | str]) -> Scores:
    """Ask any scorer, in a thread where it has no coroutine, and check what it says.

    Raises:
        ScoringError: it gave something else than one finite score per trace.
        Exception: whatever the scorer raises.
    """
    ascore = getattr(scorer, "ascore", None)
    if ascore is not None:
        given = await ascore(question, traces)
    else:
        given = await asyncio.to_thread(scorer.score, "" if question is None else question, traces)
    values = [float(value) for value in given]
    if len(values) != len(traces) or not all(map(math.isfinite, values)):
        raise ScoringError(
            f"{scorer_name(scorer)} must return one finite score per trace, {len(traces)} in all; "
            f"it gave {values[:10]}."
        )
    return Scores(values, getattr(given, "truncated", None), getattr(given, "parts", None))


class ScoredTrace(NamedTuple):
    """What became of one trace.

    Attributes:
        score: its score, or None where it could not be scored.
        truncated: how many of its tokens were left out.
        error: why it could not be scored, or None.
        parts: where several scorers were joined, what each gave, by name.
    """

    score: float | None
    truncated: int = 0
    error: Exception | None = None
    parts: Mapping[str, float] = MappingProxyType({})


class FailureLimit:
    """Counts failures in a row, over any number of calls of `score_each`: a scorer that is down is given up.

    Args:
        most: so many traces that fail one after another are enough.

    Attributes:
        in_a_row: traces that have failed since the last one that was scored.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_a_row = 0

    @property
    def reached(self) -> bool:
        """Whether the scorer is given up."""
        return self.in_a_row >= self.most


async def score_each(
    scorer: Scorer,
    question: Questions,
    traces: Sequence[Trace],
    *,
    groups: Sequence[int] = (),
    tries: int = 1,
    limit: FailureLimit | None = None,
    fatal: tuple[type[Exception], ...] = (),
) -> list[ScoredTrace]:
    """Score traces in one call; where that fails, each alone, so that one bad trace costs no other.

    Args:
        scorer: the scorer, loaded.
        question: what was asked, as for `Scorer.score`.
        traces: the traces.
        groups: how many neighbouring traces belong together, if any do. A call that fails is repeated for each group
            before it is repeated for each trace.
        tries: how often a trace is tried alone.
        limit: where it is reached the scorer is not asked any more, and the rest fails. A trace that cannot be read
            says nothing about the scorer and does not count. None sets no limit.
        fatal: errors that concern all traces alike; they are raised and end it.

    Returns:
        One `ScoredTrace` per trace, in the same order.
    """
    found = [ScoredTrace(None)] * len(traces)

    async def attempt(places: range) -> None:
        for _ in range(tries if len(places) == 1 else 1):
            try:
                if limit is not None and limit.reached:
                    raise ScoringError(f"Not tried, since the scorer had failed {limit.most} times in a row.")
                scores = await _ask_traced(
                    scorer, _of_some(question, len(traces), places), [traces[i] for i in places]
                )
            except fatal:
                raise
            except Exception as error:
                outcomes = _outcomes(error, len(places))
                found[places.start : places.stop] = outcomes or [ScoredTrace(None, error=error)] * len(places)
                if not outcomes:
                    continue
                if limit is not None and any(one.error is None for one in outcomes):
                    limit.in_a_row = 0
                return
            for place, score, left_out, made_of in zip(
                places, scores, scores.truncated, scores.parts, strict=True
            ):
                found[place] = ScoredTrace(score, left_out, parts=made_of)
            if limit is not None:
                limit.in_a_row = 0
            return
        parts = _parts(places, groups)
        # Of a joint scorer, the rewards of traces that were scored alone cannot be compared.
        if len(places) > 1 and not (is_joint(scorer) and len(parts) == len(places)):
            for part in parts:
                await attempt(part)
        elif limit is not None:
            limit.in_a_row += not isinstance(found[places[0]].error, InvalidTraceError)

    if traces:
        await attempt(range(len(traces)))
    return found


def _outcomes(error: Exception, count: int) -> list[ScoredTrace]:
    """What an error says in ``outcomes`` of each trace, a reward or an error of its own; nothing where it has none."""
    outcomes = getattr(error, "outcomes", ())
    if len(outcomes) != count:
        return []
    return [
        ScoredTrace(None, error=one) if isinstance(one, Exception) else ScoredTrace(float(one))
        for one in outcomes
    ]


def _parts(places: range, groups: Sequence[int]) -> list[range]:
    """The groups, if ``places`` are more than one of them, else every place alone."""
    sizes = [size for size in groups if size]
    if len(sizes) < 2 or len(places) < sum(sizes):
        return [range(place, place + 1) for place in places]
    ends = list(accumulate(sizes))
    return [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _of_some(question: Questions, count: int, places: range) -> Questions:
    """The question, or of one question per trace those of some traces."""
    if isinstance(question, str) or question is None or len(question) != count:
        return question
    if all(isinstance(item, dict) for item in question):  # chat messages
        return question
    return [question[place] for place in places]  # type: ignore[return-value]


async def _ask_traced(scorer: Scorer, question: Questions, traces: list[Trace]) -> Scores:
    with span("score", scorer_name(scorer), question=question, traces=traces) as watched:
        scores = await ask_scorer(scorer, question, traces)
        watched.record(scores=scores)
        return scores


def read_inputs(question: Questions, traces: Sequence[Trace | str]) -> list[tuple[Question | None, Trace]]:
    """Pair every trace with its question.

    A list of dicts is one question (chat messages); any other list holds one question per trace. Where no
    question is given, the one that the trace carries is used.

    Raises:
        ConfigurationError: ``traces`` is no list, or the number of questions is not that of the traces.
        InvalidTraceError: something in ``traces`` is no trace, or has no reasoning; the message says which.
    """
    if isinstance(traces, str | Trace):
        raise ConfigurationError("score takes a list of traces. For a single one pass [trace].")
    read = [_read_trace(trace, index) for index, trace in enumerate(traces)]
    return [
        (trace.question if asked is None else asked, trace)
        for asked, trace in zip(_read_questions(question, len(read)), read, strict=True)
    ]


def _read_questions(question: Any, count: int) -> list[Question | None]:
    if question is None or isinstance(question, str):
        return [question] * count
    if isinstance(question, Sequence):
        items = list(question)
        if items and all(isinstance(item, dict) for item in items):
            if not all("role" in item for item in items):
                raise ConfigurationError(
                    'Every chat message of a question needs a "role", as in {"role": "user", "content": "…"}.'
                )
            return [items] * count
        if all(item is None or isinstance(item, str | list) for item in items):
            if len(items) != count:
                raise ConfigurationError(
                    f"There are {len(items)} questions for {count} traces. Pass one question for all, "
                    "or a list with one per trace."
                )
            return items
    raise ConfigurationError(
        f"A question is a string, a list of chat messages, or a list with one of these per trace, "
        f"not {type(question).__name__} of other things."
    )


def _read_trace(trace: object, index: int) -> Trace:
    if isinstance(trace, str):
        trace = Trace.from_text(trace)
    if not isinstance(trace, Trace):
        raise InvalidTraceError(f"Trace {index} is a {type(trace).__name__}. Pass a Trace or its text.")
    if not trace_text(trace):
        raise InvalidTraceError(
            f"Trace {index} has no reasoning, so there is nothing to score. Leave it out."
        )
    return trace
