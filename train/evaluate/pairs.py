"""Accuracy on preference pairs, of scorers and of judges (paper §6, the table of App. G.5)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Usage, Value
from me2sdk.scorers import Scorer, trace_text
from me2sdk.train.data import Preference, question_key
from me2sdk.train.evaluate.estimates import Estimate, estimate
from me2sdk.train.evaluate.journal import Journal
from me2sdk.train.evaluate.judges import PairJudge, run_judge
from me2sdk.train.evaluate.scorers import EvaluationFailure, ScoringItem, run_scorer
from me2sdk.train.progress import OnProgress

__all__ = ["JudgeSummary", "PairsReport", "PairsRow", "aevaluate_pairs", "evaluate_pairs"]

By = Literal["all", "category", "dimension", "length"]
_TIE = 1e-9


class PairsRow(Value):
    """What one scorer or judge makes of one kind of pairs.

    Attributes:
        scorer: its name.
        by: what the kind is about: "all", "category", "dimension", or "length" (which trace is the longer one).
        group: the kind: "all", a category, a dimension, or "longer chosen", "shorter chosen", "same length".
        pairs: pairs that were judged.
        right: pairs whose chosen trace was preferred.
        tie: pairs without a preference.
        wrong: pairs whose rejected trace was preferred.
        failed: pairs that could not be judged; they are in no other count.
        accuracy: right / pairs, so that a tie counts as wrong (as in the paper), with its 95% interval over
            questions; None without pairs.
        decided: right / (right + wrong), ties left out; None where all are ties.
        shorter: accuracy of "the shorter trace wins" on the same pairs, equal lengths counting as wrong.
        longer: accuracy of "the longer trace wins".
    """

    scorer: str
    by: By
    group: str
    pairs: int
    right: int
    tie: int
    wrong: int
    failed: int
    accuracy: Estimate | None
    decided: float | None
    shorter: float
    longer: float


class JudgeSummary(Value):
    """How a judge behaved.

    Attributes:
        consistent: share of its repeats in which both orders gave the same decision.
        first: share of its decisions for a trace that fell on the one shown first; 0.5 means no position bias.
        usage: what all of its verdicts cost, those found in the file included.
    """

    consistent: float | None
    first: float | None
    usage: Usage


class PairsReport(Value):
    """What `evaluate_pairs` found.

    Attributes:
        pairs: number of pairs.
        questions: number of different questions.
        rows: for each scorer and judge, a row for all pairs and one for each kind.
        truncated: for each scorer how many pairs hold a trace of which it had to leave a part out.
        judges: how the judges behaved.
        failures: pairs that could not be judged, and by whom.
        seconds: wall-clock time of each scorer and judge in this run.
    """

    pairs: int
    questions: int
    rows: tuple[PairsRow, ...]
    truncated: dict[str, int]
    judges: dict[str, JudgeSummary]
    failures: tuple[EvaluationFailure, ...]
    seconds: dict[str, float]

    def table(self, by: By = "all") -> list[dict[str, str]]:
        """The rows of one kind as text, for printing: one line per scorer, for other kinds one per group."""
        found = [row for row in self.rows if row.by == by]
        if by == "all":
            return [
                {
                    "scorer": row.scorer,
                    "pairs": str(row.pairs),
                    **({"failed": str(row.failed)} if self.failures else {}),
                    "right/tie/wrong": f"{row.right}/{row.tie}/{row.wrong}",
                    "accuracy": _text(row.accuracy),
                    "without ties": "–" if row.decided is None else f"{row.decided:.3f}",
                    "shorter wins": f"{row.shorter:.3f}",
                    "longer wins": f"{row.longer:.3f}",
                }
                for row in found
            ]
        groups: dict[str, list[PairsRow]] = {}
        for row in found:
            groups.setdefault(row.group, []).append(row)
        return [
            {
                by: group,
                "pairs": str(max(row.pairs for row in rows)),
                **{row.scorer: _text(row.accuracy) for row in rows},
                "shorter wins": f"{rows[0].shorter:.3f}",
                "longer wins": f"{rows[0].longer:.3f}",
            }
            for group, rows in groups.items()
        ]


def _text(accuracy: Estimate | None) -> str:
    return "–" if accuracy is None else str(accuracy)


async def aevaluate_pairs(
    pairs: Iterable[Preference],
    scorers: Mapping[str, str | Scorer] | None = None,
    *,
    judges: Mapping[str, PairJudge] | None = None,
    output: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> PairsReport:
    """Measure scorers and judges on pairs; `evaluate_pairs` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk import Trace
        from me2sdk.train import Preference, aevaluate_pairs

        good, poor = Trace.from_text("It is 4."), Trace.from_text("Let me see. It is 5.")
        pair = Preference(question="What is 2 + 2?", chosen=good, rejected=poor)
        print(asyncio.run(aevaluate_pairs([pair], {"longest": "longest"})).rows[0].right)  # 0
        ```
    """
    items = list(pairs)
    scorers, judges = dict(scorers or {}), dict(judges or {})
    if not items:
        raise ConfigurationError("There are no pairs to measure on.")
    if not scorers and not judges:
        raise ConfigurationError("There is nothing to measure. Pass a scorer or a judge.")
    if both := sorted(set(scorers) & set(judges)):
        raise ConfigurationError(f"{both[0]} is the name of a scorer and of a judge. Name them differently.")
    rows: list[PairsRow] = []
    failures: list[EvaluationFailure] = []
    truncated: dict[str, int] = {}
    summaries: dict[str, JudgeSummary] = {}
    seconds: dict[str, float] = {}
    with Journal(output) as journal:
        for name, scorer in scorers.items():
            asked = [ScoringItem(pair.question, (pair.chosen, pair.rejected)) for pair in items]
            run = await run_scorer(name, scorer, asked, journal, on_progress)
            rows += _rows(name, items, [_margin(item.scores) for item in run.items])
            failures += run.failures
            truncated[name] = sum(any(item.truncated) for item in run.items)
            seconds[name] = run.seconds
        for name, judge in judges.items():
            started = time.perf_counter()
            verdicts, failed = await run_judge(name, judge, items, journal, on_progress)
            rows += _rows(name, items, [None if one is None else one.margin for one in verdicts])
            failures += failed
            known = [one for one in verdicts if one is not None]
            both_orders = [agree for one in known for agree in one.agreements]
            places = [first for one in known for first in one.first]
            summaries[name] = JudgeSummary(
                consistent=sum(both_orders) / len(both_orders) if both_orders else None,
                first=sum(places) / len(places) if places else None,
                usage=sum((one.usage for one in known), Usage()),
            )
            seconds[name] = time.perf_counter() - started
    return PairsReport(
        pairs=len(items),
        questions=len({question_key(pair.question) for pair in items}),
        rows=tuple(rows),
        truncated=truncated,
        judges=summaries,
        failures=tuple(failures),
        seconds=seconds,
    )


def evaluate_pairs(
    pairs: Iterable[Preference],
    scorers: Mapping[str, str | Scorer] | None = None,
    *,
    judges: Mapping[str, PairJudge] | None = None,
    output: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> PairsReport:
    """Measure how often scorers and judges prefer the chosen trace of a pair (paper §6, App. G.5).

    Args:
        pairs: what to measure on, such as ``read_preferences("validation.jsonl")``.
        scorers: scorers, or names as `open_scorer` takes them, by what the report is to call them. They get many
            traces per call.
        judges: judges by name: with structure, or the paper's prompt-only baseline. Their verdict is kept where both
            orders and all repeats agree and is a tie else.
        output: a file in which finished results are kept; a second run resumes it. Failures are not kept and
            are tried again.
        on_progress: called with a `Progress` after each batch of pairs, and after each pair of a judge.

    Returns:
        A `PairsReport`. A pair that a scorer fails on is counted as failed, and neither as right nor as wrong.

    Raises:
        ConfigurationError: there is nothing to measure, a scorer cannot be loaded, or ``output`` was written with
            other settings.

    Example:
        ```python
        from me2sdk import Trace
        from me2sdk.train import Preference, evaluate_pairs

        good, poor = Trace.from_text("It is 4."), Trace.from_text("Let me see. It is 5.")
        pair = Preference(question="What is 2 + 2?", chosen=good, rejected=poor)
        report = evaluate_pairs([pair], {"shortest": "shortest"})
        print(report.rows[0].accuracy.mean)  # 1.0
        ```
    """
    return run_sync(aevaluate_pairs(pairs, scorers, judges=judges, output=output, on_progress=on_progress))


def _margin(scores: Sequence[float | None]) -> float | None:
    chosen, rejected = scores
    return None if chosen is None or rejected is None else chosen - rejected


def _rows(name: str, pairs: Sequence[Preference], margins: Sequence[float | None]) -> list[PairsRow]:
    """A row for all pairs, then one per group, from how far the chosen trace is ahead (None: failed)."""
    groups: dict[tuple[By, str], list[int]] = {("all", "all"): list(range(len(pairs)))}
    leads = [len(trace_text(pair.chosen)) - len(trace_text(pair.rejected)) for pair in pairs]
    for place, (pair, lead) in enumerate(zip(pairs, leads, strict=True)):
        length = "longer chosen" if lead > 0 else "shorter chosen" if lead < 0 else "same length"
        groups.setdefault(("length", length), []).append(place)
        if pair.category:
            groups.setdefault(("category", pair.category), []).append(place)
        if pair.dimension:
            groups.setdefault(("dimension", pair.dimension), []).append(place)
    rows = []
    for (by, group), places in sorted(groups.items()):
        judged = [(margin, place) for place in places if (margin := margins[place]) is not None]
        right = [margin > _TIE for margin, _ in judged]
        wrong = sum(margin < -_TIE for margin, _ in judged)
        decided = sum(right) + wrong
        count = max(1, len(judged))
        rows.append(
            PairsRow(
                scorer=name,
                by=by,
                group=group,
                pairs=len(judged),
                right=sum(right),
                tie=len(judged) - decided,
                wrong=wrong,
                failed=len(places) - len(judged),
                accuracy=estimate(right, [question_key(pairs[place].question) for _, place in judged])
                if judged
                else None,
                decided=sum(right) / decided if decided else None,
                shorter=sum(leads[place] < 0 for _, place in judged) / count,
                longer=sum(leads[place] > 0 for _, place in judged) / count,
            )
        )
    return rows
