"""Best of n for LlamaIndex: an LLM that asks another LLM n times, and a reranker of nodes that hold answers.

::

    llm = BestOfNLLM(llm=OpenAI(model="gpt-4o-mini"), n=8)
    answer = llm.complete("What is 12 * 13?")       # or Settings.llm = llm, an agent, a chat engine
    answer.additional_kwargs["me2sdk"]              # candidates, rewards, failures, for BestOfNResult.model_validate
    answer.additional_kwargs["total_tokens"]        # the sum over all candidates
"""

from __future__ import annotations

from me2sdk.adapters.llama_index.model import BestOfNLLM
from me2sdk.adapters.llama_index.reranker import ReasoningReranker

__all__ = [
    "BestOfNLLM",
    "ReasoningReranker",
]
