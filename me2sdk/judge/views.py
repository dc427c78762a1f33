"""What a judge is shown of one trace: its text, and the two views of its DAG, made once for all its pairs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from me2sdk._choices import Dimension
from me2sdk.dag import ReasoningDAG, join_nodes, macro_view, micro_view
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.judge.summaries import Summaries, asummarize
from me2sdk.llm import LLM
from me2sdk.schema import Failure, Question, Trace

if TYPE_CHECKING:
    from me2sdk.annotate import Annotator

__all__ = ["Exhibit", "Judged", "Parsing"]

Judged = Trace | str | ReasoningDAG
_MACRO = (Dimension.MACRO_EFFICIENCY, Dimension.MACRO_EFFECTIVENESS)


class Parsing:
    """How traces become DAGs.

    Args:
        llm: asked for annotations and summaries.
        annotator: None for annotations by ``llm``, "local" for the local annotator, or an annotator.
        params: parameters of the calls.
    """

    def __init__(
        self, llm: LLM, annotator: Annotator | Literal["local"] | None, params: Mapping[str, Any]
    ) -> None:
        if isinstance(annotator, str) and annotator != "local":
            raise ConfigurationError(f'annotator is None, "local" or an annotator, not {annotator!r}.')
        self.llm = llm
        self.params = dict(params)
        self._annotator = annotator

    async def parse(self, trace: Trace) -> ReasoningDAG:
        """The DAG of ``trace``."""
        from me2sdk.annotate import aparse_dag

        if self._annotator is None:
            return await aparse_dag(trace, model=self.llm, **self.params)
        return await aparse_dag(trace, annotator=None if self._annotator == "local" else self._annotator)


class Exhibit:
    """One trace under judgement. Use it as an async context manager: leaving it cancels what is unfinished.

    Args:
        item: a trace, a completion as text, or a DAG.
        question: what was asked, for the trace and as text.
        parsing: how to make views; None to show the text alone.

    Raises:
        InvalidTraceError: there is nothing to judge.
    """

    def __init__(self, item: Judged, question: Question | None, parsing: Parsing | None) -> None:
        self.dag = item if isinstance(item, ReasoningDAG) else None
        if isinstance(item, ReasoningDAG):
            trace = Trace(reasoning=join_nodes(item, range(len(item.nodes))), question=item.question)
        elif isinstance(item, str):
            trace = Trace.from_text(item, question)
        elif isinstance(item, Trace):
            trace = item.model_copy(update={"question": question}) if item.question is None else item
        else:
            raise InvalidTraceError(
                f"A Trace, a text or a ReasoningDAG can be judged, not {type(item).__name__}."
            )
        if not trace.reasoning.strip():
            raise InvalidTraceError("The trace is empty: there is nothing to judge.")
        self.trace = trace
        self.failures: tuple[Failure, ...] = ()
        self.structured = parsing is not None
        self._parsing = parsing
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Exhibit:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def view(self, dimension: Dimension, question: str) -> str:
        """What a judge of ``dimension`` reads: the macro view or the micro view, without parsing the text."""
        if self._parsing is None:
            return self.trace.reasoning
        name, make = ("macro", self._macro) if dimension in _MACRO else ("micro", self._micro)
        return str(await self._once(name, make, self._parsing, question))

    async def _once(self, name: str, make: Any, *args: Any) -> Any:
        """The result of ``make``, which runs once however many ask, and outlives those that stop asking."""
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(make(*args))
        return await asyncio.shield(self._tasks[name])

    async def _parse(self, parsing: Parsing) -> ReasoningDAG:
        if self.dag is None:
            self.dag = await parsing.parse(self.trace)
        return self.dag

    async def _macro(self, parsing: Parsing, question: str) -> str:
        dag = await self._once("dag", self._parse, parsing)
        summaries: Summaries = await asummarize(
            dag, llm=parsing.llm, question=question, params=parsing.params
        )
        self.failures = summaries.failures
        return macro_view(dag, summaries.sentences)

    async def _micro(self, parsing: Parsing, question: str) -> str:
        return micro_view(await self._once("dag", self._parse, parsing), self.trace.answer)
