"""`score_each`: a batch, then one by one, until the scorer is given up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.schema import Scores, Trace
from me2sdk.scorers import FailureLimit, score_each

CHAT = [{"role": "user", "content": "2 + 2?"}]


class Numbers:
    """Scores a trace by the number that it is, and remembers how it was asked."""

    def __init__(self, error: type[Exception] = RuntimeError) -> None:
        self.error = error
        self.calls: list[tuple[Any, list[str]]] = []

    def score(self, question: Any, traces: Sequence[Any]) -> Scores:
        texts = [trace.reasoning for trace in traces]
        self.calls.append((question, texts))
        if "bad" in texts:
            raise self.error("cannot read this")
        return Scores([float(text) for text in texts], [int(text) for text in texts])

    @property
    def sizes(self) -> list[int]:
        return [len(texts) for _, texts in self.calls]


def traces(*texts: str) -> list[Trace]:
    return [Trace(reasoning=text) for text in texts]


async def test_what_works_is_one_call() -> None:
    scorer = Numbers()
    found = await score_each(scorer, CHAT, traces("1", "2"))
    assert [(one.score, one.truncated, one.error) for one in found] == [(1.0, 1, None), (2.0, 2, None)]
    assert scorer.calls == [(CHAT, ["1", "2"])]
    assert await score_each(scorer, CHAT, []) == []
    assert len(scorer.calls) == 1


@pytest.mark.parametrize("question", ["q", CHAT])
async def test_one_bad_trace_costs_no_other(question: Any) -> None:
    scorer = Numbers()
    found = await score_each(scorer, question, traces("1", "bad", "3"))
    assert [one.score for one in found] == [1.0, None, 3.0]
    assert isinstance(found[1].error, RuntimeError)
    assert [asked for asked, _ in scorer.calls] == [question] * 4


async def test_each_trace_keeps_its_own_question() -> None:
    scorer = Numbers()
    questions = ["a", CHAT, None]
    await score_each(scorer, questions, traces("bad", "2", "3"))
    assert [asked for asked, _ in scorer.calls] == [questions, ["a"], [CHAT], [None]]


async def test_groups_are_tried_before_traces() -> None:
    scorer = Numbers()
    found = await score_each(scorer, "q", traces("1", "2", "bad", "4", "5", "6"), groups=[2, 2, 0, 2])
    assert [one.score for one in found] == [1.0, 2.0, None, 4.0, 5.0, 6.0]
    assert scorer.sizes == [6, 2, 2, 1, 1, 2]
    alone = Numbers()
    await score_each(alone, "q", traces("1", "bad"), groups=[2])
    assert alone.sizes == [2, 1, 1]


async def test_a_trace_may_be_tried_more_than_once() -> None:
    scorer = Numbers()
    await score_each(scorer, "q", traces("bad"), tries=2)
    await score_each(scorer, "q", traces("bad", "2"), tries=2)
    assert scorer.sizes == [1, 1, 2, 1, 1, 1]


async def test_a_scorer_is_given_up_over_several_calls_and_a_success_counts_anew() -> None:
    scorer, limit = Numbers(), FailureLimit(3)
    await score_each(scorer, "q", traces("bad", "bad"), limit=limit)
    assert (limit.in_a_row, limit.reached) == (2, False)
    await score_each(scorer, "q", traces("1"), limit=limit)
    assert limit.in_a_row == 0
    found = await score_each(scorer, "q", traces("bad", "bad", "bad", "4"), limit=limit)
    assert limit.reached
    assert [type(one.error) for one in found] == [RuntimeError] * 3 + [ScoringError]
    calls = len(scorer.calls)
    (last,) = await score_each(scorer, "q", traces("5"), limit=limit)
    assert "Not tried" in str(last.error)
    assert len(scorer.calls) == calls


async def test_traces_that_cannot_be_read_do_not_count() -> None:
    limit = FailureLimit(2)
    found = await score_each(Numbers(InvalidTraceError), "q", traces("bad", "bad", "bad", "4"), limit=limit)
    assert [one.score for one in found] == [None, None, None, 4.0]
    assert limit.in_a_row == 0


async def test_fatal_errors_end_it() -> None:
    scorer = Numbers(ConfigurationError)
    with pytest.raises(ConfigurationError):
        await score_each(scorer, "q", traces("1", "bad"), fatal=(ConfigurationError,))
    assert scorer.sizes == [2]
    found = await score_each(scorer, "q", traces("1", "bad"))
    assert [one.score for one in found] == [1.0, None]


async def test_scores_that_are_no_numbers_are_failures() -> None:
    class Nan:
        def score(self, question: Any, traces: Sequence[Any]) -> list[float]:
            return [float("nan")] * len(traces)

    (one,) = await score_each(Nan(), "q", traces("1"))
    assert "one finite score per trace" in str(one.error)


class Side:
    """A joint scorer whose error says what became of each trace."""

    joint = True

    def __init__(self, outcomes: list[object] | None) -> None:
        self.outcomes, self.calls = outcomes, 0

    def score(self, question: object, traces: list[Trace]) -> list[float]:
        self.calls += 1
        error = RuntimeError("some failed")
        if self.outcomes is not None:
            error.outcomes = self.outcomes  # type: ignore[attr-defined]
        raise error


async def test_a_joint_scorer_is_not_asked_for_single_traces() -> None:
    traces = [Trace(reasoning=text) for text in "abc"]
    scorer = Side(None)
    found = await score_each(scorer, "q", traces)
    assert scorer.calls == 1
    assert [str(one.error) for one in found] == ["some failed"] * 3
    lost = RuntimeError("unreadable")
    found = await score_each(Side([1.5, lost, 2]), "q", traces)
    assert [(one.score, one.error) for one in found] == [(1.5, None), (None, lost), (2.0, None)]
    scorer = Side(None)
    await score_each(scorer, ["p", "p", "q"], traces, groups=[2, 1])
    assert scorer.calls == 3  # all, and then each question
