from __future__ import annotations

import pytest

from me2sdk.annotate.turns import find_turn


@pytest.mark.parametrize(
    "step",
    [
        "Alternatively, maybe use Heron's formula.",
        "Alternatively, perhaps we can use symmetric sums. Let S = a + b.",
        "But alternatively, we could count the complement.",
        "Alternatively, since both sides are even, perhaps we can halve them.",
        "Alternatively, let me compute the area directly.",
        "Alternatively, 13 × 13 - 13.",
        "Alternatively, 7 * 8 = 56.",
        "Alternative: use symmetry.",
        "Or use Lagrange multipliers.",
        "Hmm, not helpful. Alternatively, use coordinates.",
        "Maybe use the complement instead.",
        "Instead of expanding it, let's factor.",
        "On second thought, use substitution.",
        "Method 2: use vectors.",
        "Perhaps using the inclusion-exclusion principle. Let me try that.",
        "What if we cut it in two?",
    ],
)
def test_another_idea_is_a_turn(step: str) -> None:
    found = find_turn(step)
    assert found
    assert not found.whole


@pytest.mark.parametrize(
    "step",
    [
        "Another approach: consider the inradius.",
        "Let's try a different method.",
        "Hmm, this is getting messy. Maybe there is a better way to see it.",
        "Wait, this is getting convoluted. Let's try to find a pattern.",
        "Wait, let me think differently about the area.",
        "Hmm, that doesn't work. Let's try induction.",
        "But I'm not sure how to go on.\n\n### Considering the perimeter",
        "Let me start over.",
        "I made a mistake. Let me redo this from the beginning.",
    ],
)
def test_giving_up_the_whole_way_is_a_turn(step: str) -> None:
    found = find_turn(step)
    assert found
    assert found.whole


@pytest.mark.parametrize(
    "step",
    [
        "So the height is 2.",
        "Wait, 3 times 4 is 12, not 7.",
        "But the sides are whole numbers.",
        "Alternatively, note that 12 = 3 + 4 + 5.",
        "Alternatively, since 12 is even, it can be halved.",
        "Alternatively, perhaps the maximum is at the corner.",
        "Alternatively, we can think of it as stars and bars.",
        "Alternatively, using the formula: A = 6.",
        "Alternatively, let me check by plugging in x = 2.",
        "To be thorough, let me check if there's another approach.",
        "I see no other way to read this.",
        "Then the farmer has to go back to the first bank.",
        "",
        "\ud800",
        "∀∃" * 50,
    ],
)
def test_facts_guesses_and_checks_are_no_turns(step: str) -> None:
    assert find_turn(step) is None


def test_a_typographic_apostrophe_reads_like_a_plain_one() -> None:
    assert find_turn("Let’s try a different approach.") == find_turn("Let's try a different approach.")


@pytest.mark.parametrize(
    "part", ["Alternatively, ", "wait but ", "is getting very ", "another ", "## can't "]
)
def test_only_the_beginning_of_a_long_step_is_read(part: str) -> None:
    assert find_turn(part * 50_000) == find_turn((part * 50_000)[:320])
