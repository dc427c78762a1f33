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
from me2sdk.adapters._shared import aorder
from me2sdk.adapters.langchain.messages import assistant
from me2sdk.errors import InvalidTraceError
from me2sdk.schema import Question, Select

__all__ = ["ReasoningReranker"]


class ReasoningReranker(BaseDocumentCompressor):
    """Orders existing answers, best-reasoned first.

    As a compressor it orders documents whose text is an answer to the query. `as_runnable` does the same in a chain for
    texts, messages and documents. The reward is in a document's ``metadata["reward"]`` and in a message's
    ``response_metadata["reward"]``; it is None for an answer that could not be scored. Empty answers come last.

    Args:
        scorer: as in `best_of_n`.
        select: as in `best_of_n`.
        top_n: how many to keep, or None for all.
    """

    scorer: Any = "mini"
    select: Select = "best"
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
        order = await aorder(question, outputs, self.scorer, self.select)
        return [_rewarded(candidates[place], reward) for place, reward in order[: self.top_n]]


def _question(given: Any) -> Question | None:
    if given is None or isinstance(given, str):
        return given
    return convert_to_openai_messages(given.to_messages() if isinstance(given, PromptValue) else given)


def _rewarded(candidate: Any, reward: float | None) -> Any:
    if isinstance(candidate, Document):
        return candidate.model_copy(update={"metadata": {**candidate.metadata, "reward": reward}})
    if isinstance(candidate, AIMessage):
        metadata = {**candidate.response_metadata, "reward": reward}
        return candidate.model_copy(update={"response_metadata": metadata})
    return candidate
