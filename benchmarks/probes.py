"""What frozen language models know of reasoning: linear heads on their states, judged on sets that they did not see.

    python benchmarks/probes.py --data DIR --states DIR --base FOLDER_OR_HUB_ID --minutes 20
    python benchmarks/probes.py --data DIR --states DIR

The first form reads texts with one base and keeps what it found in the folder of ``--states``; it stops after so many
minutes and goes on where it stopped. The second form fits heads on all that is kept there and writes probes.json beside
itself; it needs no model and takes a minute. The folder of ``--data`` holds ``modern/``, ``gsm8k/`` and ``prmbench/``.

A head is a linear Bradley-Terry model of the difference of two pooled states. Its layer, pooling and penalty are those
with the lowest loss over folds of the questions that it is fitted on; the set that it is judged on has no part in that.
"""

from __future__ import annotations

import argparse
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from probe_pairs import LONGEST, ONE_MODEL, QUALITY, ProbePair, order_of, read_candidates, read_pairs
from probe_states import MAX_TOKENS, POOLINGS, KeptStates, Text, read_states
from report import save
from scipy.optimize import minimize

from me2sdk.scorers import Scorer, open_scorer
from me2sdk.scorers.mini.scorer import MiniScorer, bundled_weights
from me2sdk.train.data import question_key
from me2sdk.train.evaluate.estimates import estimate
from recipes.mini_among import without_each

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
FOLDS = 4
FEWEST = 200
BUCKETS = 1024
WORD = re.compile(r"[a-z]+|\d|[^\sa-z\d]")
WITHIN, ACROSS = "all within one model", "all across models"
ANSWERS, REASONING = "right against wrong", "quality"
Floats = npt.NDArray[np.float64]
View = Callable[[Sequence[ProbePair]], Floats]
"""Turns pairs into differences of features, better less worse."""


class Head(NamedTuple):
    """A fitted head: its loss on questions that it was not fitted on, what it reads, and its weights."""

    loss: float
    view: str
    penalty: float
    weights: Floats


def fit(pairs: Sequence[ProbePair], name: str, view: View) -> Head:
    """A ridge Bradley-Terry head, with the penalty that is best over folds of questions."""
    differences = view(pairs)
    scale = np.maximum(differences.std(axis=0), 1e-3 * differences.std()) * np.sqrt(differences.shape[1])
    differences = differences / scale
    # A head lies in the span of the pairs, where there are fewer numbers to find.
    sizes, vectors = np.linalg.eigh(differences @ differences.T)
    kept = sizes > 1e-9 * sizes[-1]
    inside = vectors[:, kept] * np.sqrt(sizes[kept])
    folds = np.array([zlib.crc32(question_key(pair.question).encode()) % FOLDS for pair in pairs])
    weights = weigh(pairs)
    losses = dict.fromkeys(PENALTIES, 0.0)
    for penalty in PENALTIES:
        for fold in range(FOLDS):
            rest = folds != fold
            theta = _solve(inside[rest], weights[rest] / weights[rest].sum(), penalty)
            losses[penalty] += float(weights[~rest] @ np.logaddexp(0, -(inside[~rest] @ theta)))
    best = min(losses, key=losses.__getitem__)
    theta = _solve(inside, weights, best)
    back = differences.T @ (vectors[:, kept] / np.sqrt(sizes[kept])) @ theta
    return Head(losses[best], name, best, np.asarray(back / scale))


def _solve(differences: Floats, weights: Floats, penalty: float) -> Floats:
    def loss(theta: Floats) -> tuple[float, Floats]:
        margins = differences @ theta
        slope = -(weights / (1 + np.exp(np.clip(margins, -500, 500)))) @ differences
        value = weights @ np.logaddexp(0, -margins) + penalty * theta @ theta
        return float(value), slope + 2 * penalty * theta

    return np.asarray(minimize(loss, np.zeros(differences.shape[1]), jac=True, method="L-BFGS-B").x)


def weigh(pairs: Sequence[ProbePair]) -> Floats:
    """All sets count alike, and within one all questions."""
    of_question = Counter((pair.source, pair.question) for pair in pairs)
    of_set = Counter(source for source, _ in of_question)
    shares = [1 / of_question[pair.source, pair.question] / of_set[pair.source] for pair in pairs]
    return np.asarray(shares) / len(of_set)


def views_of(kept: KeptStates) -> dict[str, View]:
    """What heads may read of a base: each layer and pooling."""

    def view(layer: int, pooling: int) -> View:
        def differences(pairs: Sequence[ProbePair]) -> Floats:
            better, worse = (
                np.array([kept.states[text.key][layer, pooling] for text in side], dtype=float)
                for side in zip(*map(texts_of, pairs), strict=True)
            )
            return np.asarray(better - worse)

        return differences

    return {
        f"layer {number}, {pooling}": view(layer, place)
        for layer, number in enumerate(kept.layers)
        for place, pooling in enumerate(POOLINGS)
    }


def words(pairs: Sequence[ProbePair]) -> Floats:
    """Counts of words and signs in buckets, as a head without a language model reads them."""

    def count(trace: str) -> Floats:
        found = np.zeros(BUCKETS)
        for word, often in Counter(WORD.findall(trace.lower())).items():
            found[zlib.crc32(word.encode()) % BUCKETS] += np.log1p(often)
        return found

    return np.array([count(pair.better) - count(pair.worse) for pair in pairs])


def texts_of(pair: ProbePair) -> tuple[Text, Text]:
    return Text(pair.question, pair.better), Text(pair.question, pair.worse)


def margins_of(
    scorer: Scorer, pairs: Sequence[ProbePair], candidates: dict[tuple[str, str], list[str]] | None = None
) -> list[float]:
    """Differences of rewards.

    Args:
        scorer: gives the rewards.
        pairs: the pairs.
        candidates: all traces of each set and question, to score them side by side; else each is scored alone.
    """
    rewards: dict[Text, float] = {}
    for pair in pairs:
        own = [pair.better, pair.worse]
        beside = own if candidates is None else candidates.get((pair.source, pair.question), own)
        if Text(pair.question, pair.better) in rewards and Text(pair.question, pair.worse) in rewards:
            continue
        groups = [[trace] for trace in own] if candidates is None else [beside]
        for group in groups:
            for trace, reward in zip(group, scorer.score(pair.question, group), strict=True):
                rewards[Text(pair.question, trace)] = reward
    return [rewards[better] - rewards[worse] for better, worse in map(texts_of, pairs)]


def split(pairs: Sequence[ProbePair], source: str) -> tuple[list[ProbePair], list[ProbePair]]:
    """Pairs to fit on and pairs of one set to judge by; the two share no question."""
    old = source in QUALITY  # of which one half is held out, and the other may be learnt from
    test = [pair for pair in pairs if pair.source == source and (pair.unseen or not old)]
    keys = {question_key(pair.question) for pair in test}
    seen = [
        pair
        for pair in pairs
        if not pair.unseen and (old or pair.source != source) and question_key(pair.question) not in keys
    ]
    return seen, test


class Results:
    """Which pairs each way put in the right order, by set and kind of pair; a tie is half."""

    def __init__(self) -> None:
        self._hits: dict[tuple[str, str], dict[str, list[float]]] = {}
        self._questions: dict[tuple[str, str], list[str]] = {}

    def add(self, pairs: Sequence[ProbePair], found: dict[str, Sequence[float]]) -> None:
        """Count the margins of each way on the pairs of one set."""
        for place, pair in enumerate(pairs):
            kind = ANSWERS if pair.answers else REASONING
            for name in self._names(pair.source):
                self._questions.setdefault((name, kind), []).append(pair.question)
                for way, margins in found.items():
                    hit = 0.5 + 0.5 * float(np.sign(margins[place]))
                    self._hits.setdefault((name, kind), {}).setdefault(way, []).append(hit)

    def _names(self, source: str) -> tuple[str, ...]:
        if source in QUALITY:
            return (source,)
        return (source, WITHIN if source in ONE_MODEL else ACROSS)

    def rows(self, bases: Iterable[str]) -> list[dict[str, Any]]:
        """A row a set and kind, the sums of sets last."""
        rows = []
        for key in sorted(self._hits, key=lambda key: key[0] in (WITHIN, ACROSS)):
            names, ways = self._questions[key], self._hits[key]
            row: dict[str, Any] = {"set, not seen": key[0], "pairs of": key[1]}
            row |= {"questions": len(set(names)), "pairs": len(names)}
            row |= {way: percent(values, names) for way, values in ways.items()}
            for name in bases:
                less = np.subtract(ways[name], ways["mini"])
                row[f"{name} - mini"] = percent(less.tolist(), names)
            rows.append(row)
        return rows


def judged(
    pairs: Sequence[ProbePair],
    bases: dict[str, dict[str, View]],
    minis: dict[str, MiniScorer],
    candidates: dict[tuple[str, str], list[str]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Every set by heads that were fitted on the others.

    Returns:
        Accuracies; what was chosen for each set; accuracies of every layer and pooling.
    """
    results = Results()
    chosen: list[dict[str, Any]] = []
    every: dict[tuple[str, str], dict[str, float]] = {}
    for source in dict.fromkeys(pair.source for pair in pairs):
        seen, test = split(pairs, source)
        mini = minis.get(source) or open_scorer("mini")
        found: dict[str, Sequence[float]] = {
            "shorter": [len(pair.worse) - len(pair.better) for pair in test],
            "mini": margins_of(mini, test, candidates),
            "mini, a trace alone": margins_of(mini, test),
        }
        for base, views in bases.items():
            heads = [fit(seen, name, view) for name, view in views.items()]
            best = min(heads, key=lambda head: head.loss)
            margins = {head.view: views[head.view](test) @ head.weights for head in heads}
            found[base] = margins[best.view].tolist()
            chosen.append(
                {"base": base, "set": source, "fitted on": len(seen), "reads": best.view}
                | {"penalty": best.penalty, "loss over folds": round(best.loss, 3)}
            )
            for name, values in margins.items():
                every.setdefault((base, name), {})[source] = round(100 * float((values > 0).mean()), 1)
        results.add(test, found)
        print(source, len(seen), len(test), flush=True)
    table = [{"base": base, "reads": name, **sets} for (base, name), sets in every.items()]
    return results.rows(bases), chosen, table


def percent(values: Sequence[float], questions: Sequence[str]) -> str:
    """The mean with its interval; all values of a question are drawn together."""
    found = estimate(values, questions)
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def report(data: Path, pairs: Sequence[ProbePair], folder: Path) -> None:
    """Judge what every base has read, and what fewer of them have read, which is more.

    A base that has read less than `FEWEST` texts is left out.
    """
    kept = [one for one in KeptStates.all(folder) if len(one.states) >= FEWEST]
    minis = without_each(data, bundled_weights(), folder)
    candidates = read_candidates(data)
    more: dict[str, Any] = {}
    for count in range(len(kept), 0, -1):
        part = kept[:count]
        read = [
            pair for pair in pairs if all(text.key in one.states for text in texts_of(pair) for one in part)
        ]
        bases: dict[str, dict[str, View]] = {"words": {"words": words}}
        bases.update((one.base, views_of(one)) for one in part)
        rows, chosen, views = judged(read, bases, minis, candidates)
        more[" and ".join(one.base for one in part)] = {"rows": rows, "chosen": chosen, "views": views}
    widest = next(iter(more.values()))
    save(
        "probes",
        widest["rows"],
        "share of pairs in the right order, 95% intervals over questions, a tie is half; linear heads on frozen "
        f"states, fitted on the other sets; question and trace have at most {LONGEST} characters, beyond {MAX_TOKENS} "
        "tokens the middle of the trace is cut out; mini looks at all candidates of a question, with weights that were "
        "fitted without the set",
        reading=[{"base": one.base, "layers": one.layers, **one.facts} for one in kept],
        common_to=more,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--states", type=Path, required=True, help="folder that keeps pooled states")
    parser.add_argument("--base", help="folder or hub id of a language model to read with")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    pairs = [pair for question in order_of(read_pairs(options.data)) for pair in question]
    if options.base is None:
        report(options.data, pairs, options.states)
        return
    texts = [text for pair in pairs for text in texts_of(pair)]
    read_states(texts, options.base, options.states, minutes=options.minutes, threads=options.threads)


if __name__ == "__main__":
    main()
