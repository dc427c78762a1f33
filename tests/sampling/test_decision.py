from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from me2sdk import Answer, Candidate, Trace
from me2sdk.sampling import Decision, decide
from me2sdk.schema import Select

SELECTS: list[Select] = ["auto", "best", "vote", "weighted_vote"]


def candidate(
    index: int, score: float | None = None, *, text: str = "x", answer: str | None = None, cut: bool = False
) -> Candidate:
    return Candidate(index=index, trace=Trace(reasoning=text, truncated=cut), score=score, answer=answer)


def decided(rows: list[tuple[float | None, int | None]], select: Select) -> Decision:
    candidates = [
        candidate(index, score, answer=None if group is None else str(group))
        for index, (score, group) in enumerate(rows)
    ]
    return decide(candidates, [group for _, group in rows], select=select)


def indices(rows: list[tuple[float | None, int | None]], select: Select) -> list[int]:
    return [one.index for one in decided(rows, select).candidates]


def test_best_orders_by_reward_and_ties_go_to_the_earlier() -> None:
    assert indices([(1.0, 0), (2.0, 1), (2.0, 0), (None, 0), (-1.0, 0)], "best") == [1, 2, 0, 4, 3]


@pytest.mark.parametrize("select", ["auto", "vote"])
def test_a_vote_takes_the_most_frequent_answer_and_its_best_candidate(select: Select) -> None:
    assert indices([(9.0, 0), (1.0, 1), (2.0, 1), (5.0, None)], select) == [2, 1, 0, 3]


@pytest.mark.parametrize("select", ["auto", "vote"])
def test_tied_votes_go_to_the_better_reward_then_to_the_earlier(select: Select) -> None:
    assert indices([(0.0, 0), (9.0, 1), (1.0, 0), (8.0, 1)], select)[0] == 1
    assert indices([(9.0, 0), (9.0, 1), (1.0, 0), (8.0, 1)], select)[0] == 0
    assert indices([(None, 1), (None, 0), (None, 0), (None, 1)], select)[0] == 0
    assert indices([(1.0, 0), (2.0, 1)], select) == [1, 0]  # of two, too


def test_a_weighted_vote_does_not_depend_on_the_scale_of_rewards() -> None:
    rows: list[tuple[float | None, int | None]] = [(2.0, 0), (0.1, 1), (0.2, 1)]
    assert indices(rows, "weighted_vote") == [2, 1, 0]  # 1 + 1/3 against 2 + 1/6
    assert indices([(score and score * 1e6, group) for score, group in rows], "weighted_vote") == [2, 1, 0]
    assert indices([(score and score - 800, group) for score, group in rows], "weighted_vote") == [2, 1, 0]
    tied: list[tuple[float | None, int | None]] = [(0.0, 0), (1.0, 1), (2.0, 1), (3.0, 0), (4.0, 0), (5.0, 1)]
    answers = decided(tied, "weighted_vote").answers
    assert [(one.votes, round(one.weight, 4)) for one in answers] == [
        (3, round(3 + 8 / 12, 4)),
        (3, round(3 + 7 / 12, 4)),
    ]


@pytest.mark.parametrize("select", SELECTS)
def test_an_unfinished_candidate_never_leads_nor_votes(select: Select) -> None:
    candidates = [candidate(0, 9.0, cut=True), candidate(1, 9.0, cut=True), candidate(2, -9.0)]
    found = decide(candidates, [0, 0, 1], select=select)
    assert [one.index for one in found.candidates] == [2, 0, 1]
    assert [(one.votes, one.best) for one in found.answers] == [(1, 2)]


def test_of_one_answer_the_candidate_leads_that_writes_it_as_most_do() -> None:
    tagged = [
        candidate(i, float(i), text=f"So <answer>{4 + i // 3}</answer>", answer=str(4 + i // 3))
        for i in range(4)
    ]
    boxed = candidate(4, 99.0, text=r"So \boxed{4}", answer="4")
    spelled = candidate(5, 98.0, text="So <answer>4.0</answer>", answer="4.0")
    found = decide([*tagged, boxed, spelled], [0, 0, 0, 1, 0, 0])
    assert [one.index for one in found.candidates] == [2, 1, 0, 5, 4, 3]
    by_reward = decide([*tagged, boxed, spelled], [0, 0, 0, 1, 0, 0], select="vote")
    assert [one.index for one in by_reward.candidates] == [4, 5, 2, 1, 0, 3]


def test_free_text_is_chosen_by_how_near_it_is_to_the_others() -> None:
    texts = ["Rain falls from clouds over hills", "Rain falls from clouds", "Water boils", "Rain falls down"]
    found = decide([candidate(i, -float(i), text=text) for i, text in enumerate(texts)], [None] * 4)
    assert [one.index for one in found.candidates] == [1, 0, 3, 2]
    assert (found.chosen_by, found.confidence, found.answers, found.failure) == ("agreement", None, (), None)


def test_a_few_answers_among_free_text_do_not_decide_unless_a_vote_is_asked_for() -> None:
    texts = ["Rain falls from clouds", "Rain falls from clouds today", "Rain falls", "It is 4"]
    candidates = [candidate(i, text=text, answer="4" if i == 3 else None) for i, text in enumerate(texts)]
    groups = [None, None, None, 0]
    assert decide(candidates, groups).candidates[0].index == 0
    by_vote = decide(candidates, groups, select="vote")
    assert by_vote.candidates[0].index == 3
    assert by_vote.failure is None
    assert by_vote.confidence is None  # one answer of four candidates says too little


def test_long_texts_that_break_off_do_not_outvote_the_answers_of_others() -> None:
    cut = "and then we take the next of these numbers, " * 10 + "so that P = 3 +"
    texts = [cut, f"{cut} 1 x", "It is 4", f"{cut} 2 y", "So it is 4"]
    candidates = [
        candidate(i, text=text, answer="4" if "4" in text else None) for i, text in enumerate(texts)
    ]
    found = decide(candidates, [None, None, 0, None, 0])
    assert (found.candidates[0].answer, found.chosen_by) == ("4", "agreement")
    ended = [
        one.model_copy(update={"trace": Trace(reasoning=f"{one.trace.reasoning}.")}) for one in candidates
    ]
    assert decide(ended, [None, None, 0, None, 0]).candidates[0].answer is None


@pytest.mark.parametrize(
    ("scores", "chosen_by", "first"),
    [((1.0, 2.0), "reward", 1), ((None, None), "order", 0), ((None, 2.0), "reward", 1)],
)
def test_of_two_free_texts_the_reward_decides_then_the_order(
    scores: tuple[float | None, ...], chosen_by: str, first: int
) -> None:
    found = decide([candidate(i, score, text="abc def") for i, score in enumerate(scores)], [None, None])
    assert (found.chosen_by, found.candidates[0].index) == (chosen_by, first)


@pytest.mark.parametrize("select", ["vote", "weighted_vote"])
def test_a_vote_that_cannot_be_held_says_so(select: Select) -> None:
    found = decided([(1.0, None), (2.0, None)], select)
    assert [one.index for one in found.candidates] == [1, 0]
    assert found.failure is not None
    assert (found.failure.stage, found.failure.index, found.failure.error) == ("select", None, "NoVote")
    assert "answer=" in found.failure.message
    assert decided([(1.0, None), (2.0, None)], "auto").failure is None


def test_chosen_by_says_what_decided() -> None:
    assert decided([(1.0, 0), (2.0, 0)], "auto").chosen_by == "agreement and reward"
    assert decided([(None, 0), (None, 0)], "auto").chosen_by == "agreement"
    assert decided([(1.0, 0), (2.0, 0)], "best").chosen_by == "reward"
    nothing = decide([candidate(0), candidate(1)], [None, None], compare="none")
    assert (nothing.chosen_by, nothing.candidates[0].index) == ("order", 0)


TEXTS = [
    "Ann has 3 bags with 14 figs, so 42 figs. The answer is 42.",
    "Each bag holds 14; with 3 bags that makes 42. The answer is 42.",
    "3 times 14 is 42 by adding 14 thrice: 14, 28, 42. The answer is 42.",
    "We take 14 and 3 and find 17. The answer is 17.",
]


def counted(answers: list[str]) -> Decision:
    """Candidates that write different words, with these answers."""
    words = ["alpha beta", "gamma delta", "rho sigma", "tau phi", "chi psi", "kappa mu", "nu xi", "pi eta"]
    candidates = [candidate(i, text=f"{words[i]} so {said}", answer=said) for i, said in enumerate(answers)]
    return decide(candidates, [sorted(set(answers)).index(said) for said in answers])


def test_confidence_rises_with_agreement_and_with_independence() -> None:
    shares = [counted(["4"] * k + [str(9 + i) for i in range(8 - k)]).confidence for k in (2, 4, 6, 8)]
    assert shares == sorted(shares)  # type: ignore[type-var]
    assert all(one is not None and 0 < one < 1 for one in shares)
    more = [counted(["4"] * n).confidence for n in (2, 4, 8)]
    assert more == sorted(more)  # type: ignore[type-var]
    copies = decide([candidate(i, text=TEXTS[0], answer="42") for i in range(3)], [0] * 3).confidence
    apart = decide([candidate(i, text=TEXTS[i], answer="42") for i in range(3)], [0] * 3).confidence
    assert copies is not None
    assert apart is not None
    assert copies < apart


def test_confidences_of_all_answers_leave_room_for_none_of_them() -> None:
    found = counted(["4", "4", "4", "5", "5", "6"])
    chances = [one.confidence for one in found.answers]
    assert [(one.text, one.votes) for one in found.answers] == [("4", 3), ("5", 2), ("6", 1)]
    assert chances == sorted(chances, reverse=True)  # type: ignore[type-var]
    assert 0.5 < sum(chance or 0 for chance in chances) < 1
    assert found.confidence == chances[0] == found.candidates[0].confidence
    assert [one.confidence for one in found.candidates] == [chances[0]] * 3 + [chances[1]] * 2 + [chances[2]]


def test_of_a_single_candidate_nothing_is_known() -> None:
    found = decided([(1.0, 0)], "auto")
    assert (found.confidence, found.answers) == (
        None,
        (Answer(text="0", votes=1, weight=1.0, best=0, candidates=(0,)),),
    )


def test_the_scale_of_rewards_does_not_change_the_confidence() -> None:
    rows: list[tuple[float | None, int | None]] = [(1.0, 0), (3.0, 0), (2.0, 1), (0.5, 2)]
    scaled = [(score and 1000 * score - 7, group) for score, group in rows]
    assert decided(rows, "auto").confidence == pytest.approx(decided(scaled, "auto").confidence)


def test_votes_may_count_for_more() -> None:
    candidates = [candidate(i, text=TEXTS[i], answer=said) for i, said in enumerate(["42", "42", "42", "17"])]
    found = decide(candidates, [0, 0, 0, 1], weights=[1, 1, 1, 4])
    assert [(one.text, one.votes, one.weight) for one in found.answers] == [("17", 1, 4.0), ("42", 3, 3.0)]
    assert found.candidates[0].index == 3


SCORES = st.one_of(st.none(), st.floats(-5, 5), st.sampled_from([0.0, 1.0]))
ROWS = st.lists(st.tuples(SCORES, st.one_of(st.none(), st.integers(0, 2)), st.booleans()), max_size=8)


@given(ROWS, st.sampled_from(SELECTS))
def test_order_is_a_permutation_led_by_a_fair_winner(
    rows: list[tuple[float | None, int | None, bool]], select: Select
) -> None:
    candidates = [
        candidate(i, score, answer=str(group), cut=cut) for i, (score, group, cut) in enumerate(rows)
    ]
    groups = [group for _, group, _ in rows]
    found = decide(candidates, groups, select=select)
    assert sorted(one.index for one in found.candidates) == list(range(len(rows)))
    finished = [one for one in candidates if not one.trace.truncated]
    if not finished:
        return
    winner = found.candidates[0]
    assert not winner.trace.truncated
    rivals = finished
    voters = [one for one in finished if groups[one.index] is not None]
    if select == "auto" and 2 * len(voters) < len(finished):
        return  # the nearest text leads
    if select != "best" and voters:
        rivals = [one for one in voters if groups[one.index] == groups[winner.index]]
        if select in ("vote", "auto"):
            counts = [
                sum(groups[one.index] == group for one in voters)
                for group in {groups[one.index] for one in voters}
            ]
            assert len(rivals) == max(counts)
    scored = [one.score for one in rivals if one.score is not None]
    if scored:
        assert winner.score == max(scored)
        assert winner.index == min(one.index for one in rivals if one.score == winner.score)
    else:
        assert winner.index == min(one.index for one in rivals)
    if found.confidence is not None:
        assert 0 <= found.confidence <= 1
