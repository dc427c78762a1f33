from __future__ import annotations

import pytest

from me2sdk.annotate.returns import merged_leaf, return_step
from me2sdk.annotate.turns import find_turn
from me2sdk.dag import DAGBuilder
from me2sdk.schema import Step

Given = str | tuple[str, str, tuple[int, ...]]


def built(*steps: Given) -> DAGBuilder:
    """A DAG of texts, which continue, and of (text, action, parents)."""
    builder = DAGBuilder()
    for one in steps:
        text, action, parents = (one, "continue", ()) if isinstance(one, str) else one
        builder.add(Step(text), action, parents)
    return builder


def returned(text: str, *steps: Given) -> int:
    builder = built(*steps)
    return return_step(text, find_turn(text), builder.pool(), builder.nodes)


def merged(text: str, *steps: Given) -> int | None:
    builder = built(*steps)
    return merged_leaf(text, builder.pool(), builder.nodes)


BEFORE = ("Let the triangle have sides a, b, c.", "Its perimeter is known.", "So the area follows.")
OTHER_WAY = "Alternatively, perhaps use vectors."
NEW_WAY = "This is getting messy. Maybe there is a better way."


def test_the_nearest_earlier_step_is_the_usual_one() -> None:
    assert returned(OTHER_WAY, *BEFORE) == 1


def test_a_second_alternative_returns_to_where_the_first_began() -> None:
    steps = (
        *BEFORE,
        ("Alternatively, maybe halve a rectangle.", "backtrack", (0,)),
        "It has the same sides.",
    )
    assert returned(OTHER_WAY, *steps) == 0


def test_an_old_alternative_is_given_up_only_as_a_whole() -> None:
    line = ("It is long.", "It is wide.", "It is high.", "It is old.", "It is new.", "It is red.")
    steps = (*BEFORE, ("Alternatively, maybe halve a rectangle.", "backtrack", (0,)), *line)
    assert returned(OTHER_WAY, *steps) == 8
    assert returned(NEW_WAY, *steps) == 0


def test_an_idea_of_the_last_step_is_what_the_next_idea_replaces() -> None:
    steps = (
        *BEFORE,
        ("Alternatively, halve it.", "backtrack", (0,)),
        "Its half is known.",
        "Maybe we can rotate it.",
    )
    assert returned(OTHER_WAY, *steps) == 4


def test_a_way_given_up_as_a_whole_began_where_somebody_set_out_on_it() -> None:
    steps = ("We need the area.", "Let's try Heron's formula.", "We need the perimeter.", "It is a long sum.")
    assert returned(NEW_WAY, *steps) == 0


def test_a_step_that_only_says_that_something_failed_goes_with_what_failed() -> None:
    assert returned(OTHER_WAY, *BEFORE, "That does not work.") == 1


@pytest.mark.parametrize(
    ("step", "parent"),
    [
        ("Alternatively, 9 - 6 = 3 (left: 3 10).", 1),
        ("Another way: 5 * 6 = 30 (left: 4 10 30).", 0),
        ("Alternatively, 15 * 10 = 150 (left: 150).", 2),
    ],
)
def test_a_computation_returns_to_where_its_numbers_are_known(step: str, parent: int) -> None:
    steps = (
        "I have 4 5 6 10 and need 24.",
        "4 + 5 = 9 (left: 6 9 10).",
        "6 + 9 = 15 (left: 10 15).",
        "15 - 10 = 5 (left: 5).",
        "No way to 24 from there.",
    )
    assert returned(step, *steps) == parent


def test_what_goes_back_to_something_finds_it_by_its_words() -> None:
    steps = (
        "We need the roots.",
        "The discriminant of the quadratic is 49.",
        "Its sum is 11.",
        "Its product is 18.",
    )
    assert returned("Let me go back to the discriminant: 49.", *steps) == 1


BRANCHES: tuple[Given, ...] = (
    "We count the crossings.",
    "Going north there are 35 by ferry.",
    ("Another way: those along the railway.", "backtrack", (0,)),
    "Along the railway there are 84.",
)


def test_a_merge_brings_in_what_only_a_branch_said() -> None:
    assert merged("Combining the 35 ferry crossings with those, there are 119.", *BRANCHES) == 1
    assert merged("As we found before, the ferry takes 35.", *BRANCHES) == 1
    assert merged("Combining the railway counts, there are 84.", *BRANCHES) is None
    assert merged("So there are 35 by ferry.", *BRANCHES) is None


def test_nothing_is_merged_where_no_branch_was_left() -> None:
    assert merged("Combining both results, 35 + 84 = 119.", "We count 35.", "And 84.") is None


def test_just_after_a_turn_a_mention_of_before_is_no_merge() -> None:
    assert merged("As before, the ferry takes 35.", *BRANCHES[:3]) is None


def test_a_branch_is_read_though_nobody_says_what_its_end_hangs_on() -> None:
    builder = built(*BRANCHES)
    nodes = [node.model_copy(update={"parents": ()}) for node in builder.nodes]
    assert merged_leaf("As we found before, the ferry takes 35.", builder.pool(), nodes) == 1
