"""The tasks of real_models.py: every prompt of the SDK put to a model, with all that was said kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from me2sdk import LLM, JudgeScorer, ReasoningDAG, Trace, aparse_dag, averify_answer
from me2sdk._choices import Dimension
from me2sdk.errors import ME2Error
from me2sdk.judge import ajudge_pair
from me2sdk.schema import Message
from me2sdk.steps import split_steps
from me2sdk.train.data import Preference
from me2sdk.train.perturb import perturb_traces
from recipes.modern import read_rows

__all__ = ["Recorder", "Task", "read_pairs", "read_traces", "run", "tasks_of"]

# Short, long, symbolic, and trick questions, in turn.
_SETS = ("GSM8K x32", "GSM8K and MATH, long", "MATH-500 x32", "trick questions")
_MOST_TOKENS = (
    400  # of an answer; the longest that the prompts ask for, windows of eight, have about that many
)
_STEP_SIZE = 1500  # characters of a step that fit into a small context
# Question, reference, the same answer in other words, which no program can compare, and another answer.
_ANSWERS = (
    ("On which day is the meeting?", "the day after Monday", "on Tuesday", "on Thursday"),
    ("Why does ice float?", "it is less dense than water", "water is the denser of the two", "it is cold"),
    ("Who wins the game?", "the player who moves first", "the starting player", "the second player"),
    ("Which colour is left?", "neither red nor blue, so green", "green is left", "red is left"),
)


class Task(NamedTuple):
    """Something to ask a model about.

    Attributes:
        kind: "annotate", "judge", "score" or "verify".
        form: "markers" or "json".
        item: the place of the trace or of the pair.
        window: of "annotate", how many steps are asked about at once.
    """

    kind: str
    form: str
    item: int
    window: int = 1


class Recorder:
    """A model function that asks an `LLM` and keeps every call."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self.__name__ = "+".join(llm.models)
        self.calls: list[dict[str, Any]] = []

    async def __call__(self, messages: list[Message], **params: Any) -> Any:
        """Answer, and keep what was said."""
        started = time.perf_counter()
        found = await self._llm.agenerate(messages, **params)
        usage = found.usage
        self.calls.append(
            {
                "messages": messages,
                "answer": found.message.get("content"),
                "thinking": found.message.get("reasoning_content"),
                "finish_reason": found.finish_reason,
                "prompt_tokens": usage.prompt_tokens if usage else None,
                "completion_tokens": usage.completion_tokens if usage else None,
                "seconds": round(time.perf_counter() - started, 2),
            }
        )
        return found.raw


def read_traces(data: Path, count: int, most_steps: int) -> list[Trace]:
    """Traces of current models: from each set in turn the first ones of at most so many steps."""
    found: list[list[Trace]] = []
    for name in _SETS:
        fitting = (
            trace
            for row in read_rows(data, name)
            for trace in [Trace.from_text(row["candidates"][0]["text"], row["question"])]
            if _fits(trace, most_steps)
        )
        found.append([trace for trace, _ in zip(fitting, range(count), strict=False)])
    mixed = [traces[place] for place in range(count) for traces in found if place < len(traces)]
    return mixed[:count]


def _fits(trace: Trace, most_steps: int) -> bool:
    steps = split_steps(trace) if trace.reasoning.strip() else []
    return 4 <= len(steps) <= most_steps and all(len(step.text) <= _STEP_SIZE for step in steps)


def read_pairs(data: Path, count: int) -> list[Preference]:
    """Right solutions, each beside the same one with one fault: as many of each dimension."""
    traces = [
        Trace.from_text(one["text"], row["question"])
        for row in list(read_rows(data, "GSM8K x32"))[50 : 50 + 4 * count]
        for one in row["candidates"][:1]
        if one["correct"]
    ]
    pairs = perturb_traces(traces, per_trace=1, seed=16)
    by_dimension = [[pair for pair in pairs if pair.dimension == dimension] for dimension in Dimension]
    mixed = [group[place] for place in range(count) for group in by_dimension if place < len(group)]
    return mixed[:count]


def tasks_of(traces: int, pairs: int, forms: Sequence[str]) -> Iterator[Task]:
    """All tasks, in an order in which a run that is stopped has some of each kind."""
    for item in range(max(traces, pairs)):
        if item < traces:
            yield from (Task("annotate", form, item) for form in forms)
        if item < pairs:
            yield from (Task(kind, form, item) for kind in ("judge", "list", "points") for form in forms)
            yield Task("verify", "markers", item)
        if item < traces:
            yield from (Task("annotate", form, item, window) for window in (4, 8) for form in forms)


async def run(
    task: Task, llm: LLM, traces: Sequence[Trace], pairs: Sequence[Preference], **params: Any
) -> dict[str, Any]:
    """What came of a task, with every call that it took."""
    model = Recorder(llm)
    options: dict[str, Any] = {"max_tokens": _MOST_TOKENS, "temperature": 0.0, **params}
    limits: dict[str, Any] = {"max_concurrency": 1, "timeout": 1800.0}
    structured = task.form == "json"
    started = time.perf_counter()
    try:
        if task.kind == "annotate":
            trace = traces[task.item]
            dag = await aparse_dag(
                trace, model=model, window=task.window, structured=structured, **limits, **options
            )
            result = _annotated(dag, await aparse_dag(trace))
        elif task.kind == "judge":
            result = await _judged(model, pairs[task.item], structured, {**limits, **options})
        elif task.kind == "verify":
            result = await _verified(model, task.item, {**limits, **options})
        else:
            result = await _scored(model, task.kind, pairs[task.item], structured, options)
    except ME2Error as error:
        result = {"error": f"{type(error).__name__}: {error}"[:500]}
    seconds = round(time.perf_counter() - started, 1)
    return {"task": task._asdict(), "seconds": seconds, "result": result, "calls": model.calls}


def _annotated(dag: ReasoningDAG, local: ReasoningDAG) -> dict[str, Any]:
    return {
        "nodes": [[node.action, list(node.parents)] for node in dag.nodes],
        "local": [[node.action, list(node.parents)] for node in local.nodes],
        "errors": {error.step: error.message for error in dag.errors},
    }


async def _judged(
    model: Recorder, pair: Preference, structured: bool, options: dict[str, Any]
) -> dict[str, Any]:
    """One repeat in each order; the better trace is a for every second pair, by its question."""
    swapped = len(str(pair.question)) % 2 == 1
    a, b = (pair.rejected, pair.chosen) if swapped else (pair.chosen, pair.rejected)
    verdict = await ajudge_pair(
        pair.question, a, b, model=model, repeats=1, annotator="local", structured=structured, **options
    )
    return {
        "dimension": pair.dimension,
        "category": pair.category,
        "better": "b" if swapped else "a",
        "preference": verdict.preference,
        "votes": [[vote.subject, vote.order, vote.decision, vote.asked] for vote in verdict.votes],
        "summaries_failed": len(verdict.failures),
    }


async def _scored(
    model: Recorder, mode: Any, pair: Preference, structured: bool, params: dict[str, Any]
) -> dict[str, Any]:
    traces = [pair.chosen, pair.rejected]
    limited = LLM(model, max_concurrency=1, timeout=1800.0)
    scorer = JudgeScorer(limited, mode, structured=structured, **params)
    scores = await scorer.ascore(pair.question, traces)
    return {"better": scores[0], "worse": scores[1]}


async def _verified(model: Recorder, item: int, options: dict[str, Any]) -> dict[str, Any]:
    question, reference, same, other = _ANSWERS[item % len(_ANSWERS)]
    llm = LLM(model, **options)
    found = [
        (
            await averify_answer(
                f"So the answer is \\boxed{{{student}}}.", reference, question=question, model=llm
            )
        )
        for student in (same, other)
    ]
    return {"right": [found[0].outcome == "right", found[1].outcome == "wrong"]}
