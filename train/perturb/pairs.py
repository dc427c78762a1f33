"""Pairs of right traces, balanced over dimensions, kinds and length."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence

from me2sdk._choices import Dimension
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Trace, Value, question_text
from me2sdk.train.data import Preference, question_key
from me2sdk.train.perturb.faults import DIMENSIONS, FAULTS
from me2sdk.train.perturb.text import Draft, Part, padded, stated

__all__ = ["KINDS", "PerturbCounts", "count_pairs", "perturb_trace", "perturb_traces"]

KINDS: dict[str, Dimension] = DIMENSIONS
"""The kinds of faults, each with the dimension that it is about."""

_PARTS_A_FAULT = 12
_MOST_FAULTS = 5
_ROOM = 25  # no further fault is added where those that are there make up more than one in so many characters
_ONCE = ("missing_link", "repeated_check")
_OTHERS = 5  # traces of other questions that are tried for material


def perturb_trace(
    trace: Trace,
    kind: str,
    rng: random.Random,
    *,
    other: Trace | None = None,
    longer: bool | None = None,
) -> Preference | None:
    """Make a pair of a right trace and the same one with a fault.

    Args:
        trace: the right trace, with its question.
        kind: one of `KINDS`.
        rng: where all chance comes from.
        other: a trace of another question, where "topic_jump" takes its material from.
        longer: whether the better side is to be the longer one; by default chance decides.

    Returns:
        The pair, or None where the fault cannot be done to this trace, or the length not be had. Both sides state
        the same final answer.

    Raises:
        ConfigurationError: no such kind.
        InvalidTraceError: the trace has no question.

    Example:
        ```python
        import random
        from me2sdk import Trace
        from me2sdk.train import perturb_trace

        text = "First, 3 * 4 = 12. Then 12 + 5 = 17. Then 17 - 2 = 15. So the answer is 15."
        trace = Trace.from_text(text, question="What is 3 * 4 + 5 - 2?")
        print(perturb_trace(trace, "repeated_check", random.Random(0)).dimension)  # macro_efficiency
        ```
    """
    if kind not in FAULTS:
        raise ConfigurationError(f"There is no kind {kind!r}. Choose from {', '.join(FAULTS)}.")
    if trace.question is None:
        raise InvalidTraceError("A pair needs a question. Pass a Trace with one.")
    longer = rng.random() < 0.5 if longer is None else longer
    answer = stated(trace.reasoning)
    foreign = other.reasoning if other is not None else ""
    draft = Draft.cut(trace.reasoning, question_text(trace.question), rng, foreign)
    sides = _damaged(draft, kind)
    if sides is None:
        return None
    # A fault of n characters shows in the length or in the share of harmless wording; it is split between the two.
    excess = _size(sides[0]) - _size(sides[1])
    lead = round(rng.uniform(0.2, 1.0) * max(abs(excess), 20))
    natural = abs(excess) if (excess > 0) == longer else 0
    texts = padded(sides, draft, int(not longer), lead + natural, rng.choice((0.0, rng.random() * 0.6)))
    if texts is None or texts[0] == texts[1] or (len(texts[0]) > len(texts[1])) != longer:
        return None
    if {stated(text) for text in texts} != {answer}:
        return None
    better, worse = (_like(trace, text) for text in texts)
    return Preference(
        question=trace.question,
        chosen=better,
        rejected=worse,
        category=kind,
        dimension=KINDS[kind].value,
        provenance={"made_by": "perturb"},
    )


def _size(parts: Sequence[Part]) -> int:
    return sum(len(part.text) + len(part.gap) for part in parts)


def _damaged(draft: Draft, kind: str) -> tuple[list[Part], list[Part]] | None:
    """The parts of both sides; a long trace gets the fault several times, or it would drown."""
    if not draft.parts:
        return None
    whole = draft.parts
    room = len(draft.text) // _ROOM
    sides = FAULTS[kind](draft)
    for _ in range(min(_MOST_FAULTS - 1, draft.rng.randint(0, len(whole) // _PARTS_A_FAULT))):
        if sides is None or kind in _ONCE or _size(sides[1]) - _size(whole) > room:
            break
        again = FAULTS[kind](Draft(sides[1], draft.end, draft.question, draft.rng, draft.other))
        sides = sides if again is None else (whole, again[1])
    return sides


def _like(trace: Trace, text: str) -> Trace:
    """``trace`` with another reasoning."""
    both = trace.response == trace.reasoning  # a completion without tags is reasoning and response at once
    changed = {"reasoning": text, "response": text} if both else {"reasoning": text}
    return trace.model_copy(update={**changed, "question": None})


def perturb_traces(
    traces: Iterable[Trace],
    *,
    per_trace: int = 4,
    dimensions: Sequence[Dimension | str] = tuple(Dimension),
    seed: int = 0,
) -> list[Preference]:
    """Make balanced pairs of many right traces.

    The dimension, and within it the kind, that has the fewest pairs comes next, and in each kind the better side is
    the longer one in half of the pairs, give or take one.

    Args:
        traces: right traces, each with its question. Those to which nothing can be done bring no pair.
        per_trace: most pairs of one trace, each of another kind.
        dimensions: the dimensions to make pairs for.
        seed: the same traces and seed make the same pairs.

    Returns:
        The pairs, in the order of the traces.

    Raises:
        ConfigurationError: no such dimension, or ``per_trace`` below 1.
        InvalidTraceError: a trace has no question.

    Example:
        ```python
        from me2sdk import Trace
        from me2sdk.train import perturb_traces

        text = "First, 3 * 4 = 12. Then 12 + 5 = 17. Then 17 - 2 = 15. So the answer is 15."
        pairs = perturb_traces([Trace.from_text(text, question="What is 3 * 4 + 5 - 2?")], per_trace=2)
        print(len(pairs))  # 2
        ```
    """
    try:
        wanted = {Dimension(dimension) for dimension in dimensions}
    except ValueError as error:
        raise ConfigurationError(f"{error}. Choose from {', '.join(Dimension)}.") from None
    if per_trace < 1 or not wanted:
        raise ConfigurationError("per_trace must be at least 1, and there must be a dimension.")
    traces = list(traces)
    kinds = [kind for kind, dimension in KINDS.items() if dimension in wanted]
    made: Counter[str] = Counter()
    lead: Counter[str] = Counter()  # pairs with the better side longer, less the others
    pairs: list[Preference] = []
    keys = [question_key(trace.question or "") for trace in traces]
    for index, trace in enumerate(traces):
        rng = random.Random(f"{seed} {index}")
        used: set[str] = set()
        for _ in range(per_trace):
            pair = None
            for kind in _order([kind for kind in kinds if kind not in used], made, rng):
                longer = rng.random() < 0.5 if lead[kind] == 0 else lead[kind] < 0
                other = _another(traces, keys, index, rng) if kind == "topic_jump" else None
                pair = perturb_trace(trace, kind, rng, other=other, longer=longer)
                used.add(kind)
                if pair is not None:
                    break
            if pair is None:
                break
            made[pair.category] += 1
            lead[pair.category] += 1 if len(pair.chosen.reasoning) > len(pair.rejected.reasoning) else -1
            pairs.append(
                pair.model_copy(update={"provenance": {**pair.provenance, "seed": seed, "trace": index}})
            )
    return pairs


def _order(kinds: Sequence[str], made: Counter[str], rng: random.Random) -> list[str]:
    """``kinds``, those of the dimension with the fewest pairs first, and within it those with the fewest."""
    totals: Counter[Dimension] = Counter()
    for kind, count in made.items():
        totals[KINDS[kind]] += count
    return sorted(kinds, key=lambda kind: (totals[KINDS[kind]], made[kind], rng.random()))


def _another(traces: Sequence[Trace], keys: Sequence[str], index: int, rng: random.Random) -> Trace | None:
    """A trace of another question."""
    for _ in range(_OTHERS):
        place = rng.randrange(len(traces))
        if keys[place] != keys[index]:
            return traces[place]
    return None


class PerturbCounts(Value):
    """What `perturb_traces` made of one kind.

    Attributes:
        kind: the kind, or "all".
        dimension: its dimension, or "" for all.
        pairs: how many.
        better_longer: share of pairs whose better side is the longer one.
        shorter_wins: accuracy of taking the shorter side.
        characters_better: mean length of the better side.
        characters_worse: mean length of the worse side.
    """

    kind: str
    dimension: str
    pairs: int
    better_longer: float
    shorter_wins: float
    characters_better: float
    characters_worse: float


def count_pairs(pairs: Sequence[Preference]) -> list[PerturbCounts]:
    """Count pairs by kind, with the accuracy that length alone would give; the last row is over all."""
    rows = []
    for kind in [*(kind for kind in KINDS if any(p.category == kind for p in pairs)), "all"]:
        sizes = [
            (len(p.chosen.reasoning), len(p.rejected.reasoning)) for p in pairs if kind in (p.category, "all")
        ]
        count = max(1, len(sizes))
        rows.append(
            PerturbCounts(
                kind=kind,
                dimension=KINDS[kind].value if kind in KINDS else "",
                pairs=len(sizes),
                better_longer=sum(better > worse for better, worse in sizes) / count,
                shorter_wins=sum((better < worse) + 0.5 * (better == worse) for better, worse in sizes)
                / count,
                characters_better=sum(better for better, _ in sizes) / count,
                characters_worse=sum(worse for _, worse in sizes) / count,
            )
        )
    return rows
