"""Whether the shape of a trace tells right from wrong, within one model, beside its length.

    python benchmarks/structure.py --data DIR [--cache DIR] [--quick]

DIR holds ``modern/``. Every trace becomes a DAG by the local annotator; the measures are those of
`ReasoningDAG.metrics` and a few counts of how steps open and where the answer stands. Two samples of one model for one
question make a pair if one is right and the other wrong (of graded responses: if the grades are at least .5 apart). A
figure is the share of pairs in which the right one has **less** of the measure, ties counting one half: .500 is
chance. Every question and model counts the same, and intervals are 95%, over questions. Beside it stands the same for
pairs whose lengths differ by at most a tenth, where length cannot tell. Where a set holds one sample of a model for a
question, the same share over all pairs of a right and a wrong trace of a model (AUROC) is given for each model; there
hard questions make traces both long and wrong. Writes structure.json.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from cues import Cue, opening_cue
from report import save

from me2sdk import Trace, parse_dag
from me2sdk.scorers import open_scorer
from me2sdk.train.evaluate.estimates import estimate
from recipes.modern import FREE_TEXT, SETS, SampledQuestion, read_set

PAIRED = ("MATH-500 x32", "GSM8K x32", "reasoning-gym", "trick questions")
ALONE = "GSM8K and MATH, long"
APART = 0.5  # difference of grades that makes one of two responses the better
SAME_LENGTH = 1.1
LENGTH = "length"
FEWEST = 10  # wrong traces of a model without which an AUROC says nothing
RESAMPLES = 1000
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Measured(NamedTuple):
    """One trace: its measures and its grade."""

    values: dict[str, float]
    grade: float


def measure(trace: Trace, answer: str | None) -> dict[str, float]:
    """The measures of a trace. Each rises with what it is named after."""
    dag = parse_dag(trace)
    shape = dag.metrics(answer)
    openings = [opening_cue(node.text) for node in dag.nodes]
    states = [answer is not None and answer in node.text for node in dag.nodes]
    sizes = [len(node.text) for node in dag.nodes]
    first = states.index(True) if any(states) else len(states) - 1
    return {
        LENGTH: float(len(trace.reasoning)),
        "steps": float(shape.steps),
        "backtracks": shape.backtrack_rate * max(1, shape.steps - 1),
        "backtrack rate": shape.backtrack_rate,
        "dead ends": float(shape.leaves - 1),
        "off the dominant path": shape.off_path_share,
        "branched": 1.0 - shape.linearity,
        "restatements": shape.restatement_rate,
        "merges": float(shape.merges),
        "rechecks": float(openings.count(Cue.CHECK)),
        "doubts": float(openings.count(Cue.REFLECTION)),
        "after the answer": sum(sizes[first + 1 :]) / max(1, sum(sizes)),
    }


def measured(question: SampledQuestion) -> dict[str, list[Measured]]:
    """The traces of a question by who wrote them."""
    found = defaultdict(list)
    for one, grade, model in zip(question.candidates, question.correct, question.models, strict=True):
        found[model].append(Measured(measure(one.trace, one.answer), grade))
    return found


def pairs(traces: Sequence[Measured]) -> Iterator[tuple[Measured, Measured]]:
    """The better and the worse trace of each pair of which that can be said."""
    for a, b in itertools.combinations(traces, 2):
        if abs(a.grade - b.grade) >= APART:
            yield (a, b) if a.grade > b.grade else (b, a)


def less(better: Measured, worse: Measured, name: str) -> float:
    """1 if the better trace has less of a measure, 0 if it has more, one half if both have the same."""
    difference = better.values[name] - worse.values[name]
    return 0.5 if difference == 0 else float(difference < 0)


def same_length(better: Measured, worse: Measured) -> bool:
    a, b = better.values[LENGTH], worse.values[LENGTH]
    return max(a, b) <= SAME_LENGTH * min(a, b)


def shown(values: Sequence[float], groups: Sequence[str]) -> str:
    if not values:
        return "-"
    found = estimate(list(values), list(groups))
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def paired(name: str, questions: Sequence[SampledQuestion]) -> list[dict[str, Any]]:
    """A row for each measure: how often pairs of one question and model are ordered by it."""
    groups: list[tuple[str, list[tuple[Measured, Measured]]]] = []
    for question in questions:
        for traces in measured(question).values():
            if found := list(pairs(traces)):
                groups.append((question.question, found))
    near = [(one, [pair for pair in found if same_length(*pair)]) for one, found in groups]
    near = [(one, found) for one, found in near if found]
    rows = []
    for measure_name in groups[0][1][0][0].values:
        split = [less(*pair, measure_name) != 0.5 for _, found in groups for pair in found]
        rows.append(
            {
                "set": name,
                "measure": measure_name,
                "groups": len(groups),
                "pairs": len(split),
                "not tied": f"{np.mean(split):.3f}",
                "less in the right one": shown(
                    [float(np.mean([less(*pair, measure_name) for pair in found])) for _, found in groups],
                    [one for one, _ in groups],
                ),
                "pairs of one length": sum(len(found) for _, found in near),
                "the same, of one length": shown(
                    [float(np.mean([less(*pair, measure_name) for pair in found])) for _, found in near],
                    [one for one, _ in near],
                ),
            }
        )
    return rows


def alone(name: str, questions: Sequence[SampledQuestion]) -> list[dict[str, Any]]:
    """A row for each model and measure, over questions."""
    by_model: dict[str, list[Measured]] = defaultdict(list)
    for question in questions:
        for model, traces in measured(question).items():
            by_model[model] += traces
    rows = []
    for model, traces in sorted(by_model.items()):
        right = [one for one in traces if one.grade >= APART]
        wrong = [one for one in traces if one.grade < APART]
        if len(wrong) < FEWEST:
            continue
        near = np.array([[same_length(good, bad) for bad in wrong] for good in right])
        for measure_name in traces[0].values:
            if len({one.values[measure_name] for one in traces}) == 1:
                continue
            order = np.array([[less(good, bad, measure_name) for bad in wrong] for good in right])
            rows.append(
                {
                    "set": name,
                    "model": model,
                    "right": len(right),
                    "wrong": len(wrong),
                    "measure": measure_name,
                    "less in the right ones": auroc(order, np.ones_like(near)),
                    "the same, of one length": auroc(order, near),
                }
            )
    return rows


def auroc(order: Floats, kept: Bools) -> str:
    """The mean over the kept pairs, its interval from resampling right and wrong traces."""
    if not kept.any():
        return "-"
    draw = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        again = np.ix_(*(draw.integers(0, size, size) for size in order.shape))
        if kept[again].any():
            drawn.append(order[again][kept[again]].mean())
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{order[kept].mean():.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder that holds modern/")
    parser.add_argument("--cache", type=Path, help="keep the answers' groups in this folder")
    parser.add_argument("--quick", action="store_true", help="take 60 questions of each set")
    arguments = parser.parse_args()
    if arguments.data is None:
        print("Nothing to measure on. Give the folder that holds modern/.")
        return
    scorer, most = open_scorer("mini"), 60 if arguments.quick else None
    assert {*PAIRED, ALONE} <= {*SETS, *FREE_TEXT}
    rows = []
    for name in PAIRED:
        rows += paired(name, read_set(arguments.data, name, scorer, most=most, cache=arguments.cache))
    models = alone(ALONE, read_set(arguments.data, ALONE, scorer, most=most, cache=arguments.cache))
    note = f"{parse_dag('x').annotator} annotator; pairs of a right and a wrong trace of one model for one question"
    save("structure", rows, note=note, models=models)


if __name__ == "__main__":
    main()
