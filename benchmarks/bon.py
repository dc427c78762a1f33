"""Best-of-N of scorers on real candidates, with a curve a data set in the form of the paper's figure.

    python benchmarks/bon.py --data DIR [--champ WHEEL] [--scorer mini] [--scorer NAME=FOLDER]
        [--skip SCORER:SET] [--dtype bfloat16] [--cache DIR]

DIR holds ``gsm8k/``, ``simplerl/`` and ``game24/``; WHEEL is that of champ-dataset 1.0.0. What is missing is left out.
Any scorer of ``me2 eval bon`` may be named; ``NAME=`` is what the report calls it. ``--skip small:game24``
spares a slow scorer a large set. With ``--cache`` rewards are kept there, a file a data set, and a second run goes on
with them. Writes bon.json, bon.csv and bon_SET.png beside itself.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report import HERE, save

from me2sdk import Trace
from me2sdk.scorers import open_scorer, options_for
from me2sdk.train import BestOfNReport, CandidateQuestion, evaluate_best_of_n, plot_best_of_n
from me2sdk.train.evaluate import WITHIN
from recipes.sources import CandidateSet, read_champ, read_gsm8k_candidates, read_simplerl

TITLES = {
    "gsm8k": "GSM8K, 660 questions, 4 GPT-3 solutions each",
    "champ": "CHAMP, 40 problems, 32 solutions by 4 models",
    "simplerl": "MATH, 100 questions, 8 samples each (90% are right)",
    "game24": "Game of 24, 100 puzzles, 100 GPT-4 samples each",
}


def questions(sets: list[CandidateSet]) -> list[CandidateQuestion]:
    return [
        CandidateQuestion(
            question=one.question,
            candidates=tuple(Trace.from_text(text) for text in one.traces),
            correct=one.correct,
            answers=one.answers,
            models=one.models if any(one.models) else (),
        )
        for one in sets
    ]


def game24(folder: Path) -> Iterator[CandidateQuestion]:
    """The puzzle's numbers are named in the search trees of the same puzzles."""
    puzzles = {
        tree["idx"]: tree["steps"][0]["x"] for tree in json.loads((folder / "search_trees.json").read_text())
    }
    for row in json.loads((folder / "cot_100x100.json").read_text()):
        yield CandidateQuestion(
            question=f"Use the numbers {puzzles[row['idx']]} and basic arithmetic (+ - * /) to get 24.",
            candidates=tuple(Trace.from_text(text) for text in row["ys"]),
            correct=tuple(bool(info["r"]) for info in row["infos"]),
            answers=tuple(text.rpartition("Answer:")[2].strip() for text in row["ys"]),
        )


def read(data: Path, champ: Path | None) -> dict[str, list[CandidateQuestion]]:
    found: dict[str, list[CandidateQuestion]] = {}
    if (data / "gsm8k").exists():
        found["gsm8k"] = questions(read_gsm8k_candidates(data))
    if champ is not None:
        found["champ"] = questions(read_champ(champ))
    if (data / "simplerl").exists():
        found["simplerl"] = questions(read_simplerl(data))
    if (data / "game24").exists():
        found["game24"] = list(game24(data / "game24"))
    return found


def rows(name: str, report: BestOfNReport, ks: list[int]) -> Iterator[dict[str, Any]]:
    for model in ("", WITHIN):
        for row in report.table(model) if model in report.models else []:
            counts = {f"N={k}": row.get(f"N={k}", "") for k in ks}
            rest = {head: text for head, text in row.items() if not head.startswith("N=")}
            yield {"set": f"{name} {model}".strip(), "method": rest.pop("method"), **counts, **rest}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--champ", type=Path)
    parser.add_argument("--scorer", action="append", metavar="[NAME=]SCORER")
    parser.add_argument("--skip", action="append", default=[], metavar="SCORER:SET")
    parser.add_argument("--dtype", help="of reward models that run here")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    named = [text.rpartition("=") for text in arguments.scorer or ["mini"]]
    scorers = {
        name or scorer: open_scorer(scorer, **options_for(scorer, dtype=arguments.dtype))
        for name, _, scorer in named
    }
    reports: dict[str, BestOfNReport] = {}
    for name, asked in read(arguments.data, arguments.champ).items():
        output = arguments.cache / f"bon_{name}.jsonl" if arguments.cache else None
        wanted = {key: value for key, value in scorers.items() if f"{key}:{name}" not in arguments.skip}
        reports[name] = evaluate_best_of_n(asked, wanted, output=output)
        plot_best_of_n(reports[name], HERE / f"bon_{name}.png", title=TITLES[name])
        print(name, reports[name].seconds, f"{len(reports[name].failures)} failures", file=sys.stderr)
    ks = sorted({row.k for report in reports.values() for row in report.rows})
    with (HERE / "bon.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for place, (name, report) in enumerate(reports.items()):
            part = HERE / "bon.csv.part"
            report.write_csv(part)
            head, *lines = csv.reader(part.read_text("utf-8").splitlines())
            part.unlink()
            writer.writerows([] if place else [["set", *head]])
            writer.writerows([name, *line] for line in lines)
    # The report names no folder of this machine.
    sys.argv[1:] = ["--data", "DIR", *(["--champ", "WHEEL"] if arguments.champ else [])]
    sys.argv += ["--dtype", arguments.dtype] if arguments.dtype else []
    sys.argv += [part for name in scorers for part in ("--scorer", name)]
    sys.argv += [part for one in arguments.skip for part in ("--skip", one)]
    failures = {name: len(report.failures) for name, report in reports.items()}
    save(
        "bon",
        [row for name, report in reports.items() for row in rows(name, report, ks)],
        note="expected accuracy over all subsets of N candidates, 95% intervals over questions at the largest N; votes "
        "among more than 2,000 subsets are the mean over 2,000 random ones, and auto over "
        f"{next(iter(reports.values())).draws} random draws",
        failures=failures,
        seconds={name: report.seconds for name, report in reports.items()},
    )


if __name__ == "__main__":
    main()
