from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from support.sample_dags import DAGS, HOSTILE, dag

from me2sdk.dag import ReasoningDAG, macro_view, micro_view
from me2sdk.dag.views import dominant_path, extractive_summary

HEADER = re.compile(
    r"<(?:Root|Branch|Merge|Leaf|Node)(?: & (?:Branch|Merge|Leaf))* id=\d+ depth=\d+ "
    r"parents=\[(?:\d+(?:, \d+)*)?\] children=\[(?:\d+(?:, \d+)*)?\]>"
)
# 0 - 1 - 2        a dead end
#  \- 3 - 4        the answer
#      \- 5 - 6    a check that merges 4 and ends
TREE = dag(
    "Let n = 3.",
    "Try n + 1.",
    "That gives 4, so the answer is 4? No.",
    ("Alternatively 2n.", "backtrack", 0),
    r"So it is \boxed{6}.",
    ("Check by adding.", "backtrack", 3),
    ("3 + 3 agrees.", "merge", 4, 5),
)


def test_macro_view() -> None:
    assert macro_view(TREE, {0: "Sets up.", 2: " Doubles\nn. "}) == (
        "<Root & Branch id=0 depth=0 parents=[] children=[1, 2]>\nSets up.\n\n"
        "<Leaf id=1 depth=1 parents=[0] children=[]>\n[extract] That gives 4, so the answer is 4?\n\n"
        "<Branch id=2 depth=1 parents=[0] children=[3, 4]>\nDoubles n.\n\n"
        "<Node id=3 depth=2 parents=[2] children=[5]>\n[extract] So it is \\boxed{6}.\n\n"
        "<Node id=4 depth=2 parents=[2] children=[5]>\n[extract] Check by adding.\n\n"
        "<Merge & Leaf id=5 depth=3 parents=[3, 4] children=[]>\n[extract] 3 + 3 agrees."
    )


def test_macro_view_of_a_single_step() -> None:
    assert macro_view(dag("x")) == "<Root & Leaf id=0 depth=0 parents=[] children=[]>\n[extract] x"


@given(DAGS)
def test_macro_view_of_anything(grown: ReasoningDAG) -> None:
    chains = grown.collapse()
    view = macro_view(grown, {1: HOSTILE[5]})
    assert view == macro_view(chains, {1: HOSTILE[5]})
    lines = view.splitlines()
    # Nothing but ours reads as a header, whatever the steps and the summaries say.
    assert len(HEADER.findall(view)) == len(chains.nodes)
    assert all(HEADER.fullmatch(line) for line in lines if line.startswith("<"))


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("Hmm. Let us add the two. Therefore x = 3. But wait.", "Therefore x = 3."),
        ("Hmm. Let us add the two numbers. Good.", "Let us add the two numbers."),
        ("Hmm.\nOh.", "Hmm."),
        ("The ratio is 3.14 exactly here. Good.", "The ratio is 3.14 exactly here."),
        (" \n ", ""),
        ("", ""),
    ],
)
def test_extractive_summary(text: str, summary: str) -> None:
    assert extractive_summary(text) == summary


@pytest.mark.parametrize(
    "conclusion",
    [
        "Therefore x is 3.",
        "THUS it holds.",
        "So our answer: 3.",
        "In  summary, 3.",
        "It is \\boxed{3}.",
        "As a result, 3.",
    ],
)
def test_a_summary_is_the_sentence_that_concludes(conclusion: str) -> None:
    text = f"We look at all of it first. {conclusion} The waiter was overchecked in thusness."
    assert extractive_summary(text) == " ".join(conclusion.split())


def test_extractive_summary_is_short() -> None:
    assert len(extractive_summary("word " * 1000)) <= 240
    assert extractive_summary("word " * 1000).endswith("…")


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (None, (0, 3, 4, 5, 6)),  # no leaf marks the boxed 6, so the last step counts
        ("6", (0, 3, 4, 5, 6)),
        ("4", (0, 1, 2)),  # mentioned in a conclusion
        ("100", (0, 3, 4, 5, 6)),
    ],
)
def test_dominant_path(answer: str | None, path: tuple[int, ...]) -> None:
    assert dominant_path(TREE, answer) == path


def test_every_leaf_that_marks_the_answer_counts() -> None:
    made = dag(
        "Start.",
        r"\boxed{$\text{7}$}",
        "So much for that.",
        ("Again: Final answer: 8", "backtrack", 0),
        (r"Or \boxed{7}", "backtrack", 0),
        ("Bye.", "backtrack", 0),
    )
    assert dominant_path(made) == (0, 1, 2, 4)
    assert dominant_path(made, "8") == (0, 3)
    assert dominant_path(made.collapse()) == (0, 1, 3)


def test_a_bare_mention_in_an_abandoned_branch_says_nothing() -> None:
    made = dag("Start.", "Let x be 12 for now.", ("Divide.", "backtrack", 0), "It is 3.12, or 120.")
    assert dominant_path(made, "12") == (0, 2, 3)
    assert dominant_path(made, "120") == (0, 2, 3)


@given(DAGS)
def test_the_dominant_path_is_closed_under_parents(grown: ReasoningDAG) -> None:
    path = dominant_path(grown)
    assert path == tuple(sorted(path))
    assert {parent for node in path for parent in grown.nodes[node].parents} <= set(path)
    chains = grown.collapse()
    held = tuple(sorted(s for node in dominant_path(chains) for s in chains.nodes[node].steps))
    assert held == path
    assert micro_view(grown) == micro_view(chains)


def test_micro_view_leaves_side_branches_out() -> None:
    assert micro_view(TREE).split("\n\n") == [
        "Let n = 3.",
        "Alternatively 2n.",
        r"So it is \boxed{6}.",
        "Check by adding.",
        "3 + 3 agrees.",
    ]


@pytest.mark.parametrize(
    "piece", ["a", "a ", "\n", " ", ". ", "\\boxed{", "\\boxed{a a} ", "<Leaf ", "Therefore. "]
)
def test_megabytes_of_one_thing_take_linear_time(piece: str) -> None:
    text = piece * (400_000 // len(piece))
    began = time.perf_counter()
    made = dag(text, "x", (text, "backtrack", 0))
    macro_view(made)
    micro_view(made)
    micro_view(made, "a " * 100 + "b")
    assert time.perf_counter() - began < 5
