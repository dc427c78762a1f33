from __future__ import annotations

import random

import pytest

from me2sdk import Candidate, Trace
from me2sdk.sampling import decide
from me2sdk.train import CandidateQuestion
from me2sdk.train.evaluate.choices import DRAWS, AutoChooser


def chooser(
    answers: str,
    correct: list[bool],
    rewards: list[float | None] | None = None,
    texts: list[str] | None = None,
    question: str = "q",
) -> AutoChooser:
    """A letter is an answer, "-" is none."""
    said = [None if letter == "-" else letter for letter in answers]
    item = CandidateQuestion(
        question=question,
        candidates=tuple(Trace(reasoning=text) for text in texts or ["So it is."] * len(answers)),
        correct=tuple(correct),
        answers=tuple(said),
    )
    groups = [None if letter is None else ord(letter) for letter in said]
    return AutoChooser(item, groups, rewards or [None] * len(answers))


def test_most_votes_then_reward() -> None:
    assert chooser("abb", [False, True, True]).choice.place == 1
    assert chooser("ab", [False, True], [0.0, 1.0]).choose([0, 1]) == 1
    assert chooser("ab", [False, True], [1.0, 0.0]).choose([1, 0]) == 0


def test_without_rewards_the_first_to_come_wins() -> None:
    two = chooser("ab", [False, True])
    assert (two.choose([0, 1]), two.choose([1, 0])) == (0, 1)


def test_a_confidence_only_where_there_are_two() -> None:
    assert chooser("a", [True]).choice == (0, None)
    confidence = chooser("aa", [True, True]).choice.confidence
    assert confidence is not None
    assert 0 < confidence < 1


def test_empty_candidates_are_left_out() -> None:
    texts = ["", "So it is.", "   "]
    one = chooser("-a-", [True, True, True], texts=texts)
    assert one.choice == (1, None)
    assert one.choose([0, 2]) is None
    assert not one.is_right(None)
    assert one.curve([1, 3]) == ([1 / 3, 1.0], [True, True])
    assert chooser("ab", [True, True], texts=["", ""]).choice.place == 0  # an answer is something


def test_the_curve_is_exact_at_one_and_at_all() -> None:
    found, exact = chooser("aabb", [True, True, False, False], [3.0, 2.0, 1.0, 0.0]).curve([1, 2, 4])
    assert exact == [True, False, True]
    assert (found[0], found[2]) == (0.5, 1.0)
    # Of two, the right one wins unless both are wrong: in 5 of 6 pairs.
    assert found[1] == pytest.approx(5 / 6, abs=0.3)
    assert found[1] * DRAWS == int(found[1] * DRAWS)


def test_orders_differ_between_questions_and_not_between_runs() -> None:
    one, again, other = (chooser("abcdefgh", [True] * 8, question=name) for name in ("q", "q", "r"))
    assert one.orders == again.orders
    assert one.orders != other.orders
    assert len(set(one.orders)) == DRAWS
    assert all(sorted(order) == list(range(8)) for order in one.orders)


def test_votes_are_counted() -> None:
    found = chooser("aab-", [True] * 4)
    assert (found.tally([0, 1, 2, 3]).leader, found.tally([0, 1, 2, 3]).second) == (2, 1)
    assert (found.tally([2, 3]).leader, found.tally([]).leader) == (1, 0)


@pytest.mark.parametrize("seed", range(60))
def test_a_choice_is_that_of_the_product(seed: int) -> None:
    """Also where the chooser sees from the votes alone what it will be."""
    draw = random.Random(seed)
    count = draw.randint(1, 7)
    answers = "".join(draw.choice("aab-" if seed % 2 else "ab---") for _ in range(count))
    correct = [letter == "a" or (letter != "b" and draw.random() < 0.5) for letter in answers]
    if seed % 3 == 0:  # graders err: the same answer is right here and wrong there
        correct = [draw.random() < 0.5 for _ in answers]
    rewards = [draw.choice([None, 0.0, 1.0, 2.0]) for _ in answers]
    texts = [draw.choice(["So it is.", "The answer is it.", "one two three", "one two"]) for _ in answers]
    found = chooser(answers, correct, rewards, texts)
    places = draw.sample(range(count), count)
    candidates = [
        Candidate(
            index=index,
            trace=Trace(reasoning=texts[place]),
            answer=None if answers[place] == "-" else answers[place],
            score=rewards[place],
        )
        for index, place in enumerate(places)
    ]
    best = places[decide(candidates, [found.groups[place] for place in places]).candidates[0].index]
    chosen = found.choose(places)
    assert chosen is not None
    assert correct[chosen] == correct[best]
    assert answers[chosen] == answers[best]
