"""LlamaIndex, offline: an LLM answers with the best of four recorded answers."""

from collections.abc import Iterator
from typing import Any

from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore, TextNode

from me2sdk import BestOfNResult
from me2sdk.adapters.llama_index import BestOfNLLM, ReasoningReranker

QUESTION = "Ana buys 3 boxes of 12 pens and gives away 5 pens. How many pens has she left?"
RECORDED = [
    "She has 12 - 5 = 7 pens a box, so 3 * 7 = 21. The answer is 21.",
    "3 * 12 = 38. Hmm, wait. 3 * 12 = 38. Let me see. 38 - 5 = 33. The answer is 33.",
    "3 boxes hold 3 * 12 = 36 pens. She gives away 5, so 36 - 5 = 31 are left. The answer is 31.",
    "3 * 12 = 36 pens in the boxes, less 5 is 31. The answer is 31.",
]


class Recorded(CustomLLM):
    """Gives the recorded answers one after another; your LLM stands in its place."""

    texts: Any

    @property
    def metadata(self) -> LLMMetadata:
        """LlamaIndex asks for it."""
        return LLMMetadata(model_name="recorded")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The next answer."""
        return CompletionResponse(text=next(self.texts))

    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> Iterator[CompletionResponse]:
        """Not needed here."""
        raise NotImplementedError


llm = BestOfNLLM(llm=Recorded(texts=iter(RECORDED * 2)), n=4)
print("The LLM predicts:", llm.predict(PromptTemplate("{question}"), question=QUESTION))
answer = llm.complete(QUESTION)
result = BestOfNResult.model_validate(answer.additional_kwargs["me2sdk"])
print(f"  {result.answers[0].votes} of 4 votes, confidence {result.confidence:.0%}")
for candidate in result.candidates:
    print(f"  reward {candidate.score:+.2f}  {candidate.response}")

# The same for answers that you already have, as nodes.
nodes = [NodeWithScore(node=TextNode(text=text)) for text in RECORDED]
(best,) = ReasoningReranker(top_n=1).postprocess_nodes(nodes, query_str=QUESTION)
print("The best of those on file:", best.text)
