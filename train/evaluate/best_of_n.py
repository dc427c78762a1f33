"""Best-of-N: how often the candidate that a scorer picks is right, by the number of candidates (paper §5.3)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Trace, Value
from me2sdk.scorers import BASELINES, Scorer, trace_text
from me2sdk.stats import best_of_n_curve
from me2sdk.train.data import question_key
from me2sdk.train.evaluate.calibration import Calibration, calibrate
from me2sdk.train.evaluate.choices import DRAWS, AutoChooser
from me2sdk.train.evaluate.estimates import Estimate, estimate
from me2sdk.train.evaluate.journal import Journal
from me2sdk.train.evaluate.questions import CandidateQuestion, add_correctness, answer_groups
from me2sdk.train.evaluate.scorers import EvaluationFailure, ScoringItem, run_scorer
from me2sdk.train.evaluate.stopping import FEWEST, StoppingRow, StoppingRun, simulate, stopping_rows
from me2sdk.train.evaluate.votes import Ballot, vote_curve
from me2sdk.train.progress import OnProgress

__all__ = ["BestOfNReport", "BestOfNRow", "aevaluate_best_of_n", "evaluate_best_of_n"]

RANDOM, SHORTEST, MAJORITY, ORACLE, AUTO = "random", "shortest", "majority vote", "oracle", "auto"
WITHIN = "(within model)"
_Curve = tuple[list[float], list[bool]]


class BestOfNRow(Value):
    """Accuracy of one method with k candidates.

    Attributes:
        method: a scorer's name (its highest reward wins); the same with "vote" or "weighted vote" (as `best_of_n`
            says; where no candidate has an answer the highest reward wins) or "auto" (what `rerank` returns by
            default); "auto" alone where no scorer gives rewards; "majority vote" (equal votes have equal chances),
            "shortest", "random" (the mean of all), or "oracle" (any candidate is right: pass@k).
        model: "" for all candidates together, the name of a model for its candidates alone, or "(within model)" for
            the mean over all models: what is left to a scorer that only recognises models.
        k: number of candidates.
        questions: groups of candidates that the mean is over: questions, or within models questions × models.
        accuracy: expected accuracy over all subsets of k candidates, with its 95% interval over questions.
        gain: the same less that of a random candidate.
        exact: whether all subsets were counted; else votes are the mean over 2,000 random ones, and "auto" over the
            report's ``draws``.
    """

    method: str
    model: str = ""
    k: int
    questions: int
    accuracy: Estimate
    gain: Estimate
    exact: bool


class BestOfNReport(Value):
    """What `evaluate_best_of_n` found.

    Attributes:
        questions: number of questions.
        candidates: fewest and most candidates that a question has. Curves end at the fewest.
        rows: one row per method, model and k.
        scored: for each scorer how many candidates it scored. One that scored none is in no row.
        undecided: candidates whose answer could not be compared with the reference; they count as not right.
        failures: candidates that could not be scored. As in `rerank`, their scorer takes them last.
        truncated: for each scorer how many candidates it had to leave a part out of.
        seconds: wall-clock time of each scorer in this run.
        draws: how many random draws of each question's candidates "auto" is the mean over, for some of them.
        calibrations: how far the confidence of "auto" can be trusted, by method and model.
        stopping: what ``stop`` saves and costs with "auto", by method, model and value.
    """

    questions: int
    candidates: tuple[int, int]
    rows: tuple[BestOfNRow, ...]
    scored: dict[str, int]
    undecided: int
    failures: tuple[EvaluationFailure, ...]
    truncated: dict[str, int]
    seconds: dict[str, float]
    draws: int = DRAWS
    calibrations: tuple[Calibration, ...] = ()
    stopping: tuple[StoppingRow, ...] = ()

    @property
    def models(self) -> list[str]:
        """The groups of the rows: "" for all candidates, then by model."""
        return list(dict.fromkeys(row.model for row in self.rows))

    def curves(self, model: str = "") -> dict[str, list[BestOfNRow]]:
        """The rows of one group, by method, in order of k."""
        found: dict[str, list[BestOfNRow]] = {}
        for row in self.rows:
            if row.model == model:
                found.setdefault(row.method, []).append(row)
        return found

    def table(self, model: str = "") -> list[dict[str, str]]:
        """The rows of one group as text, for printing: accuracy at each k, and at the last one with intervals."""
        return [
            {
                "method": method,
                **{f"N={row.k}": f"{row.accuracy.mean:.3f}" for row in rows},
                "95% interval": f"[{rows[-1].accuracy.low:.3f}, {rows[-1].accuracy.high:.3f}]",
                "gain over random": f"{rows[-1].gain.mean:+.3f} "
                f"[{rows[-1].gain.low:+.3f}, {rows[-1].gain.high:+.3f}]",
            }
            for method, rows in self.curves(model).items()
        ]

    def stopping_table(self, model: str = "") -> list[dict[str, str]]:
        """What ``stop`` saves and costs in one group as text, for printing."""
        return [
            {
                "method": row.method,
                "stop": str(row.stop),
                "samples used": f"{row.used:.3f}",
                "accuracy": str(row.accuracy),
                "lost": f"{row.lost.mean:+.3f} [{row.lost.low:+.3f}, {row.lost.high:+.3f}]",
                "answer changed": f"{row.changed:.3f}",
            }
            for row in self.stopping
            if row.model == model
        ]

    def to_html(self, title: str | None = None) -> str:
        """One self-contained page: the curves, how far the confidence can be trusted, and the numbers behind both.

        Args:
            title: its heading.

        Returns:
            The page as HTML, which needs no network.

        Raises:
            ConfigurationError: matplotlib is missing.
        """
        from me2sdk.train.evaluate.report import best_of_n_page

        return best_of_n_page(self, title)

    def write_csv(self, path: str | Path) -> None:
        """Write the rows in long form: method, model, k, questions, accuracy, low, high, gain, exact."""
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                "method model k questions accuracy low high gain gain_low gain_high exact".split()
            )
            for row in self.rows:
                numbers = [*row.accuracy.model_dump().values(), *row.gain.model_dump().values()]
                writer.writerow(
                    [row.method, row.model, row.k, row.questions, *(f"{n:.6f}" for n in numbers), row.exact]
                )


async def aevaluate_best_of_n(
    questions: Iterable[CandidateQuestion],
    scorers: Mapping[str, str | Scorer],
    *,
    output: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> BestOfNReport:
    """Measure best-of-N; `evaluate_best_of_n` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk import Trace
        from me2sdk.train import CandidateQuestion, aevaluate_best_of_n

        traces = [Trace.from_text("It is 4."), Trace.from_text("Let me see. It is 5.")]
        question = CandidateQuestion(question="What is 2 + 2?", candidates=traces, correct=[True, False])
        print(asyncio.run(aevaluate_best_of_n([question], {"mini": "mini"})).scored)  # {'mini': 2}
        ```
    """
    if taken := {RANDOM, SHORTEST, MAJORITY, ORACLE, AUTO} & set(scorers):
        raise ConfigurationError(
            f"{sorted(taken)[0]!r} is always in the report. Leave it out of the scorers."
        )
    failures: list[EvaluationFailure] = []
    scored: dict[str, int] = {}
    truncated: dict[str, int] = {}
    seconds: dict[str, float] = {}
    with Journal(output) as journal:
        items, undecided = await add_correctness(questions, journal)
        if not items:
            raise ConfigurationError("There are no questions to measure on.")
        groups = await answer_groups(items, journal)
        rewards: dict[str, list[list[float | None]]] = {}
        for name, scorer in scorers.items():
            asked = [ScoringItem(item.question, item.candidates) for item in items]
            run = await run_scorer(name, scorer, asked, journal, on_progress)
            scored[name] = sum(score is not None for one in run.items for score in one.scores)
            if scored[name]:
                rewards[name] = [one.scores for one in run.items]
            failures += run.failures
            truncated[name] = sum(cut > 0 for one in run.items for cut in one.truncated)
            seconds[name] = run.seconds
    sets = [
        _CandidateSet(item, groups[place], {name: rows[place] for name, rows in rewards.items()})
        for place, item in enumerate(items)
    ]
    by_model = _by_model(sets)
    grouped = {"": sets}
    if len(by_model) > 1:
        grouped |= {WITHIN: [one for parts in by_model.values() for one in parts], **by_model}
    sizes = [len(item.candidates) for item in items]
    return BestOfNReport(
        questions=len(items),
        candidates=(min(sizes), max(sizes)),
        rows=tuple(row for model, some in grouped.items() for row in _rows(model, some)),
        scored=scored,
        undecided=undecided,
        failures=tuple(failures),
        truncated=truncated,
        seconds=seconds,
        calibrations=tuple(one for model, some in grouped.items() for one in _calibrations(model, some)),
        stopping=tuple(row for model, some in grouped.items() for row in _stopping(model, some)),
    )


def evaluate_best_of_n(
    questions: Iterable[CandidateQuestion],
    scorers: Mapping[str, str | Scorer],
    *,
    output: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> BestOfNReport:
    """Measure how often the chosen candidate is right, by the number of candidates and the way to choose (paper §5.3).

    Each scorer is listed with the highest reward, votes and "auto", beside baselines that cost nothing (a random
    candidate, the shortest, the majority's) and beside the best that is possible (the oracle). For k up to the fewest
    candidates of a question, in powers of two, the mean over all subsets of size k is taken: exactly for what picks by
    reward, and for votes where there are at most 2,000 subsets. "auto" is the decision of `rerank` itself, for some of
    the candidates on a few random draws of them.

    Args:
        questions: what to measure on, such as ``read_candidates("candidates.jsonl")``.
        scorers: scorers, or names as `open_scorer` takes them, by what the report is to call them.
        output: a file in which rewards and verdicts are kept; a second run resumes it.
        on_progress: called with a `Progress` after each batch of questions.

    Returns:
        A `BestOfNReport`. Where candidates name their models it holds curves within each model, too.

    Raises:
        ConfigurationError: there are no questions, a scorer cannot be loaded or has a baseline's name, or ``output``
            was written with other settings.

    Example:
        ```python
        from me2sdk import Trace
        from me2sdk.train import CandidateQuestion, evaluate_best_of_n

        traces = [Trace.from_text("It is 4."), Trace.from_text("Let me see. It is 5.")]
        question = CandidateQuestion(question="What is 2 + 2?", candidates=traces, correct=[True, False])
        report = evaluate_best_of_n([question], {"longest": "longest"})
        print([row.accuracy.mean for row in report.rows if row.method == "longest"])  # [0.5, 0.0]
        ```
    """
    return run_sync(aevaluate_best_of_n(questions, scorers, output=output, on_progress=on_progress))


class _CandidateSet:
    """One question's candidates with their answers and rewards."""

    def __init__(
        self,
        item: CandidateQuestion,
        groups: Sequence[int | None],
        rewards: Mapping[str, Sequence[float | None]],
    ) -> None:
        self.item = item
        self.groups = groups
        self.rewards = rewards
        self.correct = item.correct or ()
        self.key = question_key(item.question)

    @cached_property
    def choosers(self) -> dict[str, AutoChooser]:
        """What chooses with "auto", by method: with the rewards of each scorer, or without any."""
        found = {
            f"{name}, {AUTO}": AutoChooser(self.item, self.groups, scores)
            for name, scores in self.rewards.items()
            if name not in BASELINES  # their scores are no rewards
        }
        return found or {AUTO: AutoChooser(self.item, self.groups, [None] * len(self.correct))}

    @cached_property
    def stopped(self) -> dict[str, list[StoppingRun]]:
        """What stopping early does, by method; empty where there is nothing to save."""
        if len(self.correct) < FEWEST:
            return {}
        return {method: simulate(chooser) for method, chooser in self.choosers.items()}

    def only(self, places: Sequence[int]) -> _CandidateSet:
        return _CandidateSet(
            self.item.only(places),
            [self.groups[place] for place in places],
            {name: [scores[place] for place in places] for name, scores in self.rewards.items()},
        )

    def curves(self, ks: Sequence[int]) -> dict[str, _Curve]:
        """Accuracy at each k, and whether it is exact, by method."""
        even = [0.0] * len(self.correct)
        curves = {
            RANDOM: self._best(even, ks),
            SHORTEST: self._best([-float(_length(trace)) for trace in self.item.candidates], ks),
            MAJORITY: vote_curve(Ballot(self.groups, even, self.correct), ks),
        }
        for name, scores in self.rewards.items():
            standing = _standing(self.item.candidates, scores)
            curves[name] = self._best(standing, ks)
            if name not in BASELINES:
                ballot = Ballot(self.groups, standing, self.correct)
                curves[f"{name}, vote"] = vote_curve(ballot, ks)
                curves[f"{name}, weighted vote"] = vote_curve(ballot._replace(rewards=scores), ks)
                method = f"{name}, {AUTO}"
                curves[method] = self.choosers[method].curve(ks)
        if AUTO in self.choosers:
            curves[AUTO] = self.choosers[AUTO].curve(ks)
        curves[ORACLE] = self._best([float(right) for right in self.correct], ks)
        return curves

    def _best(self, scores: Sequence[float], ks: Sequence[int]) -> _Curve:
        accuracy = best_of_n_curve([scores], [self.correct], resamples=1).accuracy
        return [accuracy[k - 1] for k in ks], [True] * len(ks)


def _standing(traces: Sequence[Trace], scores: Sequence[float | None]) -> list[float]:
    """Numbers in the order in which `rerank` puts candidates: unfinished ones last, and those without a reward."""
    keys = [
        (not trace.truncated, score is not None, score or 0.0)
        for trace, score in zip(traces, scores, strict=True)
    ]
    ranks = {key: float(rank) for rank, key in enumerate(sorted(set(keys)))}
    return [ranks[key] for key in keys]


def _length(trace: Trace) -> int:
    return len(trace_text(trace))


def _by_model(sets: Sequence[_CandidateSet]) -> dict[str, list[_CandidateSet]]:
    """The candidates of each model, where it gave several to a question."""
    found: dict[str, list[_CandidateSet]] = {}
    for one in sets:
        for model in dict.fromkeys(one.item.models):
            places = [place for place, name in enumerate(one.item.models) if name == model]
            if len(places) > 1:
                found.setdefault(model or "(unknown)", []).append(one.only(places))
    return found


def _rows(model: str, sets: Sequence[_CandidateSet]) -> list[BestOfNRow]:
    fewest = min(len(one.correct) for one in sets)
    ks = [2**power for power in range(fewest.bit_length())]
    ks += [fewest] if ks[-1] != fewest else []
    tables = [one.curves(ks) for one in sets]
    names = [one.key for one in sets]
    rows = []
    for method in tables[0]:
        for place, k in enumerate(ks):
            values = [table[method][0][place] for table in tables]
            chance = [table[RANDOM][0][place] for table in tables]
            rows.append(
                BestOfNRow(
                    method=method,
                    model=model,
                    k=k,
                    questions=len(sets),
                    accuracy=estimate(values, names),
                    gain=estimate([a - b for a, b in zip(values, chance, strict=True)], names),
                    exact=all(table[method][1][place] for table in tables),
                )
            )
    return rows


def _calibrations(model: str, sets: Sequence[_CandidateSet]) -> list[Calibration]:
    found = []
    for method in sets[0].choosers:
        choices = [one.choosers[method].choice for one in sets]
        right = [
            one.choosers[method].is_right(choice.place) for one, choice in zip(sets, choices, strict=True)
        ]
        found.append(calibrate(method, model, [choice.confidence for choice in choices], right))
    return found


def _stopping(model: str, sets: Sequence[_CandidateSet]) -> list[StoppingRow]:
    some = [one for one in sets if one.stopped]
    names = [one.key for one in some]
    return [
        row
        for method in (some[0].stopped if some else ())
        for row in stopping_rows(method, model, [one.stopped[method] for one in some], names)
    ]
