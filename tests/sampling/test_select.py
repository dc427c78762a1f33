from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from me2sdk import Candidate, Trace
from me2sdk.sampling import order
from me2sdk.schema import Select


def candidate(index: int, score: float | None, truncated: bool = False) -> Candidate:
    return Candidate(index=index, trace=Trace(reasoning="x", truncated=truncated), score=score)


def indices(rows: list[tuple[float | None, int | None]], select: Select) -> list[int]:
    candidates = [candidate(index, score) for index, (score, _) in enumerate(rows)]
    return [c.index for c in order(candidates, select, [group for _, group in rows])]


def test_best_orders_by_reward_and_ties_go_to_the_earlier() -> None:
    assert indices([(1.0, 0), (2.0, 1), (2.0, 0), (None, 0), (-1.0, 0)], "best") == [1, 2, 0, 4, 3]


def test_vote_takes_the_most_frequent_answer_and_its_best_candidate() -> None:
    assert indices([(9.0, 0), (1.0, 1), (2.0, 1), (5.0, None)], "vote") == [2, 1, 0, 3]


def test_tied_votes_go_to_the_answer_that_came_first() -> None:
    assert indices([(0.0, 0), (9.0, 1), (1.0, 0), (9.0, 1)], "vote")[0] == 2


def test_weighted_vote_sums_sigmoid_of_reward() -> None:
    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    rows: list[tuple[float | None, int | None]] = [(2.0, 0), (0.1, 1), (0.2, 1)]
    assert sigmoid(2.0) < sigmoid(0.1) + sigmoid(0.2)
    assert indices(rows, "weighted_vote") == [2, 1, 0]
    assert indices([(2.0, 0), (-3.0, 1), (-3.0, 1)], "weighted_vote")[0] == 0
    assert indices([(-800.0, 0), (-700.0, 1)], "weighted_vote")[0] == 1  # no overflow


def test_without_any_answer_a_vote_is_the_best_reward() -> None:
    rows: list[tuple[float | None, int | None]] = [(1.0, None), (2.0, None)]
    assert indices(rows, "vote") == indices(rows, "weighted_vote") == [1, 0]


@pytest.mark.parametrize("select", ["best", "vote", "weighted_vote"])
def test_an_unfinished_candidate_never_leads_nor_votes(select: Select) -> None:
    candidates = [candidate(0, 9.0, truncated=True), candidate(1, 9.0, truncated=True), candidate(2, -9.0)]
    assert [c.index for c in order(candidates, select, [0, 0, 1])] == [2, 0, 1]


SCORES = st.one_of(st.none(), st.floats(-5, 5), st.sampled_from([0.0, 1.0]))
ROWS = st.lists(st.tuples(SCORES, st.one_of(st.none(), st.integers(0, 2)), st.booleans()), max_size=8)


@given(ROWS, st.sampled_from(["best", "vote", "weighted_vote"]))
def test_order_is_a_permutation_led_by_a_fair_winner(
    rows: list[tuple[float | None, int | None, bool]], select: Select
) -> None:
    candidates = [candidate(index, score, cut) for index, (score, _, cut) in enumerate(rows)]
    groups = [group for _, group, _ in rows]
    ordered = order(candidates, select, groups)
    assert sorted(c.index for c in ordered) == list(range(len(rows)))
    finished = [c for c in candidates if not c.trace.truncated]
    if not finished:
        return
    winner = ordered[0]
    assert not winner.trace.truncated
    rivals = finished
    voters = [c for c in finished if groups[c.index] is not None]
    if select != "best" and voters:
        rivals = [c for c in voters if groups[c.index] == groups[winner.index]]
        if select == "vote":
            counts = [
                sum(groups[c.index] == group for c in voters) for group in {groups[c.index] for c in voters}
            ]
            assert len(rivals) == max(counts)
    scored = [c.score for c in rivals if c.score is not None]
    if scored:
        assert winner.score == max(scored)
        assert winner.index == min(c.index for c in rivals if c.score == winner.score)
    else:
        assert winner.index == min(c.index for c in rivals)
