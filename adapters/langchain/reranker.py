"""`ReasoningReranker` of `me2sdk.adapters.langchain`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.messages import AIMessage, convert_to_openai_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import Field

from me2sdk._sync import run_sync
from me2sdk.adapters._shared import aorder, choice
from me2sdk.adapters.langchain.messages import assistant
from me2sdk.errors import InvalidTraceError
from me2sdk.schema import Candidate, Question, Select

__all__ = ["ReasoningReranker"]


class ReasoningReranker(BaseDocumentCompressor):
    """Orders existing answers, best first.

    As a compressor it orders documents whose text is an answer to the query. `as_runnable` does the same in a chain for
    texts, messages and documents. A document's ``metadata`` and a message's ``response_metadata`` then hold ``reward``,
    ``confidence``, which is the chance that this answer is right, and in ``me2sdk`` what the choice rests on. What is
    not known is None. Empty answers come last.

    Args:
        scorer: as in `best_of_n`, and so are the next three.
        select: how the best is chosen.
        answer: what is compared.
        min_confidence: below this ``me2sdk`` says that the choice abstains.
        top_n: how many to keep, or None for all.
    """

    scorer: Any = "mini"
    select: Select = "auto"
    answer: Any = "auto"
    min_confidence: float | None = None
    top_n: int | None = Field(default=None, ge=1)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        """The documents as answers to ``query``, best first; `acompress_documents` is its asynchronous twin."""
        return run_sync(self.acompress_documents(documents, query, callbacks))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        """The documents as answers to ``query``, best first."""
        return await self._order(query, documents)

    def as_runnable(self) -> Runnable[dict[str, Any], list[Any]]:
        """A step of a chain: from ``{"question": …, "candidates": […]}`` to the candidates, best first.

        The question is a text, a list of messages, a prompt or None; candidates are texts, `AIMessage` or `Document`.
        """

        async def work(given: dict[str, Any]) -> list[Any]:
            if not isinstance(given, dict) or not isinstance(given.get("candidates"), Sequence):
                raise InvalidTraceError('ReasoningReranker needs {"question": …, "candidates": […]}.')
            return await self._order(_question(given.get("question")), given["candidates"])

        return RunnableLambda(lambda given: run_sync(work(given)), afunc=work, name="ReasoningReranker")

    async def _order(self, question: Question | None, candidates: Sequence[Any]) -> list[Any]:
        outputs = [
            assistant(c) if isinstance(c, AIMessage) else c.page_content if isinstance(c, Document) else c
            for c in candidates
        ]
        options = {name: getattr(self, name) for name in ("scorer", "select", "answer", "min_confidence")}
        order, result = await aorder(question, outputs, **options)
        chosen = choice(result)
        return [_rewarded(candidates[place], found, chosen) for place, found in order[: self.top_n]]


def _question(given: Any) -> Question | None:
    if given is None or isinstance(given, str):
        return given
    return convert_to_openai_messages(given.to_messages() if isinstance(given, PromptValue) else given)


def _rewarded(output: Any, candidate: Candidate | None, chosen: dict[str, Any]) -> Any:
    told = {
        "reward": candidate and candidate.score,
        "confidence": candidate and candidate.confidence,
        "me2sdk": chosen,
    }
    if isinstance(output, Document):
        return output.model_copy(update={"metadata": {**output.metadata, **told}})
    if isinstance(output, AIMessage):
        return output.model_copy(update={"response_metadata": {**output.response_metadata, **told}})
    return output
