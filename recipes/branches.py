"""Traces whose branches are known: search trees of the Game of 24 walked in depth, and GSM8K solutions with detours.

A walked tree returns to where its next proposal branched off. A detour computes with the wrong operation, goes on from
the wrong number and is given up; a solution whose last line needs two lines that do not rest on each other takes them
as two branches and merges them. The words that announce a turn are ours, so such traces tell where an annotator returns
to and what it merges, not whether it notices a turn.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from me2sdk.dag import Action, DAGBuilder
from me2sdk.schema import Step
from me2sdk.train.evaluate.reasoningflow import GoldTrace
from me2sdk.train.perturb import strip_marks

__all__ = ["detours", "merges", "walks"]

_MOST = 30  # steps of a walk
_WIDTH = 3  # proposals that are followed from one state
_MARK = re.compile(r"<<([\d.]+)([-+*/])([\d.]+)=([\d.]+)>>")
_LEADS = (
    "Alternatively, {}",
    "Another way: {}",
    "Instead, let me try this: {}",
    "Let me try something else: {}",
    "A different approach: {}",
)
_DEAD = ("That does not lead to 24.", "No way to 24 from there.", "That is a dead end.")
_WRONG = ("Wait, that cannot be right.", "Hmm, that does not fit the question.", "This is not what is asked.")
_OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else 0.0,
}


class _Writer:
    """Writes a trace and its gold actions step by step."""

    def __init__(self, seed: str) -> None:
        self.draw = random.Random(seed)
        self._builder = DAGBuilder()

    @property
    def last(self) -> int:
        return len(self._builder.nodes) - 1

    def say(self, text: str, action: Action = "continue", *parents: int) -> int:
        """Add a step; return its number."""
        return self._builder.add(Step(text, "\n\n"), action, parents).id

    def after(self, text: str, parent: int) -> int:
        """Add a step that follows ``parent``: with words that announce a turn, unless that was the last step."""
        if parent == self.last:
            return self.say(text)
        return self.say(self.draw.choice(_LEADS).format(text), "backtrack", parent)

    def trace(self, name: str, family: str, question: str) -> GoldTrace:
        nodes = self._builder.nodes
        return GoldTrace(
            name=name,
            family=family,
            domain="built",
            question=question,
            steps=tuple(Step(node.text, node.separator) for node in nodes),
            actions=tuple(node.action for node in nodes),
            parents=tuple(node.parents for node in nodes),
        )


def walks(data: Path) -> Iterator[GoldTrace]:
    """One walk through each search tree of ``game24/search_trees.json``."""
    trees = json.loads((data / "game24" / "search_trees.json").read_text("utf-8"))
    for tree in trees:
        puzzle = tree["steps"][0]["x"]
        children: dict[tuple[str, ...], list[str]] = {}
        for level in tree["steps"][:3]:
            for proposal in level["new_ys"]:
                *before, line = [line for line in proposal.splitlines() if "left" in line] or [""]
                if line and line not in children.setdefault(tuple(before), []):
                    children[tuple(before)].append(line)
        writer = _Writer(puzzle)
        root = writer.say(f"I have the numbers {puzzle} and need to reach 24, using each of them once.")
        _walk(writer, children, (), root)
        yield writer.trace(f"game24 {puzzle}", "Game of 24", puzzle)


def _walk(
    writer: _Writer, children: dict[tuple[str, ...], list[str]], state: tuple[str, ...], at: int
) -> None:
    proposals = children.get(state, [])
    followed = sorted(writer.draw.sample(proposals, min(_WIDTH, len(proposals))), key=proposals.index)
    for line in followed:
        if writer.last >= _MOST:
            return
        node = writer.after(f"{line}.", at)
        below = (*state, line)
        if children.get(below):
            _walk(writer, children, below, node)
        else:
            writer.say(writer.draw.choice(_DEAD))


def detours(data: Path, most: int) -> Iterator[GoldTrace]:
    """GSM8K training solutions with one detour of two to four steps before a line that computes."""
    for number, (question, lines) in enumerate(_solutions(data)):
        if number >= most:
            return
        writer = _Writer(question)
        places = [place for place, line in enumerate(lines) if _MARK.search(line)]
        place = writer.draw.choice(places)
        at = writer.say(question)
        for line in lines[:place]:
            at = writer.say(strip_marks(line))
        _detour(writer, lines[place])
        writer.after(strip_marks(lines[place]), at)
        for line in lines[place + 1 :]:
            writer.say(strip_marks(line))
        yield writer.trace(f"detour {number}", "GSM8K with a detour", question)


def _detour(writer: _Writer, line: str) -> None:
    found = _MARK.search(line)
    assert found
    first, sign, second, _ = found.groups()
    wrong = writer.draw.choice([one for one in _OPERATIONS if one != sign])
    value = _OPERATIONS[wrong](float(first), float(second))
    writer.say(f"We take {first} {wrong} {second} = {value:.6g}.")
    for _ in range(writer.draw.randint(0, 2)):
        operation, operand = writer.draw.choice("+-*"), writer.draw.randint(2, 9)
        further = _OPERATIONS[operation](value, operand)
        writer.say(f"Then {value:.6g} {operation} {operand} = {further:.6g}.")
        value = further
    writer.say(writer.draw.choice(_WRONG))


def merges(data: Path, most: int) -> Iterator[GoldTrace]:
    """GSM8K training solutions whose last line needs two others that do not rest on each other, as two branches."""
    written = 0
    for number, (question, lines) in enumerate(_solutions(data)):
        if written >= most:
            return
        marks = [_MARK.findall(line) for line in lines]
        if len(lines) != 3 or any(len(found) != 1 for found in marks):
            continue
        (*_, left), (first, _, second, right), (*last, _) = (found[0] for found in marks)
        if left == right or left in (first, second) or not {left, right} <= set(last):
            continue
        writer = _Writer(question)
        root = writer.say(question)
        end = writer.say(strip_marks(lines[0]))
        other = writer.after(strip_marks(lines[1]), root)
        joint = writer.draw.choice(
            ("Combining both, {}", "Putting these together: {}", "Both results together: {}")
        )
        writer.say(joint.format(strip_marks(lines[2])), "merge", end, other)
        written += 1
        yield writer.trace(f"merge {number}", "GSM8K in two branches", question)


def _solutions(data: Path) -> Iterator[tuple[str, list[str]]]:
    """Questions and lines of solutions that compute in at least two lines, in file order."""
    with (data / "gsm8k" / "train.jsonl").open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            lines = row["answer"].split("\n####")[0].splitlines()
            if sum(bool(_MARK.search(line)) for line in lines) >= 2:
                yield row["question"], lines
