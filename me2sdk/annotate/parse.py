"""The verb that turns traces into DAGs: `parse_dag`."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from me2sdk._sync import all_or_none, run_sync
from me2sdk._tracing import traced
from me2sdk.annotate.custom import annotate_with
from me2sdk.annotate.inputs import Job, ManyTraces, OneTrace, holds_traces, read_job
from me2sdk.annotate.local import LocalAnnotator
from me2sdk.annotate.model import ModelAnnotation
from me2sdk.annotate.prompt import prompt_name
from me2sdk.annotate.types import Annotator, Limits, OnNode
from me2sdk.dag import DAGNode, ReasoningDAG
from me2sdk.errors import BatchAnnotationError, ConfigurationError, ME2Error
from me2sdk.llm import LLM, Budget, Model, Structured, check_options, check_structured, open_llm
from me2sdk.schema import Question, Step, question_text

__all__ = ["aparse_dag", "parse_dag"]

_log = logging.getLogger(__name__)
OnStep = Callable[[int, DAGNode], Awaitable[None] | None]


@overload
async def aparse_dag(
    trace: OneTrace,
    *,
    question: Question | None = None,
    model: Model | LLM | None = None,
    annotator: Annotator | None = None,
    samples: int = 1,
    window: int = 1,
    max_main: int = 24,
    max_leaves: int = 8,
    max_retries: int = 2,
    structured: Structured = "auto",
    strict: bool = False,
    prefixes: str | Iterable[str] | Path = "auto",
    max_concurrency: int = 16,
    cache: bool | str | Path | None = None,
    budget: Budget | None = None,
    timeout: float = 120.0,
    on_step: OnStep | None = None,
    **params: Any,
) -> ReasoningDAG: ...


@overload
async def aparse_dag(
    trace: ManyTraces,
    *,
    question: Question | None = None,
    model: Model | LLM | None = None,
    annotator: Annotator | None = None,
    samples: int = 1,
    window: int = 1,
    max_main: int = 24,
    max_leaves: int = 8,
    max_retries: int = 2,
    structured: Structured = "auto",
    strict: bool = False,
    prefixes: str | Iterable[str] | Path = "auto",
    max_concurrency: int = 16,
    cache: bool | str | Path | None = None,
    budget: Budget | None = None,
    timeout: float = 120.0,
    on_step: OnStep | None = None,
    **params: Any,
) -> list[ReasoningDAG]: ...


@traced("parse_dag")
async def aparse_dag(
    trace: OneTrace | ManyTraces,
    *,
    question: Question | None = None,
    model: Model | LLM | None = None,
    annotator: Annotator | None = None,
    samples: int = 1,
    window: int = 1,
    max_main: int = 24,
    max_leaves: int = 8,
    max_retries: int = 2,
    structured: Structured = "auto",
    strict: bool = False,
    prefixes: str | Iterable[str] | Path = "auto",
    max_concurrency: int = 16,
    cache: bool | str | Path | None = None,
    budget: Budget | None = None,
    timeout: float = 120.0,
    on_step: OnStep | None = None,
    **params: Any,
) -> ReasoningDAG | list[ReasoningDAG]:
    """Parse one trace or several; `parse_dag` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk import aparse_dag

        dag = asyncio.run(aparse_dag(["2 + 2 = 4.", "So the answer is 4."]))
        print(len(dag.nodes))  # 2
        ```
    """
    check_options(parse_dag, params)
    if min(samples, window) < 1 or max_main < 2 or min(max_leaves, max_retries) < 0:
        raise ConfigurationError(
            "samples and window are at least 1, max_main at least 2, max_leaves and max_retries at least 0; got "
            f"{samples=}, {window=}, {max_main=}, {max_leaves=}, {max_retries=}."
        )
    check_structured(structured)
    many = isinstance(trace, (list, tuple)) and not isinstance(trace, Step) and holds_traces(trace)
    items: Sequence[Any] = trace if many else [trace]  # type: ignore[assignment]
    jobs = [read_job(index, item, question, prefixes, many) for index, item in enumerate(items)]
    limits = Limits(max_main, max_leaves, samples, window, max_retries, structured, strict)
    llm = _llm(model, annotator, max_concurrency, timeout, cache, budget, params)
    own = annotator or LocalAnnotator()

    async def one(job: Job) -> ReasoningDAG | ME2Error:
        on_node = _notifier(on_step, job.place)
        try:
            if llm is None:
                return await annotate_with(
                    own, job.steps, question=job.question, limits=limits, on_node=on_node
                )
            return await _with_model(llm.session(), job, limits, params, on_node)
        except ConfigurationError:
            raise
        except ME2Error as error:
            return error

    outcomes = await all_or_none(*(one(job) for job in jobs))
    dags = [None if isinstance(outcome, ME2Error) else outcome for outcome in outcomes]
    failures = {index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, ME2Error)}
    if failures and not many:
        raise failures[0]
    if failures:
        first = min(failures)
        raise BatchAnnotationError(
            f"{len(failures)} of {len(jobs)} traces could not be annotated; trace {first}: {failures[first]} "
            "The DAGs of the others are in .partial, the reasons in .failures. With cache=…, a second try repeats no "
            "finished call.",
            dags,
            failures,
        )
    finished = [dag for dag in dags if dag is not None]
    return finished if many else finished[0]


@overload
def parse_dag(
    trace: OneTrace,
    *,
    question: Question | None = None,
    model: Model | LLM | None = None,
    annotator: Annotator | None = None,
    samples: int = 1,
    window: int = 1,
    max_main: int = 24,
    max_leaves: int = 8,
    max_retries: int = 2,
    structured: Structured = "auto",
    strict: bool = False,
    prefixes: str | Iterable[str] | Path = "auto",
    max_concurrency: int = 16,
    cache: bool | str | Path | None = None,
    budget: Budget | None = None,
    timeout: float = 120.0,
    on_step: OnStep | None = None,
    **params: Any,
) -> ReasoningDAG: ...


@overload
def parse_dag(
    trace: ManyTraces,
    *,
    question: Question | None = None,
    model: Model | LLM | None = None,
    annotator: Annotator | None = None,
    samples: int = 1,
    window: int = 1,
    max_main: int = 24,
    max_leaves: int = 8,
    max_retries: int = 2,
    structured: Structured = "auto",
    strict: bool = False,
    prefixes: str | Iterable[str] | Path = "auto",
    max_concurrency: int = 16,
    cache: bool | str | Path | None = None,
    budget: Budget | None = None,
    timeout: float = 120.0,
    on_step: OnStep | None = None,
    **params: Any,
) -> list[ReasoningDAG]: ...


def parse_dag(
    trace: OneTrace | ManyTraces,
    *,
    question: Question | None = None,
    model: Model | LLM | None = None,
    annotator: Annotator | None = None,
    samples: int = 1,
    window: int = 1,
    max_main: int = 24,
    max_leaves: int = 8,
    max_retries: int = 2,
    structured: Structured = "auto",
    strict: bool = False,
    prefixes: str | Iterable[str] | Path = "auto",
    max_concurrency: int = 16,
    cache: bool | str | Path | None = None,
    budget: Budget | None = None,
    timeout: float = 120.0,
    on_step: OnStep | None = None,
    **params: Any,
) -> ReasoningDAG | list[ReasoningDAG]:
    """Turn a reasoning trace into a DAG of its steps (paper §4.2, App. E).

    Steps are attached in order. For each, an annotator says whether it continues the main path, goes back to an earlier
    step of it, or merges branches. With ``model`` an LLM decides, with one call per step. Without a model the local
    annotator decides by cue words, at once and free of charge; it misses turns that no cue word announces.

    Several traces are annotated side by side, and share the limit on calls and the cache. Each is a chain of calls.

    Args:
        trace: a `Trace`, a text (``<think>`` tags are understood), or a list of steps (texts, or what `split_steps`
            returns), for one DAG. For a list of DAGs, a list of `Trace`, or of lists of steps.
        question: what was asked; by default the trace's own question. It is shown to the model.
        model: a LiteLLM model string, a list of them, a ``litellm.Router``, a callable ``f(messages, **params)``, or
            an `LLM`, whose own limits then hold.
        annotator: your own `Annotator`, instead of ``model``.
        samples: answers to ask for per step. The most frequent valid one is used; in a tie, continue wins over
            backtrack, and backtrack over merge. One, as in the paper's estimate of its cost, is the cheapest; three or
            five even out a model that wavers.
        window: consecutive steps to annotate in one call. The method uses one; four to eight save most of the calls
            and the time, which is worth it for long traces and strong models. Each annotation is still checked against
            the DAG as it is by then, and a step whose annotation does not fit is asked about by itself.
        max_main: steps of the main path that are offered as parents: the first and the latest. At least 2.
        max_leaves: ends of other branches that are offered: the latest.
        max_retries: how often a step is asked about again, with the error named, where no answer can be used.
        structured: whether the model is held to a JSON schema: "auto" where LiteLLM knows that it takes one, and until
            it refuses; True in any case; False never, so that it writes lines with markers. Both forms are read.
        strict: raise `JudgeError` for a trace none of whose answers could be used, instead of returning a chain.
        prefixes: how a trace is cut into steps; see `split_steps`.
        max_concurrency: calls in flight at most.
        cache: True or a folder keeps answers on disk, so that the same call is not paid for twice; a job that was
            killed resumes where it stopped. Off by default.
        budget: a `Budget` that stops calls before it is passed.
        timeout: seconds that one attempt of a call may take.
        on_step: called with the trace's place (0 for a single one) and each `DAGNode` as it is attached; may be async.
            What it raises is logged.
        **params: sent to the model: ``temperature``, ``max_tokens``, ``api_base``, …

    Returns:
        A `ReasoningDAG`, or a list of them. A step without a usable annotation continues the main path and is listed
        in ``.errors``, so a trace none of whose answers could be used comes back as a chain; after three requests in a
        row that failed for good, no more are made for the trace. ``.usage`` is what the trace's calls cost.

    Raises:
        GenerationError: every call of the trace failed.
        BudgetExceeded: the budget did not allow a single call.
        JudgeError: with ``strict``, the model answered, but no answer could be used.
        BatchAnnotationError: some of several traces failed. Raised when all of them have ended; ``partial`` holds the
            DAGs of the others.
        InvalidTraceError: a trace is empty. Raised before any call is made.
        ConfigurationError: an argument cannot work.

    Example:
        ```python
        from me2sdk import parse_dag

        dag = parse_dag(["2 + 2 = 5.", "Wait, let me check.", "2 + 2 = 4, so the answer is 4."])
        print([node.action for node in dag.nodes])  # ['root', 'continue', 'continue']
        ```
    """
    anything: Any = trace
    parsed: ReasoningDAG | list[ReasoningDAG] = run_sync(
        aparse_dag(
            anything,
            question=question,
            model=model,
            annotator=annotator,
            samples=samples,
            window=window,
            max_main=max_main,
            max_leaves=max_leaves,
            max_retries=max_retries,
            structured=structured,
            strict=strict,
            prefixes=prefixes,
            max_concurrency=max_concurrency,
            cache=cache,
            budget=budget,
            timeout=timeout,
            on_step=on_step,
            **params,
        )
    )
    return parsed


def _llm(
    model: Model | LLM | None,
    annotator: Annotator | None,
    max_concurrency: int,
    timeout: float,
    cache: bool | str | Path | None,
    budget: Budget | None,
    params: Mapping[str, Any],
) -> LLM | None:
    """The door to the model, or None where no model is asked."""
    if model is None:
        if params or cache or budget is not None:
            names = [*params, *(["cache"] if cache else []), *(["budget"] if budget is not None else [])]
            raise ConfigurationError(
                f"{', '.join(names)}: these need a model. Pass model=…, or leave them out."
            )
        if annotator is not None and not callable(getattr(annotator, "annotate", None)):
            raise ConfigurationError(
                f"annotator must have annotate(step, pool, nodes) -> Annotation; {type(annotator).__name__} does not."
            )
        return None
    if annotator is not None:
        raise ConfigurationError("Pass model=… or annotator=…, not both.")
    return open_llm(
        model,
        verb="parse_dag",
        budget=budget,
        cache=cache,
        max_concurrency=max_concurrency,
        timeout=timeout,
    )


def _notifier(on_step: OnStep | None, index: int) -> OnNode:
    async def on_node(node: DAGNode) -> None:
        if on_step is None:
            return
        try:
            result = on_step(index, node)
            if inspect.isawaitable(result):
                await result
        except Exception:  # a fault in the caller's code must not lose what is paid for
            _log.exception("on_step failed for step %d of trace %d", node.id, index)

    return on_node


async def _with_model(
    llm: LLM, job: Job, limits: Limits, params: Mapping[str, Any], on_node: OnNode
) -> ReasoningDAG:
    work = ModelAnnotation(
        llm, job.steps, question=question_text(job.question), limits=limits, params=params, on_node=on_node
    )
    await work.run()
    return work.builder.build(
        question=job.question,
        annotator=f"{', '.join(llm.models)} ({prompt_name(limits.window)})",
        errors=work.errors,
        usage=llm.usage,
    )
