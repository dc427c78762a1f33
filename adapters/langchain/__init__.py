"""Best of n for LangChain: a chat model that asks another model n times, and a reranker for existing answers.

::

    model = BestOfNChatModel(model=ChatOpenAI(model="gpt-4o-mini"), n=8)
    answer = (prompt | model).invoke({"question": "What is 12 * 13?"})
    answer.response_metadata["me2sdk"]      # candidates, rewards, confidence: BestOfNResult.model_validate reads it
    answer.usage_metadata                   # the sum over all candidates

The answer's ``response_metadata`` has no ``model_name``: LangChain's token counters see each candidate as a run of its
own, and would count them twice. The record names the model of each candidate.
"""

from __future__ import annotations

from me2sdk.adapters.langchain.model import BestOfNChatModel
from me2sdk.adapters.langchain.reranker import ReasoningReranker

__all__ = [
    "BestOfNChatModel",
    "ReasoningReranker",
]
