"""Accuracy of scorers on preference pairs, by kind and by which side is the longer one.

    python benchmarks/pairs.py --data DIR [--scorer mini] [--scorer NAME=FOLDER] [--most N] [--dtype bfloat16]
        [--cache DIR]

DIR is laid out as for `recipes.mini`: the pairs are PRMBench's development split, and those GSM8K and BIG-Bench
pairs whose questions no fit may see. Any scorer of ``me2 eval pairs`` may be named; ``NAME=`` is what the report calls
it. ``--most`` takes so many pairs of each set (of PRMBench's development split always all), for slow scorers. With
``--cache`` rewards are kept there, a file a data set, and a second run goes on with them. Writes pairs.json beside
itself. Ties count as wrong.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from pathlib import Path
from typing import Any

from report import save

from me2sdk.scorers import open_scorer, options_for
from me2sdk.train import PairsReport, Preference, evaluate_pairs
from recipes import mini
from recipes.small import to_preference
from recipes.sources import held_out, read_prmbench


def read(data: Path, most: int | None) -> dict[str, list[Preference]]:
    pairs = [pair for pair in mini.training_pairs(data) if held_out(pair.question)]
    if most is not None:
        random.Random(0).shuffle(pairs)
        places = {source: itertools.count() for source in {pair.source for pair in pairs}}
        pairs = [pair for pair in pairs if next(places[pair.source]) < most]
    pairs += [pair.model_copy(update={"source": "prmbench_dev"}) for pair in read_prmbench(data, "dev")]
    found: dict[str, list[Preference]] = {}
    for pair in pairs:
        found.setdefault(pair.source, []).append(to_preference(pair))
    return found


def rows(name: str, report: PairsReport) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for one in report.rows:
        cells = groups.setdefault(
            (one.by, one.group), {"set": name, "pairs of": one.group, "pairs": one.pairs}
        )
        cells[one.scorer] = "–" if one.accuracy is None else str(one.accuracy)
        cells |= {"shorter wins": f"{one.shorter:.3f}", "longer wins": f"{one.longer:.3f}"}
    order = ("all", "length", "category")
    return [cells for by in order for (kind, _), cells in groups.items() if kind == by]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scorer", action="append", metavar="[NAME=]SCORER")
    parser.add_argument("--most", type=int)
    parser.add_argument("--dtype", help="of reward models that run here")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    named = [text.rpartition("=") for text in arguments.scorer or ["mini"]]
    scorers = {
        name or scorer: open_scorer(scorer, **options_for(scorer, dtype=arguments.dtype))
        for name, _, scorer in named
    }
    reports: dict[str, PairsReport] = {}
    for name, pairs in read(arguments.data, arguments.most).items():
        output = arguments.cache / f"pairs_{name}.jsonl" if arguments.cache else None
        reports[name] = evaluate_pairs(pairs, scorers, output=output)
        print(name, reports[name].seconds, f"{len(reports[name].failures)} failures", file=sys.stderr)
    sys.argv[1:] = ["--data", "DIR"]  # the report names no folder of this machine
    sys.argv += ["--most", str(arguments.most)] if arguments.most else []
    sys.argv += ["--dtype", arguments.dtype] if arguments.dtype else []
    sys.argv += [part for name in scorers for part in ("--scorer", name)]
    found = [row for name, report in reports.items() for row in rows(name, report)]
    heads = list(dict.fromkeys(head for row in found for head in row))
    save(
        "pairs",
        [{head: row.get(head, "–") for head in heads} for row in found],
        note="share of pairs whose better side gets the higher reward, 95% intervals by question; ties count as wrong",
        counts={
            name: [one.model_dump() for one in report.rows if one.by == "all"]
            for name, report in reports.items()
        },
        failures={name: len(report.failures) for name, report in reports.items()},
    )


if __name__ == "__main__":
    main()
