"""Measure the bundled scorer on pairs and on sets of candidates, beside what costs nothing.

Ties count half everywhere: a pair with equal rewards is half right, and of candidates with equal best rewards
the expected one is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from me2sdk.schema import Value
from me2sdk.train.evaluate.estimates import Estimate, estimate as _estimate
from recipes.sources import (
    CandidateSet,
    Pair,
    read_champ,
    read_gsm8k_candidates,
    read_prmbench,
    read_simplerl,
)

__all__ = ["CandidateRow", "Estimate", "PairRow", "Report", "measure", "table"]


class _Scorer(Protocol):
    name: str
    version: str

    def score(self, question: str, traces: Sequence[str]) -> list[float]: ...


class PairRow(Value):
    """Accuracy on one kind of pairs.

    Attributes:
        source: the data set.
        kind: the kind of damage, or "all".
        pairs: how many.
        accuracy: share of pairs whose better side gets the higher reward.
        shorter: the same for "shorter wins".
        longer_better: accuracy where the better side is the longer one (None without such pairs).
        longer_pairs: how many these are.
        shorter_better: accuracy where the better side is the shorter one.
        ties: share of pairs with equal rewards, each counted as half right.
        log_loss: mean negative log likelihood; 0.693 is what a coin has.
    """

    source: str
    kind: str
    pairs: int
    accuracy: float
    shorter: float
    longer_better: float | None
    longer_pairs: int
    shorter_better: float | None
    ties: float
    log_loss: float


class CandidateRow(Value):
    """Accuracy of the chosen candidate.

    Attributes:
        source: the data set, and how candidates were grouped.
        questions: number of groups.
        candidates: mean number of candidates in a group.
        scorer: the candidate with the highest reward.
        gain: by how much the scorer beats a random candidate.
        random: a random candidate.
        first: the first one.
        shortest: the shortest one.
        longest: the longest one.
        majority: the most frequent answer, equally frequent ones having equal chances.
        best_possible: whether any candidate is right.
        pairwise: how often a right candidate has a higher reward than a wrong one of the same group; None where no
            group holds both.
    """

    source: str
    questions: int
    candidates: float
    scorer: Estimate
    gain: Estimate
    random: float
    first: float
    shortest: float
    longest: float
    majority: float
    best_possible: float
    pairwise: float | None


class Report(Value):
    """What `measure` found."""

    scorer: str
    version: str
    pairs: tuple[PairRow, ...]
    candidates: tuple[CandidateRow, ...]


def measure(scorer: _Scorer, unseen: Sequence[Pair], data: Path, champ: Path | None = None) -> Report:
    """Measure a scorer.

    Args:
        scorer: anything with ``name``, ``version`` and ``score(question, traces)``.
        unseen: pairs of the training sources, of questions that the fit did not see.
        data: the folder that holds the data.
        champ: the wheel of champ-dataset or its unpacked folder; without it CHAMP is left out.
    """
    pairs = [*unseen, *(p.model_copy(update={"source": "prmbench_dev"}) for p in read_prmbench(data, "dev"))]
    margins = [_margin(scorer, pair) for pair in pairs]
    rows = []
    for source in dict.fromkeys(pair.source for pair in pairs):
        kinds = sorted({pair.kind for pair in pairs if pair.source == source})
        for kind in ("all", *kinds):
            chosen = [i for i, p in enumerate(pairs) if p.source == source and kind in ("all", p.kind)]
            rows.append(_pair_row(source, kind, [pairs[i] for i in chosen], [margins[i] for i in chosen]))
    sets = {"gsm8k_candidates": read_gsm8k_candidates(data), "simplerl": read_simplerl(data)}
    if champ is not None:
        sets["champ_odd"] = read_champ(champ)
    found = []
    for source, candidates in sets.items():
        rewards = [scorer.score(s.question, s.traces) for s in candidates]
        found.append(_candidate_row(source, candidates, rewards))
        if source == "champ_odd":
            found.append(_candidate_row(f"{source}_within_model", *_by_model(candidates, rewards)))
    return Report(scorer=scorer.name, version=scorer.version, pairs=tuple(rows), candidates=tuple(found))


def _margin(scorer: _Scorer, pair: Pair) -> float:
    better, worse = scorer.score(pair.question, [pair.better, pair.worse])
    return better - worse


def _half_ties(margins: Iterable[float]) -> float | None:
    """Share of positive margins, zeros counted half; None of none."""
    points = [1.0 if m > 1e-9 else 0.5 if m > -1e-9 else 0.0 for m in margins]
    return float(np.mean(points)) if points else None


def _pair_row(source: str, kind: str, pairs: Sequence[Pair], margins: Sequence[float]) -> PairRow:
    leads = [len(pair.better) - len(pair.worse) for pair in pairs]
    longer = [m for m, lead in zip(margins, leads, strict=True) if lead > 0]
    return PairRow(
        source=source,
        kind=kind,
        pairs=len(pairs),
        accuracy=_half_ties(margins) or 0.0,
        shorter=_half_ties([-lead for lead in leads]) or 0.0,
        longer_better=_half_ties(longer),
        longer_pairs=len(longer),
        shorter_better=_half_ties(m for m, lead in zip(margins, leads, strict=True) if lead < 0),
        ties=float(np.mean(np.abs(margins) <= 1e-9)),
        log_loss=float(np.mean(np.logaddexp(0.0, -np.asarray(margins)))),
    )


def _by_model(
    sets: Sequence[CandidateSet], rewards: Sequence[Sequence[float]]
) -> tuple[list[CandidateSet], list[list[float]]]:
    """Cut each set into one a model. Sets of one question stay side by side."""
    parts: list[CandidateSet] = []
    kept: list[list[float]] = []
    for candidates, scores in zip(sets, rewards, strict=True):
        for model in dict.fromkeys(candidates.models):
            own = [i for i, name in enumerate(candidates.models) if name == model]
            parts.append(
                CandidateSet(
                    question=candidates.question,
                    traces=tuple(candidates.traces[i] for i in own),
                    correct=tuple(candidates.correct[i] for i in own),
                    answers=tuple(candidates.answers[i] for i in own),
                    models=(model,) * len(own),
                )
            )
            kept.append([scores[i] for i in own])
    return parts, kept


def _candidate_row(
    source: str, sets: Sequence[CandidateSet], rewards: Sequence[Sequence[float]]
) -> CandidateRow:
    def chosen(key: Callable[[CandidateSet], Sequence[float]]) -> list[float]:
        return [_expected(key(s), s.correct) for s in sets]

    by_reward = [_expected(scores, s.correct) for s, scores in zip(sets, rewards, strict=True)]
    by_chance = [float(np.mean(s.correct)) for s in sets]
    duels = [_half_ties(_duels(s.correct, scores)) for s, scores in zip(sets, rewards, strict=True)]
    decided = [duel for duel in duels if duel is not None]
    questions = [s.question for s in sets]
    return CandidateRow(
        source=source,
        questions=len(sets),
        candidates=float(np.mean([len(s.traces) for s in sets])),
        scorer=_estimate(by_reward, questions),
        gain=_estimate([a - b for a, b in zip(by_reward, by_chance, strict=True)], questions),
        random=float(np.mean(by_chance)),
        first=float(np.mean([s.correct[0] for s in sets])),
        shortest=float(np.mean(chosen(lambda s: [-len(trace) for trace in s.traces]))),
        longest=float(np.mean(chosen(lambda s: [len(trace) for trace in s.traces]))),
        majority=float(np.mean([_majority(s) for s in sets])),
        best_possible=float(np.mean([any(s.correct) for s in sets])),
        pairwise=float(np.mean(decided)) if decided else None,
    )


def _expected(scores: Sequence[float], correct: Sequence[bool]) -> float:
    """How likely a candidate with the highest score is right."""
    best = max(scores)
    return float(
        np.mean([right for score, right in zip(scores, correct, strict=True) if score >= best - 1e-9])
    )


def _duels(correct: Sequence[bool], scores: Sequence[float]) -> list[float]:
    return [
        a - b
        for a, right in zip(scores, correct, strict=True)
        if right
        for b, other in zip(scores, correct, strict=True)
        if not other
    ]


def _majority(candidates: CandidateSet) -> float:
    """How likely the most frequent answer is right, equally frequent ones having equal chances.

    Candidates without an answer have no vote.
    """
    votes = Counter(answer for answer in candidates.answers if answer)
    if not votes:
        return float(np.mean(candidates.correct))
    most = max(votes.values())
    first = {answer: candidates.answers.index(answer) for answer, count in votes.items() if count == most}
    return float(np.mean([candidates.correct[index] for index in first.values()]))


def table(report: Report) -> str:
    """The report as plain text."""
    lines = [
        f"{report.scorer} {report.version}: pairs of unseen questions (ties count half; chance is .500)",
        f"{'source':<18}{'kind':<22}{'pairs':>6}{'scorer':>8}{'shorter':>8}{'better is':>10}{'better is':>10}"
        f"{'ties':>6}{'log':>7}",
        f"{'':<18}{'':<22}{'':>6}{'':>8}{'wins':>8}{'longer':>10}{'shorter':>10}{'':>6}{'loss':>7}",
    ]
    for row in report.pairs:
        lines.append(
            f"{row.source if row.kind == 'all' else '':<18}{row.kind:<22}{row.pairs:>6}{row.accuracy:>8.3f}"
            f"{row.shorter:>8.3f}{_share(row.longer_better):>10}{_share(row.shorter_better):>10}{row.ties:>6.2f}"
            f"{row.log_loss:>7.3f}"
        )
    lines += [
        "",
        "candidates: share of questions answered right (95% interval over questions)",
        f"{'source':<24}{'groups':>7}{'of':>5}{'scorer':>22}{'gain over random':>24}{'random':>8}{'first':>7}"
        f"{'short':>7}{'long':>7}{'vote':>7}{'best':>7}{'pairs':>7}",
    ]
    for found in report.candidates:
        scorer = f"{found.scorer.mean:.3f} [{found.scorer.low:.3f}, {found.scorer.high:.3f}]"
        gain = f"{found.gain.mean:+.3f} [{found.gain.low:+.3f}, {found.gain.high:+.3f}]"
        lines.append(
            f"{found.source:<24}{found.questions:>7}{found.candidates:>5.0f}{scorer:>22}{gain:>24}{found.random:>8.3f}"
            f"{found.first:>7.3f}{found.shortest:>7.3f}{found.longest:>7.3f}{found.majority:>7.3f}"
            f"{found.best_possible:>7.3f}{_share(found.pairwise):>7}"
        )
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
