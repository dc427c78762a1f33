"""`ReasoningReranker` of `me2sdk.adapters.llama_index`."""

from __future__ import annotations

from typing import Any

from llama_index.core.bridge.pydantic import Field
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from me2sdk._sync import run_sync
from me2sdk.adapters._shared import aorder
from me2sdk.schema import Select

__all__ = ["ReasoningReranker"]


class ReasoningReranker(BaseNodePostprocessor):
    """Orders nodes whose text is an answer to the query, best first.

    A node's score becomes its reward, or None where it could not be scored. Empty nodes come last.

    Args:
        scorer: as in `best_of_n`, and so are the next two.
        select: how the best is chosen.
        answer: what is compared.
        top_n: how many to keep, or None for all.
    """

    scorer: Any = Field(default="mini", exclude=True)
    select: Select = "auto"
    answer: Any = Field(default="auto", exclude=True)
    top_n: int | None = Field(default=None, ge=1)

    @classmethod
    def class_name(cls) -> str:
        """The class's name for LlamaIndex."""
        return "ReasoningReranker"

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: Any = None) -> list[NodeWithScore]:
        return run_sync(self._apostprocess_nodes(nodes, query_bundle))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        texts = [node.node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes]
        query = query_bundle.query_str if query_bundle else None
        order, _ = await aorder(query, texts, scorer=self.scorer, select=self.select, answer=self.answer)
        return [
            NodeWithScore(node=nodes[place].node, score=found and found.score)
            for place, found in order[: self.top_n]
        ]
