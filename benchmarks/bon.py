"""Which candidate a scorer picks, on answers of current models and on the older sets, beside what costs nothing.

    python benchmarks/bon.py --data DIR [--champ WHEEL] [--cache DIR] [--scorer mini] [--scorer small]
        [--most 60] [--draws 1] [--set "MATH-500 x32"]
    python benchmarks/bon.py --readme

DIR holds ``modern/``, ``gsm8k/``, ``simplerl/`` and ``game24/``; WHEEL is that of champ-dataset 1.0.0. Of each question
eight candidates are drawn at a time, without putting any back, or all are taken where it has no more. A scorer is
handed the candidates of one draw, and nothing else, in one call. "mini" is measured on each set of current models with
weights that were fitted on the others. For slow scorers ``--most`` takes so many questions of a set, and ``--draws`` so
many draws of a question. With ``--cache`` answers and rewards are kept there.

Writes bon.json beside itself: rows of the scorers that were named replace their older ones, and the others stay.
``--readme`` prints the README's table from it.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import hashlib
import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bon_sets import NAMES, SIZE, Draw, draws, read, within
from bon_tables import readme
from report import HERE, machine, save, shown
from scipy.stats import spearmanr

from me2sdk.sampling import decide
from me2sdk.scorers import Scorer, is_joint, open_scorer, options_for, score_each
from me2sdk.scorers.mini.scorer import bundled_weights
from me2sdk.train.evaluate.estimates import estimate
from me2sdk.train.evaluate.scorers import scorer_settings
from me2sdk.train.evaluate.votes import Ballot, vote_curve
from recipes.mini_among import without_each
from recipes.modern import SampledQuestion

Rewards = Sequence[float | None]


class Scored(NamedTuple):
    """Values of one way to choose, a draw each; None where it has none."""

    right: list[float]
    pairs: list[float | None]
    length: list[float | None]
    length_right: list[float | None]


class KeptRewards:
    """Rewards of one scorer on one set, kept in a file by what they depend on.

    Args:
        scorer: the scorer.
        folder: where files are kept, if anywhere.
        set_name: the set.
    """

    def __init__(self, scorer: Scorer, folder: Path | None, set_name: str) -> None:
        self._scorer = scorer
        settings = json.dumps(scorer_settings(scorer), sort_keys=True)
        self._file = None if folder is None else folder / f"rewards_{_hash(settings, set_name)}.jsonl"
        lines = self._file.read_text("utf-8").splitlines() if self._file and self._file.exists() else []
        self._known = {key: (reward, cut) for key, reward, cut in map(json.loads, lines)}
        self.truncated: set[str] = set()
        self.failed: set[str] = set()
        self.error: Exception | None = None

    def of(self, part: SampledQuestion) -> Rewards:
        """The rewards of a draw; None for a candidate that could not be scored."""
        traces = [one.trace for one in part.candidates]
        texts = [f"{trace.reasoning}\0{trace.response or ''}" for trace in traces]
        # The rewards of a joint scorer depend on who stands beside a candidate.
        beside = texts if is_joint(self._scorer) else []
        keys = [_hash(part.question, text, *beside) for text in texts]
        new = (
            list(range(len(keys))) if beside else [i for i, key in enumerate(keys) if key not in self._known]
        )
        if any(key not in self._known for key in keys):
            found = asyncio.run(score_each(self._scorer, part.question, [traces[i] for i in new]))
            lines = {keys[i]: (one.score, one.truncated) for i, one in zip(new, found, strict=True)}
            self._known |= lines
            self.error = next((one.error for one in found if one.error is not None), self.error)
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with self._file.open("a", encoding="utf-8") as out:
                    out.writelines(
                        json.dumps([key, *line]) + "\n" for key, line in lines.items() if line[0] is not None
                    )
        self.truncated |= {key for key in keys if self._known[key][1]}
        self.failed |= {key for key in keys if self._known[key][0] is None}
        return [self._known[key][0] for key in keys]


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def picked(scores: Rewards, correct: Sequence[float]) -> float:
    """What a candidate with the highest score is worth; of equal ones the mean."""
    best = max((score for score in scores if score is not None), default=None)
    return float(np.mean([c for s, c in zip(scores, correct, strict=True) if best is None or s == best]))


def duels(scores: Rewards, correct: Sequence[float]) -> float | None:
    """Share of pairs of a better and a worse candidate where the better one has the higher score; ties count half."""
    known = [(s, c) for s, c in zip(scores, correct, strict=True) if s is not None]
    points = [0.5 + 0.5 * np.sign(s - t) for s, c in known for t, d in known if c > d]
    return float(np.mean(points)) if points else None


def with_length(scores: Rewards, lengths: Sequence[float]) -> float | None:
    """Rank correlation of score and length."""
    known = [(s, length) for s, length in zip(scores, lengths, strict=True) if s is not None]
    columns = list(zip(*known, strict=True))
    if len(known) < 3 or any(len(set(column)) < 2 for column in columns):
        return None
    return float(spearmanr(*columns).statistic)


def by_scores(drawn: Sequence[Draw], rewards: Sequence[Rewards]) -> Scored:
    """Picks by the highest score, and what pairs say of it."""
    pairs = list(zip(drawn, rewards, strict=True))
    return Scored(
        [picked(scores, one.correct) for one, scores in pairs],
        [duels(scores, one.correct) for one, scores in pairs],
        [with_length(scores, one.lengths) for one, scores in pairs],
        [
            with_length(
                [score if right == 1.0 else None for score, right in zip(scores, one.correct, strict=True)],
                one.lengths,
            )
            for one, scores in pairs
        ],
    )


def without_scores(right: list[float]) -> Scored:
    """Of what gives no scores there is only what it picks."""
    nothing: list[float | None] = [None] * len(right)
    return Scored(right, nothing, nothing, nothing)


def by_vote(one: Draw) -> float:
    """What the most frequent answer is worth; equal votes, and candidates that give one answer, have equal chances."""
    part = one.part
    groups = [
        None if candidate.trace.truncated else group
        for candidate, group in zip(part.candidates, part.groups, strict=True)
    ]
    count = len(groups)
    # Grades in [0, 1] are averaged as chances to be right are.
    ballot = Ballot(groups, [0.0] * count, one.correct)  # type: ignore[arg-type]
    return vote_curve(ballot, [count])[0][0]


def decided(drawn: Sequence[Draw], rewards: Sequence[Rewards], select: Any) -> Scored:
    """What `rerank` takes with these rewards."""
    right = []
    for one, scores in zip(drawn, rewards, strict=True):
        candidates = [
            candidate.model_copy(update={"index": place, "score": score})
            for place, (candidate, score) in enumerate(zip(one.part.candidates, scores, strict=True))
        ]
        right.append(one.correct[decide(candidates, one.part.groups, select=select).candidates[0].index])
    return without_scores(right)


class Measured:
    """One set: its draws, and what choosing without a scorer gives."""

    def __init__(self, name: str, questions: Sequence[SampledQuestion], most_draws: int) -> None:
        self.name = name
        self.questions = len(questions)
        self.drawn = [one for question in questions for one in draws(question, most_draws)]
        self.inside = [one for question in questions for one in within(question, most_draws)]

    @cached_property
    def random(self) -> list[float]:
        """What a random candidate of each draw is worth."""
        return [float(np.mean(one.correct)) for one in self.drawn]

    @cached_property
    def vote(self) -> list[float]:
        """What the most frequent answer of each draw is worth."""
        return [by_vote(one) for one in self.drawn]

    @cached_property
    def auto(self) -> list[float]:
        """What the default choice without a scorer takes of each draw is worth."""
        return decided(self.drawn, [[None] * len(one.correct) for one in self.drawn], "auto").right

    def baselines(self) -> Iterator[dict[str, Any]]:
        """A row for each way to choose that needs no scorer, and for the best there is."""
        yield self._row("", "random", without_scores(self.random))
        for name, sign in (("shortest", -1.0), ("longest", 1.0)):
            scores, scores_inside = (
                [[sign * length for length in one.lengths] for one in some]
                for some in (self.drawn, self.inside)
            )
            yield self._row("", name, by_scores(self.drawn, scores), by_scores(self.inside, scores_inside))
        yield self._row("", "vote", without_scores(self.vote))
        yield self._row("", "auto without rewards", without_scores(self.auto))
        best = [max(one.correct) for one in self.drawn]
        yield self._row("", "best possible", without_scores(best))

    def scorer(self, name: str, kept: KeptRewards) -> Iterator[dict[str, Any]]:
        """Rows of a scorer: alone, as tie-break of the vote, and in the default choice."""
        rewards = [kept.of(one.part) for one in self.drawn]
        if all(reward is None for some in rewards for reward in some):
            print(f"{self.name}: {name} could score nothing: {kept.error}", file=sys.stderr)
            return
        inside = by_scores(self.inside, [kept.of(one.part) for one in self.inside])
        rows = [
            self._row(name, name, by_scores(self.drawn, rewards), inside),
            self._row(name, f"vote, ties by {name}", decided(self.drawn, rewards, "vote")),
            self._row(name, f"auto with {name}", decided(self.drawn, rewards, "auto")),
        ]
        for row in rows:
            row |= {"truncated": len(kept.truncated), "failed": len(kept.failed)}
        yield from rows

    def _row(self, scorer: str, way: str, found: Scored, inside: Scored | None = None) -> dict[str, Any]:
        mixed = [one.mixed for one in self.drawn]
        row: dict[str, Any] = {
            "set": self.name,
            "scorer": scorer,
            "way": way,
            "questions": self.questions,
            "draws": len(self.drawn),
            "mixed draws": sum(mixed),
            "right": percent(self.drawn, found.right),
            "right, mixed": percent(self.drawn, _where(found.right, mixed)),
            "over random": percent(self.drawn, np.subtract(found.right, self.random), "+"),
            "over vote": percent(self.drawn, np.subtract(found.right, self.vote), "+"),
            "over auto": percent(self.drawn, np.subtract(found.right, self.auto), "+"),
            "truncated": 0,
            "failed": 0,
            "pairs": percent(self.drawn, found.pairs),
            "with length": percent(self.drawn, found.length, "+"),
            "with length, right": percent(self.drawn, found.length_right, "+"),
        }
        within: dict[str, Any] = {"draws within": 0, "over random within": None, "pairs within": None}
        if inside is not None and self.inside:
            chance = [float(np.mean(one.correct)) for one in self.inside]
            within = {
                "draws within": len(self.inside),
                "over random within": percent(self.inside, np.subtract(inside.right, chance), "+"),
                "pairs within": percent(self.inside, inside.pairs),
            }
        return row | within


def _where(values: Sequence[float], chosen: Sequence[bool]) -> list[float | None]:
    return [value if wanted else None for value, wanted in zip(values, chosen, strict=True)]


def percent(drawn: Sequence[Draw], values: Any, sign: str = "") -> str | None:
    """The mean in percent with its 95% interval, drawing whole questions; None of no values."""
    known = [(one.key, 100 * value) for one, value in zip(drawn, values, strict=True) if value is not None]
    if not known:
        return None
    found = estimate([float(value) for _, value in known], [key for key, _ in known])
    mean, low, high = (f"{round(one, 1) + 0.0:{sign}.1f}" for one in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"


def merged(
    rows: list[dict[str, Any]], scorers: dict[str, Scorer]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """These rows, those of bon.json that they do not replace, and how each scorer was measured."""
    path = HERE / "bon.json"
    older = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if "runs" not in older:  # a file of another form
        older = {"rows": [], "runs": {}}
    done = {(row["set"], row["scorer"]) for row in rows}
    every = [row for row in older["rows"] if (row["set"], row["scorer"]) not in done] + rows
    run = {
        "command": shlex.join(["python", "benchmarks/bon.py", *map(shown, sys.argv[1:])]),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
    }
    every.sort(key=lambda row: (NAMES.index(row["set"]), row["scorer"]))
    named = {name: {**run, "version": getattr(scorer, "version", None)} for name, scorer in scorers.items()}
    return every, {**older["runs"], **named}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--champ", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--scorer", action="append", help="mini and small if none is named")
    parser.add_argument("--set", action="append", choices=NAMES, help="all if none is named")
    parser.add_argument("--most", type=int, help="questions of a set")
    parser.add_argument("--draws", type=int, default=4, help="draws of a question, at most")
    parser.add_argument("--dtype", help="of reward models that run here")
    parser.add_argument("--readme", action="store_true", help="print the README's table from bon.json")
    options = parser.parse_args()
    if options.readme:
        print(readme(json.loads((HERE / "bon.json").read_text("utf-8"))))
        return
    if options.data is None:
        parser.error("--data is missing")
    names = options.scorer or ["mini", "small"]
    scorers = {name: open_scorer(name, **options_for(name, dtype=options.dtype)) for name in names}
    unseen = without_each(options.data, bundled_weights(), options.cache) if "mini" in names else {}
    rows: list[dict[str, Any]] = []
    for name in options.set or NAMES:
        started = time.perf_counter()
        questions = read(name, options.data, options.champ, most=options.most, cache=options.cache)
        one = Measured(name, questions, options.draws)
        if not questions:
            continue
        rows += [] if options.most else one.baselines()
        for key, scorer in scorers.items():
            asked = unseen.get(name, scorer) if key == "mini" else scorer
            rows += one.scorer(key, KeptRewards(asked, options.cache, name))
        print(
            f"{name}: {len(one.drawn)} draws, {time.perf_counter() - started:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    every, runs = merged(rows, scorers)
    save(
        "bon",
        every,
        f"draws of {SIZE} candidates a question, or of all where it has no more; mean and 95% interval, drawing "
        "questions with all of their draws",
        runs=runs,
    )


if __name__ == "__main__":
    main()
