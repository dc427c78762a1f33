"""Models that could be the bundled scorer: how each is fitted, and the rewards or margins it gives.

Each function takes a `Corpus` and the sources to fit on and returns a `Model`. Nothing here is part of me2sdk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from me2sdk.scorers.mini.features import FEATURES, extract
from me2sdk.train.data import question_key
from recipes import mini
from recipes.sources import Pair, held_out, strip_marks

Floats = Any
Sources = Mapping[str, float]


class Corpus:
    """Every text once, as features; pairs as numbers of texts."""

    def __init__(self, pairs: Sequence[Pair], others: Sequence[tuple[str, str]]) -> None:
        """Compute the features of all texts of ``pairs`` and of ``others`` (question and trace)."""
        self.pairs = list(pairs)
        self.ids: dict[tuple[str, str], int] = {}
        for pair in pairs:
            for trace in (pair.better, pair.worse):
                self.ids.setdefault((pair.question, trace), len(self.ids))
        for key in others:
            self.ids.setdefault(key, len(self.ids))
        self.features: Floats = np.array([list(extract(*key).values()) for key in self.ids])
        self.better = np.array([self.ids[p.question, p.better] for p in pairs])
        self.worse = np.array([self.ids[p.question, p.worse] for p in pairs])
        self.source = np.array([p.source for p in pairs])
        self.kind = np.array([p.kind for p in pairs])
        self.unseen = np.array([held_out(p.question) for p in pairs])
        fold_of: dict[str, int] = {}
        self.folds = np.array(
            [fold_of.setdefault(question_key(p.question), len(fold_of) % mini.FOLDS) for p in pairs]
        )

    def training(self, sources: Sources) -> tuple[Floats, Floats]:
        """Numbers and weights (adding up to 1) of the pairs of ``sources`` that a fit may see."""
        chosen = np.flatnonzero(~self.unseen & np.isin(self.source, list(sources)))
        return chosen, mini.pair_weights([self.pairs[i] for i in chosen], sources)


class Model(Protocol):
    """What is measured."""

    def margins(self, better: Floats, worse: Floats) -> Floats:
        """The log-odds that each text of ``better`` is better than that of ``worse``."""
        ...

    def rewards(self, texts: Floats) -> Floats:
        """A reward for each text of one question."""
        ...


@dataclass
class Scalar:
    """A model that gives each text a reward."""

    values: Floats

    def margins(self, better: Floats, worse: Floats) -> Floats:
        """See `Model`."""
        return self.values[better] - self.values[worse]

    def rewards(self, texts: Floats) -> Floats:
        """See `Model`."""
        return self.values[texts]


@dataclass
class Duels:
    """A model that only compares; a text's reward is its mean margin over the others. No `Scorer` can be made of it."""

    decide: Callable[[Floats], Floats]
    features: Floats

    def margins(self, better: Floats, worse: Floats) -> Floats:
        """See `Model`."""
        difference = self.features[better] - self.features[worse]
        return (self.decide(difference) - self.decide(-difference)) / 2

    def rewards(self, texts: Floats) -> Floats:
        """See `Model`."""
        first, second = (grid.ravel() for grid in np.meshgrid(texts, texts, indexing="ij"))
        return self.margins(first, second).reshape(len(texts), -1).mean(axis=1)


def log_loss(margins: Floats, weights: Floats) -> float:
    """Weighted mean negative log likelihood."""
    return float(weights @ np.logaddexp(0.0, -margins) / weights.sum())


def linear(corpus: Corpus, sources: Sources) -> Scalar:
    """What `recipes.mini` fits."""
    chosen, weights = corpus.training(sources)
    better, worse = corpus.features[corpus.better[chosen]], corpus.features[corpus.worse[chosen]]
    scale = np.maximum(np.concatenate([better, worse]).std(axis=0), mini.MIN_SCALE)
    differences, folds = (better - worse) / scale, corpus.folds[chosen]

    def missed(penalty: float) -> float:
        losses = []
        for fold in range(mini.FOLDS):
            inside = folds != fold
            theta = mini.solve(differences[inside], weights[inside], penalty)
            losses.append(mini.log_loss(differences[~inside], weights[~inside], theta))
        return float(np.mean(losses))

    return Scalar(corpus.features / scale @ mini.solve(differences, weights, min(mini.PENALTIES, key=missed)))


@dataclass
class Trees:
    """Gradient boosting of an additive reward by the Bradley-Terry loss, one regression tree a round."""

    depth: int = 3
    rate: float = 0.3
    leaf: int = 200
    most: int = 100
    signs: bool = True
    rounds: int = field(default=0, init=False)

    def __call__(self, corpus: Corpus, sources: Sources) -> Scalar:
        """Fit it; the first fold says how many rounds."""
        chosen, weights = corpus.training(sources)
        inside = corpus.folds[chosen] != 0
        check = (corpus.better[chosen[~inside]], corpus.worse[chosen[~inside]])
        losses: list[float] = []
        for values in self._boost(corpus, chosen[inside], weights[inside], self.most):
            losses.append(log_loss(values[check[0]] - values[check[1]], weights[~inside]))
        self.rounds = int(np.argmin(losses)) + 1
        return Scalar(list(self._boost(corpus, chosen, weights, self.rounds))[-1])

    def _boost(self, corpus: Corpus, chosen: Floats, weights: Floats, rounds: int) -> Any:
        from sklearn.tree import DecisionTreeRegressor

        better, worse = corpus.better[chosen], corpus.worse[chosen]
        used = np.unique(np.concatenate([better, worse]))
        features = corpus.features.astype(np.float32)
        direction = [1 if name in mini.MERITS else -1 for name in FEATURES] if self.signs else None
        draw = np.random.RandomState(mini.SEED)
        values = np.zeros(len(features))
        for _ in range(rounds):
            lost = weights / (1.0 + np.exp(values[better] - values[worse]))
            slope = np.bincount(better, lost, len(values)) - np.bincount(worse, lost, len(values))
            spread = lost * (1.0 - lost / weights)
            bend = np.bincount(better, spread, len(values)) + np.bincount(worse, spread, len(values))
            bend = np.maximum(bend[used], 1e-12)
            tree = DecisionTreeRegressor(
                max_depth=self.depth,
                min_samples_leaf=self.leaf,
                monotonic_cst=direction,
                max_features=0.5,
                random_state=draw,
            )
            tree.fit(features[used], np.clip(slope[used] / bend, -4.0, 4.0), sample_weight=bend)
            values = values + self.rate * tree.predict(features)
            yield values


def duels(corpus: Corpus, sources: Sources) -> Duels:
    """Boosted trees on differences of features, made antisymmetric."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    chosen, weights = corpus.training(sources)
    difference = corpus.features[corpus.better[chosen]] - corpus.features[corpus.worse[chosen]]
    model = HistGradientBoostingClassifier(max_leaf_nodes=15, learning_rate=0.08, random_state=mini.SEED)
    model.fit(
        np.concatenate([difference, -difference]),
        np.repeat([1, 0], len(chosen)),
        sample_weight=np.concatenate([weights, weights]) * len(chosen),
    )
    return Duels(model.decision_function, corpus.features)


TOKEN = re.compile(r"\d[\d,]*(?:\.\d+)?|[A-Za-z]+(?:'[a-z]+)?|[^\sA-Za-z\d]|\n")


def tokens(question: str, trace: str) -> tuple[list[str], list[str]]:
    """Words and signs of both; a number is named by its place among the question's, or the trace's, numbers."""
    names: dict[str, str] = {}

    def read(text: str, letter: str) -> list[str]:
        found = []
        for token in TOKEN.findall(text):
            if token[0].isdigit():
                count = sum(name[1] == letter for name in names.values())
                found.append(names.setdefault(token.replace(",", ""), f"<{letter}{min(count, 20)}>"))
            else:
                found.append(token.lower())
        return found

    return read(question, "q"), read(strip_marks(trace), "r")


@dataclass
class Phrases:
    """A linear model over hashed runs of up to ``longest`` tokens of the trace."""

    longest: int = 2
    strength: float = (
        30.0  # of 0.3, 3 and 30 the best on a fold of training questions, for one, two and three tokens
    )

    def __call__(self, corpus: Corpus, sources: Sources) -> Scalar:
        """Fit it."""
        from sklearn.feature_extraction.text import HashingVectorizer
        from sklearn.linear_model import LogisticRegression

        vectorizer = HashingVectorizer(
            n_features=2**17, ngram_range=(1, self.longest), analyzer="word", tokenizer=str.split, token_pattern=None,
            lowercase=False, norm=None, alternate_sign=False,
        )  # fmt: skip
        counts = vectorizer.transform(
            re.sub(r"<([qr])\d+>", r"<\1>", " ".join(tokens(*key)[1])) for key in corpus.ids
        )
        counts.data = np.log1p(counts.data)
        size = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        counts = counts.multiply(1.0 / np.maximum(size, 1.0)[:, None]).tocsr()
        chosen, weights = corpus.training(sources)
        turn = np.where(np.random.RandomState(mini.SEED).rand(len(chosen)) < 0.5, 1, -1)
        difference = (
            (counts[corpus.better[chosen]] - counts[corpus.worse[chosen]]).multiply(turn[:, None]).tocsr()
        )
        model = LogisticRegression(C=self.strength, fit_intercept=False, max_iter=200)
        model.fit(difference, turn, sample_weight=weights * len(chosen))
        return Scalar(counts @ model.coef_[0])


def added(models: Sequence[Model], scales: Sequence[float]) -> Scalar:
    """The weighted sum of models that give rewards."""
    values = [
        scale * model.values for model, scale in zip(models, scales, strict=True) if isinstance(model, Scalar)
    ]
    return Scalar(np.sum(values, axis=0))
