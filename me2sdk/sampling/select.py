"""How a choice among candidates is to be made: the settings that verbs, adapters and the server share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from me2sdk._sync import in_thread_if_long
from me2sdk.errors import ConfigurationError, ScoringError
from me2sdk.llm import LLM, Model
from me2sdk.sampling.answers import AnswerGroups, AnswerKey, AnswerReader, answer_reader
from me2sdk.sampling.decision import Decision, decide
from me2sdk.sampling.escalation import Escalate, escalation
from me2sdk.sampling.stopping import Stop, check_stop
from me2sdk.schema import Candidate, Failure, RerankResult, Select
from me2sdk.scorers import Scorer

__all__ = ["OnCandidate", "SelectionConfig", "choose"]

OnCandidate = Callable[[Candidate], Awaitable[None] | None]


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """How many candidates there are to be, and how the best of them is chosen.

    Attributes:
        n: number of candidates, at most.
        scorer: a scorer, or a name as `open_scorer` takes it, or None.
        select: "auto", "best", "vote" or "weighted_vote", as `best_of_n` says, and so are the rest.
        answer: what of the candidates is compared.
        min_candidates: fewer than this is an error.
        on_candidate: called with each `Candidate` once it is scored; may be async. What it raises is logged.
        stop: when sampling ends early.
        min_confidence: below this the result says that it abstains.
        escalate: the stronger model to ask where the choice is not sure.
        deadline: seconds for all of it.

    Raises:
        ConfigurationError: a setting cannot work.
    """

    n: int = 8
    scorer: str | Scorer | None = "mini"
    select: Select = "auto"
    answer: AnswerKey = "auto"
    min_candidates: int = 1
    on_candidate: OnCandidate | None = None
    stop: Stop = None
    min_confidence: float | None = None
    escalate: Escalate | Model | LLM | None = None
    deadline: float | None = None

    def __post_init__(self) -> None:
        if self.n < 1 or not 1 <= self.min_candidates <= self.n:
            raise ConfigurationError(
                f"n must be at least 1 and min_candidates between 1 and n; got n={self.n}, "
                f"min_candidates={self.min_candidates}."
            )
        if self.select not in get_args(Select):
            raise ConfigurationError(
                f"select must be one of {', '.join(get_args(Select))}; it is {self.select!r}."
            )
        if self.scorer is None and self.select in ("best", "weighted_vote"):
            raise ConfigurationError(
                f'select="{self.select}" needs rewards, and scorer=None gives none. Use select="auto" or "vote".'
            )
        check_stop(self.stop)
        counted = self.select in ("auto", "vote") and self.reader.compare in ("value", "text")
        if self.stop is not None and not callable(self.stop) and not counted:
            raise ConfigurationError(
                f'stop={self.stop!r} counts votes, so it needs select="auto" or "vote" and answers to compare. '
                "Pass a function to stop by something else."
            )
        if self.min_confidence is not None and not 0 < self.min_confidence <= 1:
            raise ConfigurationError(f"min_confidence is above 0 and at most 1; it is {self.min_confidence}.")
        if self.deadline is not None and self.deadline <= 0:
            raise ConfigurationError(f"deadline is in seconds and above 0; it is {self.deadline}.")
        if self.escalation is not None and self.reader.compare == "none":
            raise ConfigurationError("escalate needs answers to compare, and answer=None compares none.")

    @cached_property
    def reader(self) -> AnswerReader:
        """How the answer of a candidate is read."""
        return answer_reader(self.answer)

    @cached_property
    def escalation(self) -> Escalate | None:
        """The stronger model, and when it is asked."""
        return escalation(self.escalate, self.min_confidence)


async def choose(
    candidates: Sequence[Candidate],
    selection: SelectionConfig,
    failures: Sequence[Failure],
    *,
    groups: AnswerGroups | None = None,
    strong: range | None = None,
) -> Decision:
    """Compare answers, and decide; in a thread where the texts are long, since both look at all of them.

    Args:
        candidates: the candidates, scored as far as they could be.
        selection: how to choose.
        failures: what failed so far.
        groups: what is known of the answers, where some of them were compared before.
        strong: indices of the candidates of the stronger model, if it was asked.

    Returns:
        The `Decision`.

    Raises:
        ScoringError: the order needs rewards, and no candidate has one.
    """
    select, compare = selection.select, selection.reader.compare
    scorable = [candidate for candidate in candidates if candidate.refusal is None]
    if scorable and select in ("best", "weighted_vote") and all(one.score is None for one in scorable):
        first = next(failure for failure in failures if failure.stage == "score")
        raise ScoringError(
            f"None of the {len(scorable)} candidates could be scored. {first.error}: {first.message} "
            "The candidates are in .partial.",
            partial=RerankResult(candidates=tuple(candidates), failures=tuple(failures), select=select),
        )
    weights = None
    if strong is not None:
        weak = sum(candidate.index not in strong for candidate in candidates)
        weights = [max(1.0, weak / 2) if one.index in strong else 1.0 for one in candidates]
    numbers = await (groups or AnswerGroups(compare)).of([candidate.answer for candidate in candidates])
    return await in_thread_if_long(
        sum(len(one.trace.reasoning) + len(one.trace.response or "") for one in candidates),
        lambda: decide(candidates, numbers, select=select, compare=compare, weights=weights),
    )
