"""What a judge is shown of one trace: its text, and the two views of its DAG, made once for all its pairs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from me2sdk._choices import Dimension
from me2sdk.dag import ReasoningDAG, join_nodes, macro_view, micro_view
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.judge.summaries import Summaries, asummarize
from me2sdk.llm import LLM, Structured
from me2sdk.schema import Failure, Question, Trace

if TYPE_CHECKING:
    from me2sdk.annotate import Annotator

__all__ = ["DagParser", "Judged", "JudgedTrace"]

Judged = Trace | str | ReasoningDAG
_MACRO = (Dimension.MACRO_EFFICIENCY, Dimension.MACRO_EFFECTIVENESS)


class DagParser:
    """How traces become DAGs.

    Args:
        llm: asked for annotations and summaries.
        annotator: None for annotations by ``llm``, "local" for the local annotator, or an annotator.
        params: parameters of the calls.
        structured: whether ``llm`` is held to a JSON schema where it annotates.

    Raises:
        ConfigurationError: there is no such annotator.
    """

    def __init__(
        self,
        llm: LLM,
        annotator: Annotator | Literal["local"] | None,
        params: Mapping[str, Any],
        structured: Structured = False,
    ) -> None:
        if isinstance(annotator, str) and annotator != "local":
            raise ConfigurationError(f'annotator is None, "local" or an annotator, not {annotator!r}.')
        self.llm = llm
        self.params = dict(params)
        self._annotator = annotator
        self._structured = structured

    async def parse(self, trace: Trace) -> ReasoningDAG:
        """The DAG of ``trace``."""
        from me2sdk.annotate import aparse_dag

        if self._annotator is None:
            return await aparse_dag(trace, model=self.llm, structured=self._structured, **self.params)
        return await aparse_dag(trace, annotator=None if self._annotator == "local" else self._annotator)


class JudgedTrace:
    """A trace that is judged. Use it as an async context manager: leaving it cancels what is unfinished.

    Args:
        item: a trace, a completion as text, or a DAG.
        question: what was asked, for a trace that does not say so itself.
        parser: how to make the DAG and its views; None to show the text alone.

    Attributes:
        trace: the trace.
        dag: its DAG, or None as long as there is none.
        structured: whether a judge is shown views of the DAG.
        failures: super-nodes whose summary failed.

    Raises:
        InvalidTraceError: there is nothing to judge.
    """

    def __init__(self, item: Judged, question: Question | None, parser: DagParser | None) -> None:
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
        self.structured = parser is not None
        self._parser = parser
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> JudgedTrace:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def view(self, dimension: Dimension, question: str) -> str:
        """What a judge of ``dimension`` reads: the macro view or the micro view; without a parser the text."""
        if self._parser is None:
            return self.trace.reasoning
        name, make = ("macro", self._macro) if dimension in _MACRO else ("micro", self._micro)
        return str(await self._once(name, make, self._parser, question))

    async def _once(self, name: str, make: Any, *args: Any) -> Any:
        """The result of ``make``, which runs once however many wait for it, even if some of them stop waiting."""
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(make(*args))
        return await asyncio.shield(self._tasks[name])

    async def _parse(self, parser: DagParser) -> ReasoningDAG:
        if self.dag is None:
            self.dag = await parser.parse(self.trace)
        return self.dag

    async def _macro(self, parser: DagParser, question: str) -> str:
        dag = await self._once("dag", self._parse, parser)
        summaries: Summaries = await asummarize(dag, llm=parser.llm, question=question, params=parser.params)
        self.failures = summaries.failures
        return macro_view(dag, summaries.sentences)

    async def _micro(self, parser: DagParser, question: str) -> str:
        return micro_view(await self._once("dag", self._parse, parser), self.trace.answer)
