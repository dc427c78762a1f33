"""What ``select="auto"`` chooses of one question's candidates: of all of them, and of the first that come."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from me2sdk.sampling import Tally, ballot_of, decide, leaders_first, tally
from me2sdk.schema import Candidate
from me2sdk.train.data import question_key
from me2sdk.train.evaluate.questions import CandidateQuestion

__all__ = ["DRAWS", "AutoChoice", "AutoChooser"]

DRAWS = 16
"""Random orders in which the candidates of a question are drawn."""


class AutoChoice(NamedTuple):
    """The place of the candidate that is taken, None where none can be read, and how sure that is."""

    place: int | None
    confidence: float | None


class AutoChooser:
    """Chooses among one question's candidates as `rerank` does.

    Args:
        item: the question, with which of its candidates are right.
        groups: for each candidate the number of its answer; None for no vote. Those of some candidates are taken from
            these, which is what comparing them alone gives, but for rare answers that a third one makes equal or not
            ("5" and "5 m" are one answer until somebody says "5 cm").
        rewards: rewards of a scorer; None where there is none.

    Attributes:
        correct: whether each candidate is right.
        groups: as passed.
        orders: `DRAWS` orders in which the candidates may come, the same in every run.
    """

    def __init__(
        self, item: CandidateQuestion, groups: Sequence[int | None], rewards: Sequence[float | None]
    ) -> None:
        self.correct, self.groups = item.correct or (), groups
        answers = item.answers or [trace.answer for trace in item.candidates]
        self._candidates = [
            Candidate(
                index=place,
                trace=trace.model_copy(update={"question": item.question}),
                answer=answer or None,
                score=reward,
            )
            for place, (trace, answer, reward) in enumerate(
                zip(item.candidates, answers, rewards, strict=True)
            )
        ]
        count = len(self._candidates)
        draw = random.Random(question_key(item.question))
        self.orders = [tuple(draw.sample(range(count), count)) for _ in range(DRAWS)]
        self._chosen: dict[tuple[int, ...], int | None] = {}
        self._tallies: dict[tuple[int, ...], Tally] = {}

    @cached_property
    def choice(self) -> AutoChoice:
        """The choice among all candidates, in the order in which they stand."""
        return self._decide(self._readable(range(len(self._candidates))))

    def choose(self, places: Sequence[int]) -> int | None:
        """The place of the candidate that is taken of some; None where none can be read.

        Args:
            places: the candidates, in the order in which they come.
        """
        places = tuple(places)
        if places not in self._chosen:
            self._chosen[places] = self._choose(places)
        return self._chosen[places]

    def is_right(self, place: int | None) -> bool:
        """Whether the choice of a place is right; to choose nothing is not."""
        return place is not None and self.correct[place]

    def tally(self, places: Sequence[int]) -> Tally:
        """The votes of some candidates."""
        places = tuple(places)
        if places not in self._tallies:
            read = self._readable(places)
            self._tallies[places] = tally(
                [self._candidates[place] for place in read], [self.groups[place] for place in read]
            )
        return self._tallies[places]

    def curve(self, ks: Sequence[int]) -> tuple[list[float], list[bool]]:
        """Accuracy of the choice among k candidates.

        Returns:
            For each k the accuracy, and whether it is exact, as it is for one candidate and for all; else it is the
            mean over the first k of each of the orders.
        """
        count = len(self.correct)
        accuracy = []
        for k in ks:
            if k == count:
                chosen = [self.choice.place]
            elif k == 1:
                chosen = [self.choose([place]) for place in range(count)]
            else:
                chosen = [self.choose(order[:k]) for order in self.orders]
            accuracy.append(sum(map(self.is_right, chosen)) / len(chosen))
        return accuracy, [k in (1, count) for k in ks]

    def _choose(self, places: Sequence[int]) -> int | None:
        read = self._readable(places)
        leading = self._leading(read)
        if len({self.correct[place] for place in leading}) == 1:
            # Whichever of them is taken, the answer is the same and as right, and how sure that is takes long to tell.
            return leading[0]
        return self._decide(read).place

    def _leading(self, places: Sequence[int]) -> list[int]:
        """Who gives the leading answer; empty where answers may not be what decides."""
        candidates = self._arrived(places)
        ballot = ballot_of(candidates, [self.groups[place] for place in places])
        if 2 * ballot.voters <= len(places):
            return []
        return [places[index] for index in ballot.members[leaders_first(ballot, candidates)[0]]]

    def _decide(self, places: Sequence[int]) -> AutoChoice:
        if not places:
            return AutoChoice(None, None)
        decision = decide(self._arrived(places), [self.groups[place] for place in places])
        return AutoChoice(places[decision.candidates[0].index], decision.confidence)

    def _arrived(self, places: Sequence[int]) -> list[Candidate]:
        """Candidates whose index is the place in the order of arrival, by which ties are broken."""
        return [
            self._candidates[place].model_copy(update={"index": index}) for index, place in enumerate(places)
        ]

    def _readable(self, places: Sequence[int]) -> list[int]:
        """`rerank` records a candidate that is empty as a failure, and goes on without it."""
        return [place for place in places if _holds_something(self._candidates[place])]


def _holds_something(candidate: Candidate) -> bool:
    return candidate.answer is not None or bool(candidate.trace.reasoning.strip())
