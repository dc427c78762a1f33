"""Why each candidate of a result stands where it stands, in words."""

from __future__ import annotations

from collections.abc import Sequence

from me2sdk.sampling.decision import ballot_of, by_answer
from me2sdk.schema import Answer, Candidate, RerankResult

__all__ = ["reasons"]


def reasons(result: RerankResult) -> list[str]:
    """A sentence for each candidate, in their order. Other candidates are named by their rank, as in #1."""
    group_of = {index: place for place, answer in enumerate(result.answers) for index in answer.candidates}
    groups = [group_of.get(candidate.index) for candidate in result.candidates]
    ballot = ballot_of(result.candidates, groups)
    if ballot.decides if result.select == "auto" else ballot.members and result.select != "best":
        found = _by_answers(result, groups)
    elif result.chosen_by == "agreement":
        near = "How near its text is to the others decides."
        found = [near for _ in result.candidates]
        found[:1] = ["Nearest to the others."]
    else:
        found = [_by_reward(result.candidates, place) for place in range(len(result.candidates))]
    return [_held_back(one) or said for one, said in zip(result.candidates, found, strict=True)]


def _held_back(candidate: Candidate) -> str:
    if candidate.refusal is not None:
        return "Refused to answer: behind all others."
    return "Cut off: behind every finished one, and no vote." if candidate.trace.truncated else ""


def _by_reward(candidates: Sequence[Candidate], place: int) -> str:
    one = candidates[place]
    if all(other.score is None for other in candidates):
        return "No rewards: in the order they came."
    if one.score is None:
        return "No reward: behind those that have one."
    if not place:
        return "Highest reward."
    before = candidates[place - 1]
    if _held_back(before) or before.score is None or before.score > one.score:
        return f"Lower reward than #{place}."
    return f"Same reward as #{place}, came later."


def _by_answers(result: RerankResult, groups: Sequence[int | None]) -> list[str]:
    candidates, answers = result.candidates, result.answers
    key = by_answer(range(len(answers)), groups, candidates, typical=result.select == "auto")
    rank_of = {candidate.index: rank for rank, candidate in enumerate(candidates, start=1)}
    last: dict[int, int] = {}
    found = []
    for place, (candidate, group) in enumerate(zip(candidates, groups, strict=True)):
        if group is None:
            found.append("No answer to compare: no vote.")
        elif group not in last:
            found.append(_of_answer(answers, group, rank_of, candidates))
        else:
            before = candidates[last[group]]
            if key(place) != key(last[group]):
                why = "written as fewer write it"
            else:
                why = "lower reward" if before.score != candidate.score else "came later"
            found.append(f"Same answer as #{rank_of[answers[group].best]}, {why}.")
        if group is not None:
            last[group] = place
    return found


def _of_answer(
    answers: Sequence[Answer], place: int, rank_of: dict[int, int], candidates: Sequence[Candidate]
) -> str:
    answer = answers[place]
    votes = f"{answer.votes} of {sum(one.votes for one in answers)} votes"
    if answer.weight != answer.votes:
        votes += f", which count {answer.weight:.3g} of {sum(one.weight for one in answers):.3g}"
    if place and answers[place - 1].weight == answer.weight:
        better = _best_score(answers[place - 1], candidates) != _best_score(answer, candidates)
        than = "lower reward" if better else "came later"
        return f"{votes}, as many as #{rank_of[answers[place - 1].best]}'s answer; {than}."
    if not place and len(answers) > 1:
        return (
            f"Most votes: {votes}."
            if answers[1].weight < answer.weight
            else f"{votes}; {_tie(answers, candidates)}."
        )
    return f"All votes: {votes}." if len(answers) == 1 else f"{votes}."


def _tie(answers: Sequence[Answer], candidates: Sequence[Candidate]) -> str:
    better = _best_score(answers[0], candidates) != _best_score(answers[1], candidates)
    return (
        "no more than the next answer, but a better reward"
        if better
        else "no more than the next answer, but came first"
    )


def _best_score(answer: Answer, candidates: Sequence[Candidate]) -> float | None:
    scores = [one.score for one in candidates if one.index in answer.candidates and one.score is not None]
    return max(scores, default=None)
