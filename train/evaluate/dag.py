"""Annotators of DAGs against gold annotations: actions, parents, and what they cost (paper §4.2, App. E)."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from me2sdk._jsonl import fingerprint
from me2sdk._sync import all_or_none, run_sync
from me2sdk.annotate import Annotator, aparse_dag
from me2sdk.errors import ConfigurationError, ME2Error
from me2sdk.llm import LLM
from me2sdk.schema import Usage, Value
from me2sdk.train.evaluate.estimates import Estimate, estimate
from me2sdk.train.evaluate.journal import Journal
from me2sdk.train.evaluate.reasoningflow import GoldTrace
from me2sdk.train.evaluate.scorers import EvaluationFailure
from me2sdk.train.progress import OnProgress, Progress

__all__ = ["ActionScore", "DagAnnotator", "DagReport", "DagRow", "aevaluate_dag", "evaluate_dag"]

CONTINUE = "always continue"
ACTIONS = ("continue", "backtrack", "merge")
_AT_ONCE = 16  # traces under annotation; the LLM itself limits the calls in flight


@dataclass(frozen=True)
class DagAnnotator:
    """An annotator and its settings; the arguments are those of `parse_dag`.

    Attributes:
        model: the model that annotates. None for ``annotator``.
        annotator: an annotator of your own; None, without a model, for the local one.
        window: steps per call.
        samples: annotations per step.
        params: sent with every call.
    """

    model: Any = None
    annotator: Annotator | None = None
    window: int = 1
    samples: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)


class ActionScore(Value):
    """How well one action is found.

    Attributes:
        gold: steps that should have it.
        found: steps that were given it.
        hits: steps of which both hold.
    """

    gold: int
    found: int
    hits: int

    @property
    def precision(self) -> float | None:
        """Hits / found; None where it was never given."""
        return self.hits / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Hits / gold; None where there is none to find."""
        return self.hits / self.gold if self.gold else None

    @property
    def f1(self) -> float | None:
        """2 · hits / (gold + found); None where both are 0."""
        return 2 * self.hits / (self.gold + self.found) if self.gold + self.found else None


class DagRow(Value):
    """One annotator on the traces of one source model. Every step but the root counts.

    Attributes:
        annotator: its name; "always continue" is the baseline.
        family: the model that wrote the traces, or "" for all.
        traces: traces that were annotated.
        failed: traces that could not be; they are in no other count.
        steps: steps of the annotated traces.
        fallbacks: steps for which no usable annotation came, so that they continue.
        accuracy: share of steps with the gold action, with its 95% interval over traces; None without steps.
        macro_f1: mean F1 over the actions that occur among the gold or the found ones.
        actions: scores of each action.
        backtracks: steps that are a backtrack in gold and were found to be one.
        parents: how many of these go back to the gold parent.
        usage: what all of its annotations cost, those found in the file included.
        seconds: wall-clock time of its traces, added up: they run side by side.
    """

    annotator: str
    family: str
    traces: int
    failed: int
    steps: int
    fallbacks: int
    accuracy: Estimate | None
    macro_f1: float
    actions: dict[str, ActionScore]
    backtracks: int
    parents: int
    usage: Usage
    seconds: float


class DagReport(Value):
    """What `evaluate_dag` found: one row per annotator and source model, the baseline first, and failures."""

    rows: tuple[DagRow, ...]
    failures: tuple[EvaluationFailure, ...]

    @property
    def families(self) -> list[str]:
        """The source models of the traces; "" stands for all of them."""
        return list(dict.fromkeys(row.family for row in self.rows))

    def table(self, family: str = "") -> list[dict[str, str]]:
        """The rows of one source model as text, for printing."""
        return [
            {
                "annotator": row.annotator,
                "traces": f"{row.traces}" + (f" ({row.failed} failed)" if row.failed else ""),
                "steps": str(row.steps),
                "accuracy": "–" if row.accuracy is None else str(row.accuracy),
                "macro F1": f"{row.macro_f1:.3f}",
                **{
                    f"{action}: precision, recall, F1": ", ".join(
                        "–" if number is None else f"{number:.2f}"
                        for number in (score.precision, score.recall, score.f1)
                    )
                    for action, score in row.actions.items()
                },
                "backtrack parents": f"{row.parents}/{row.backtracks}",
                "fallbacks": str(row.fallbacks),
                "calls": str(row.usage.calls),
                "tokens": "–" if row.usage.total_tokens is None else str(row.usage.total_tokens),
                "USD": "–" if row.usage.cost is None else f"{row.usage.cost:.4f}",
            }
            for row in self.rows
            if row.family == family
        ]


class _Annotated(Value):
    """What an annotator made of one trace."""

    actions: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...]
    fallbacks: int = 0
    usage: Usage = Usage()
    seconds: float = 0.0


async def aevaluate_dag(
    gold: Iterable[GoldTrace],
    annotators: Mapping[str, DagAnnotator],
    *,
    output: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> DagReport:
    """Measure annotators; `evaluate_dag` with ``await``.

    Example:
        ```python
        import asyncio
        from pathlib import Path
        from me2sdk import parse_dag
        from me2sdk.train import DagAnnotator, aevaluate_dag, read_gold

        Path("gold.json").write_text(parse_dag(["2 + 2 = 4.", "So it is 4."]).to_json(), "utf-8")
        report = asyncio.run(aevaluate_dag(read_gold("gold.json"), {"local": DagAnnotator()}))
        print(report.rows[0].annotator)  # always continue
        ```
    """
    traces = list(gold)
    if not traces or not annotators:
        raise ConfigurationError("There must be at least one annotated trace and one annotator.")
    baseline = [
        _Annotated(
            actions=("root", *["continue"] * (len(trace.steps) - 1)),
            parents=tuple((place - 1,) if place else () for place in range(len(trace.steps))),
        )
        for trace in traces
    ]
    rows = _rows(CONTINUE, traces, baseline)
    failures: list[EvaluationFailure] = []
    with Journal(output) as journal:
        for name, annotator in annotators.items():
            found, failed = await _annotate(name, annotator, traces, journal, on_progress)
            rows += _rows(name, traces, found)
            failures += failed
    return DagReport(rows=tuple(rows), failures=tuple(failures))


def evaluate_dag(
    gold: Iterable[GoldTrace],
    annotators: Mapping[str, DagAnnotator],
    *,
    output: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> DagReport:
    """Measure annotators against gold actions and parents.

    Each annotates a trace by itself: a wrong action changes the state in which it sees the next step, as it would
    in use. Steps are those of the gold annotation.

    Args:
        gold: annotated traces, such as ``read_gold("folder")``.
        annotators: what to compare, by name: models, windows, numbers of samples, the local annotator.
        output: a file in which finished traces are kept; a second run resumes it. Failures are tried again.
        on_progress: called with a `Progress` after each trace.

    Returns:
        A `DagReport`, with a row for each annotator on all traces and on those of each source model.

    Raises:
        ConfigurationError: there is nothing to measure, an annotator cannot work, or ``output`` was written with
            other settings.

    Example:
        ```python
        from pathlib import Path
        from me2sdk import parse_dag
        from me2sdk.train import DagAnnotator, evaluate_dag, read_gold

        Path("gold.json").write_text(parse_dag(["2 + 2 = 4.", "So it is 4."]).to_json(), "utf-8")
        report = evaluate_dag(read_gold("gold.json"), {"local": DagAnnotator()})
        print([(row.annotator, row.accuracy.mean) for row in report.rows if not row.family][1])  # ('local', 1.0)
        ```
    """
    return run_sync(aevaluate_dag(gold, annotators, output=output, on_progress=on_progress))


async def _annotate(
    name: str,
    annotator: DagAnnotator,
    traces: Sequence[GoldTrace],
    journal: Journal,
    on_progress: OnProgress | None,
) -> tuple[list[_Annotated | None], list[EvaluationFailure]]:
    model = annotator.model
    llm = model if model is None or isinstance(model, LLM) else LLM(model)
    settings = {
        "models": None if llm is None else list(llm.models),
        "annotator": getattr(annotator.annotator, "name", type(annotator.annotator).__name__),
        "window": annotator.window,
        "samples": annotator.samples,
        "params": dict(annotator.params),
    }
    found = journal.begin(name, settings)
    keys = [fingerprint(json.dumps([trace.question, trace.steps], ensure_ascii=False)) for trace in traces]
    todo = {key: trace for key, trace in zip(keys, traces, strict=True) if key not in found}
    errors: dict[str, ME2Error] = {}
    finished = itertools.count(len(keys) - len(todo) + 1)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(key: str, trace: GoldTrace) -> None:
        async with slots:
            started = time.perf_counter()
            try:
                dag = await aparse_dag(
                    list(trace.steps),
                    question=trace.question or None,
                    model=llm,
                    annotator=annotator.annotator,
                    window=annotator.window,
                    samples=annotator.samples,
                    strict=True,
                    **annotator.params,
                )
            except ConfigurationError:
                raise
            except ME2Error as error:
                errors[key] = error
            else:
                made = _Annotated(
                    actions=tuple(node.action for node in dag.nodes),
                    parents=tuple(node.parents for node in dag.nodes),
                    fallbacks=len(dag.errors),
                    usage=dag.usage,
                    seconds=time.perf_counter() - started,
                )
                journal.put(name, {key: made.model_dump(mode="json")})
            if on_progress:
                on_progress(Progress(name, next(finished), len(keys)))

    await all_or_none(*(one(key, trace) for key, trace in todo.items()))
    return (
        [_Annotated.model_validate(found[key]) if key in found else None for key in keys],
        [
            EvaluationFailure(by=name, item=place, error=type(error).__name__, message=str(error)[:2000])
            for place, key in enumerate(keys)
            if (error := errors.get(key)) is not None
        ],
    )


def _rows(name: str, traces: Sequence[GoldTrace], found: Sequence[_Annotated | None]) -> list[DagRow]:
    families = sorted({trace.family for trace in traces if trace.family})
    groups = {"": list(range(len(traces)))}
    if len(families) > 1:
        for family in families:
            groups[family] = [place for place, trace in enumerate(traces) if trace.family == family]
    return [
        _row(name, family, [(traces[place], found[place]) for place in places])
        for family, places in groups.items()
    ]


def _row(name: str, family: str, pairs: Sequence[tuple[GoldTrace, _Annotated | None]]) -> DagRow:
    done = [(trace, one) for trace, one in pairs if one is not None]
    steps = [
        (trace.actions[place], one.actions[place], trace.parents[place] == one.parents[place], trace.name)
        for trace, one in done
        for place in range(1, len(trace.steps))
    ]
    scores = {
        action: ActionScore(
            gold=sum(gold == action for gold, *_ in steps),
            found=sum(said == action for _, said, *_ in steps),
            hits=sum(gold == said == action for gold, said, *_ in steps),
        )
        for action in ACTIONS
    }
    f1 = [score.f1 for score in scores.values() if score.f1 is not None]
    both = [same for gold, said, same, _ in steps if gold == said == "backtrack"]
    return DagRow(
        annotator=name,
        family=family,
        traces=len(done),
        failed=len(pairs) - len(done),
        steps=len(steps),
        fallbacks=sum(one.fallbacks for _, one in done),
        accuracy=estimate([gold == said for gold, said, *_ in steps], [trace for *_, trace in steps])
        if steps
        else None,
        macro_f1=sum(f1) / len(f1) if f1 else 0.0,
        actions=scores,
        backtracks=len(both),
        parents=sum(both),
        usage=sum((one.usage for _, one in done), Usage()),
        seconds=sum(one.seconds for _, one in done),
    )
