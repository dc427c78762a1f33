from __future__ import annotations

import time

import pytest

from me2sdk.annotate import Annotation, LocalAnnotator, parse_dag
from me2sdk.dag import DAGBuilder
from me2sdk.schema import Step


def annotate(new: str, *steps: str | tuple[str, str, tuple[int, ...]]) -> Annotation:
    """What the annotator says of a step after others: texts, or (text, action, parents)."""
    builder = DAGBuilder()
    for one in steps:
        text, action, parents = (one, "continue", ()) if isinstance(one, str) else one
        builder.add(Step(text), action, parents)
    return LocalAnnotator().annotate(Step(new), builder.pool(), builder.nodes)


BEFORE = ("Let the triangle have sides 3, 4, 5.", "Its perimeter is 12.", "So the area would be 7.")


@pytest.mark.parametrize(
    "step",
    [
        "Alternatively, maybe use Heron's formula.",
        "But alternatively, perhaps we can think of coordinates.",
        "Another approach: consider the inradius.",
        "Hmm, this is getting messy. Maybe there is a better way to see it.",
        "Wait, let me think differently about the area.",
        "Let me start over.",
        "What if we try to cut it in two?",
    ],
)
def test_backtracks(step: str) -> None:
    found = annotate(step, *BEFORE)
    assert found.action == "backtrack"
    assert found.explanation


@pytest.mark.parametrize(
    "step",
    [
        "So the height is 2.",
        "Wait, 3 times 4 is 12, not 7.",
        "But the sides are whole numbers.",
        "However, that is only an upper bound.",
        "Let me check that: 3 + 4 + 5 = 12.",
        "Alternatively, note that 12 = 3 + 4 + 5.",
        "Alternatively, since 12 is even, it can be halved.",
        "Therefore the answer is 6.",
        "",
        "\ud800",
        "∀∃" * 50,
    ],
)
def test_continues(step: str) -> None:
    assert annotate(step, *BEFORE).action == "continue"


def test_the_example_of_the_readme_branches() -> None:
    trace = "Okay, so 12 × 13.\n\nSo 120 + 36 = 156.\n\nAlternatively, 13 × 13 - 13.\n\nSo the answer is \\boxed{156}."
    dag = parse_dag(trace)
    assert [node.parents for node in dag.nodes] == [(), (0,), (0,), (2,)]
    assert dag.dominant_path() == (0, 2, 3)


def test_a_backtrack_returns_to_the_nearest_earlier_step() -> None:
    assert annotate("Alternatively, perhaps use vectors.", *BEFORE).parents == (1,)


def test_another_way_after_another_way_returns_to_where_that_one_began() -> None:
    steps = (*BEFORE, ("Alternatively, maybe halve a rectangle.", "backtrack", (0,)), "It has sides 3 and 4.")
    assert annotate("Alternatively, perhaps use vectors.", *steps).parents == (0,)


def test_what_goes_back_to_something_finds_it_by_its_words() -> None:
    steps = (
        "We need the roots.",
        "The discriminant of the quadratic is 49.",
        "Its sum is 11.",
        "Its product is 18.",
    )
    assert annotate("Let me go back to the discriminant and start over: 49.", *steps).parents == (1,)


def test_merges_what_only_a_branch_said() -> None:
    steps = (
        "We count the paths.",
        "Going north first there are 35 crossings by ferry.",
        ("Alternatively, maybe count those along the railway.", "backtrack", (0,)),
        "Along the railway there are 84.",
    )
    found = annotate("Combining the 35 ferry crossings with those, there are 119.", *steps)
    assert (found.action, found.parents) == ("merge", (1, 3))
    assert annotate("Combining the railway counts, there are 84.", *steps).action == "continue"


def test_is_deterministic_and_quick() -> None:
    sentence = "So the value of item {0} is {1}, which follows from the equation above by adding {0}. " * 3
    steps = [
        ("Alternatively, maybe use rule {0}. " if number % 5 == 0 else "")
        + sentence.format(number, number * 7)
        for number in range(4000)
    ]
    times = []  # of the processor, since other work shares the machine
    for _ in range(3):
        started = time.process_time()
        dag = parse_dag(steps)
        times.append(time.process_time() - started)
    assert sum(node.action == "backtrack" for node in dag.nodes) > 100
    assert len(steps) / min(times) > 2000
    assert dag == parse_dag(steps)
