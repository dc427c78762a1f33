from __future__ import annotations

import io

from rich.console import Console

from me2sdk import Annotation, ReasoningDAG, parse_dag
from me2sdk.cli.tree import dag_tree


class Given:
    """Attaches steps as told, by their numbers."""

    def __init__(self, **how: Annotation) -> None:
        self._how = how

    def annotate(self, step: object, pool: object, nodes: list[object]) -> Annotation:
        return self._how.get(f"s{len(nodes)}", Annotation("continue"))


def drawn(dag: ReasoningDAG, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as text:
        console.print(dag_tree(dag))
    return text.get().splitlines()


def test_the_main_line_goes_down_and_branches_stand_beside_it() -> None:
    steps = ["Begin.", "Try this.", "Go on.", "Or that.", "Go on.", "Once more.", "It is 4."]
    given = Given(s3=Annotation("backtrack", (1,)), s5=Annotation("backtrack", (0,)))
    assert drawn(parse_dag(steps, annotator=given))[:-1] == [
        "0 Begin.",
        "├── 1 Try this.",
        "│   └── 2 Go on.",
        "├── 3 back to 1: Or that.",
        "└── 4 Go on.",
        "5 back to 0: Once more.",
        "6 It is 4.",
    ]


def test_a_merge_names_its_other_parents() -> None:
    steps = ["Begin.", "One way.", "Another way.", "Both together."]
    given = Given(s2=Annotation("backtrack", (0,)), s3=Annotation("merge", (1, 2)))
    assert drawn(parse_dag(steps, annotator=given)) == [
        "0 Begin.",
        "└── 1 One way.",
        "2 back to 0: Another way.",
        "3 merges 1: Both together.",
        "4 steps, 0 branches left, 1 merge, 0% of the text off the dominant path",
    ]


def test_super_nodes_say_how_many_steps_they_hold() -> None:
    dag = parse_dag(["Begin.", "Go on.", "It is 4."]).collapse()
    assert drawn(dag)[0].startswith("0 (3 steps) Begin.")


def test_long_and_hostile_steps_stay_on_their_line() -> None:
    dag = parse_dag(["[red]Begin\x1b[31m\nhere." + " word" * 90, "Go [/] on.", "\ud800"])
    lines = drawn(dag, width=40)
    assert len(lines) == 5  # the last line is too long for this width
    assert lines[0].startswith("0 [red]Begin")
    assert lines[0].endswith("…")
    assert not any("\x1b" in line for line in lines)


def test_a_long_trace_is_drawn_without_recursion() -> None:
    steps = [f"Step {number}." for number in range(3000)]
    given = Given(**{f"s{number}": Annotation("backtrack", (number - 2,)) for number in range(2, 3000, 3)})
    assert len(drawn(parse_dag(steps, annotator=given))) == 3001
