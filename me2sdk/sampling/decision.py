"""The decision: which candidate is the best of several, by what, and how sure that is.

Two kinds of evidence are weighed. Agreement: how many candidates, reached independently, give the same answer. Reward:
how well a scorer finds the trace reasoned. Measured on answers of current models, agreement is by far the better, so
that the answer with most votes leads and rewards decide between answers with equal votes. Within one answer the
candidate leads that writes it as most candidates do, since what most do is what was asked for, and then the one with
the best reward.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from me2sdk.sampling.agreement import Ballot, Overlap, leader_features, word_overlap
from me2sdk.sampling.answers import Comparison
from me2sdk.sampling.confidence import load_confidence_model
from me2sdk.schema import Answer, Candidate, ChosenBy, Failure, Select, Trace
from me2sdk.stats import standardised

__all__ = ["Decision", "ballot_of", "by_answer", "decide", "evidence", "leaders_first"]

_Key = tuple[float, ...]
_MARKS = (
    re.compile(r"</answer>", re.IGNORECASE),
    re.compile(r"\\boxed"),
    re.compile(r"####"),
    re.compile("answer", re.I),
)
_TAIL = 600
_SHORT = 300
_MIDDLE = re.compile(r"[\w,(=+\-/\\<{\[&^]$")


@dataclass(frozen=True)
class Decision:
    """Candidates in order, and what the order rests on; the fields are those of `RerankResult`."""

    candidates: tuple[Candidate, ...]
    answers: tuple[Answer, ...]
    confidence: float | None
    chosen_by: ChosenBy
    failure: Failure | None


def decide(
    candidates: Sequence[Candidate],
    groups: Sequence[int | None],
    *,
    select: Select = "auto",
    compare: Comparison = "value",
    weights: Sequence[float] | None = None,
) -> Decision:
    """Put candidates in order, best first, and say how sure the first is.

    Whatever ``select`` is, a candidate that was cut off stands behind every finished one and has no vote, and a refusal
    stands behind both. Ties go to the higher reward, then to the earlier candidate; one without a reward stands behind
    those with one.

    Args:
        candidates: the candidates, scored as far as they could be.
        groups: for each candidate the number of its answer, equal where answers are equal; None where it has none.
        select: "auto", "best", "vote" or "weighted_vote", as `best_of_n` says.
        compare: how answers were compared, as in `AnswerReader`.
        weights: for each candidate how many votes it counts for; 1 by default.

    Returns:
        The `Decision`. Its failure says why a vote that was asked for could not be held.
    """
    rewards = standardised([candidate.score for candidate in candidates])
    votes = [1.0] * len(candidates) if weights is None else list(weights)
    if select == "weighted_vote":
        votes = [
            vote * (1 + share / 2) for vote, share in zip(votes, _shares_beaten(candidates), strict=True)
        ]
    ballot = ballot_of(candidates, groups, votes)
    order = leaders_first(ballot, candidates)
    confidence = _confidence(ballot, order[0], candidates, rewards) if ballot.decides else {}
    by_answers = ballot.decides if select == "auto" else bool(order) and select != "best"

    nearness = None
    if not by_answers and select != "best" and compare != "none":
        nearness = _nearness(candidates)
    if by_answers:
        key = by_answer(order, groups, candidates, typical=select == "auto")
    elif nearness is not None:
        key = lambda place: (-nearness[place],)  # noqa: E731
    else:
        key = lambda place: ()  # noqa: E731
    places = sorted(range(len(candidates)), key=lambda place: _key(candidates[place], key(place)))

    ranked = tuple(
        candidates[place].model_copy(update={"confidence": confidence.get(_answer(groups, place))})
        for place in places
    )
    return Decision(
        candidates=ranked,
        answers=_answers(ballot, order, confidence, candidates, places),
        confidence=ranked[0].confidence if ranked and not _stands_back(ranked[0]) else None,
        chosen_by=_chosen_by(by_answers or nearness is not None, by_answers, ranked),
        failure=_no_vote(select, compare, candidates) if select.endswith("vote") and not by_answers else None,
    )


def ballot_of(
    candidates: Sequence[Candidate], groups: Sequence[int | None], votes: Sequence[float] | None = None
) -> Ballot:
    """Who gives which answer, of the candidates that are finished and no refusals."""
    members: dict[int, list[int]] = {}
    weights: dict[int, float] = {}
    for place, (candidate, group) in enumerate(zip(candidates, groups, strict=True)):
        if group is not None and not _stands_back(candidate):
            members.setdefault(group, []).append(place)
            weights[group] = weights.get(group, 0.0) + (1.0 if votes is None else votes[place])
    without = sum(
        group is None and not _stands_back(candidate) and not _breaks_off(candidate)
        for candidate, group in zip(candidates, groups, strict=True)
    )
    return Ballot(members, weights, len(candidates), without)


def _stands_back(candidate: Candidate) -> bool:
    return candidate.refusal is not None or candidate.trace.truncated


def _breaks_off(candidate: Candidate) -> bool:
    """Whether a long text ends in the middle of a sentence, as one does that was cut off and nobody says so."""
    said = candidate.response[-_TAIL:].rstrip()
    return len(said) > _SHORT and _MIDDLE.search(said) is not None


def _answer(groups: Sequence[int | None], place: int) -> int:
    group = groups[place]
    return -1 if group is None else group


def _key(candidate: Candidate, middle: _Key) -> _Key:
    return (
        candidate.refusal is not None,
        candidate.trace.truncated,
        *middle,
        candidate.score is None,
        -(candidate.score or 0.0),
        candidate.index,
    )


def _best_score(candidates: Sequence[Candidate], places: Sequence[int]) -> float:
    return max(-float("inf") if (score := candidates[i].score) is None else score for i in places)


def leaders_first(ballot: Ballot, candidates: Sequence[Candidate]) -> list[int]:
    """The answers, most votes first."""
    return sorted(
        ballot.members,
        key=lambda answer: (
            -ballot.weights[answer],
            -_best_score(candidates, ballot.members[answer]),
            min(candidates[place].index for place in ballot.members[answer]),
        ),
    )


def _confidence(
    ballot: Ballot, leader: int, candidates: Sequence[Candidate], rewards: Sequence[float]
) -> dict[int, float]:
    """For each answer the chance that it is right; of a single candidate nothing is known."""
    if len(candidates) < 2:
        return {}
    model = load_confidence_model()
    chance = model.leader(evidence(ballot, leader, candidates, rewards))
    return model.all_answers(leader, chance, ballot.weights)


def evidence(
    ballot: Ballot, leader: int, candidates: Sequence[Candidate], rewards: Sequence[float]
) -> list[float]:
    """What tells whether the leading answer is right; see `leader_features`."""
    overlap = Overlap([_text(candidate.trace) for candidate in candidates], candidates[0].trace.question)
    return leader_features(ballot, leader, overlap, rewards)


def _nearness(candidates: Sequence[Candidate]) -> list[float] | None:
    """How near each response is to those of the others, or None where there are not three to compare."""
    finished = [place for place, candidate in enumerate(candidates) if not _stands_back(candidate)]
    if len(finished) < 3:
        return None
    table = word_overlap([candidates[place].response for place in finished])
    near = [0.0] * len(candidates)
    for place, row in zip(finished, table, strict=True):
        near[place] = round(sum(row), 9)  # equal sums in another order of the addends are equal
    return near


def by_answer(
    order: Sequence[int], groups: Sequence[int | None], candidates: Sequence[Candidate], *, typical: bool
) -> Callable[[int], _Key]:
    """What candidates are ordered by where their answers decide, before rewards do.

    Args:
        order: the answers, best first.
        groups: for each candidate its answer.
        candidates: the candidates.
        typical: whether within an answer the candidate leads that writes it as most do.

    Returns:
        A function from the place of a candidate to what it is sorted by.
    """
    ranks = {answer: rank for rank, answer in enumerate(order)}
    if not typical:
        return lambda place: (ranks.get(_answer(groups, place), len(ranks)),)
    forms = [_form(candidate) for candidate in candidates]
    common = Counter(forms)
    spelled = Counter(
        (_answer(groups, place), candidate.answer) for place, candidate in enumerate(candidates)
    )

    def key(place: int) -> _Key:
        answer = _answer(groups, place)
        if answer not in ranks:
            return (len(ranks), 0, 0)
        return (
            ranks[answer],
            -common[forms[place]],
            -spelled[answer, candidates[place].answer],
        )

    return key


def _form(candidate: Candidate) -> int:
    """How a candidate marks its answer."""
    tail = candidate.response[-_TAIL:]
    return next((number for number, mark in enumerate(_MARKS) if mark.search(tail)), len(_MARKS))


def _text(trace: Trace) -> str:
    return (
        trace.reasoning
        if trace.response in (None, trace.reasoning)
        else f"{trace.reasoning}\n{trace.response}"
    )


def _shares_beaten(candidates: Sequence[Candidate]) -> list[float]:
    """For each candidate the share of the scored candidates with a lower reward."""
    scores = sorted(candidate.score for candidate in candidates if candidate.score is not None)
    return [
        0.0 if candidate.score is None else sum(score < candidate.score for score in scores) / len(scores)
        for candidate in candidates
    ]


def _answers(
    ballot: Ballot,
    order: Sequence[int],
    confidence: dict[int, float],
    candidates: Sequence[Candidate],
    places: Sequence[int],
) -> tuple[Answer, ...]:
    found = []
    for answer in order:
        members = set(ballot.members[answer])
        best, *others = (candidates[place] for place in places if place in members)
        found.append(
            Answer(
                text=best.answer or "",
                votes=len(members),
                weight=ballot.weights[answer],
                confidence=confidence.get(answer),
                best=best.index,
                candidates=(best.index, *(one.index for one in others)),
            )
        )
    return tuple(found)


def _chosen_by(agreement: bool, by_answers: bool, ranked: Sequence[Candidate]) -> ChosenBy:
    rewarded = bool(ranked) and any(candidate.score is not None for candidate in ranked)
    if agreement:
        return "agreement and reward" if by_answers and rewarded else "agreement"
    return "reward" if rewarded else "order"


def _no_vote(select: Select, compare: Comparison, candidates: Sequence[Candidate]) -> Failure | None:
    if compare == "similarity":
        return None
    why = "answer=None says that nothing is to be compared"
    if compare != "none":
        why = f"none of the {len(candidates)} candidates that came holds an answer that may vote"
    return Failure(
        index=None,
        stage="select",
        error="NoVote",
        message=f"select={select!r} found no answers to compare: {why}. Say with answer= where the answer stands.",
    )
