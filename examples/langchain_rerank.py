"""LangChain, offline: a chain answers with the best of four recorded answers."""

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from me2sdk import BestOfNResult
from me2sdk.adapters.langchain import BestOfNChatModel, ReasoningReranker

QUESTION = "Ana buys 3 boxes of 12 pens and gives away 5 pens. How many pens has she left?"
RECORDED = [
    "She has 12 - 5 = 7 pens a box, so 3 * 7 = 21. The answer is 21.",
    "3 * 12 = 38. Hmm, wait. 3 * 12 = 38. Let me see. 38 - 5 = 33. The answer is 33.",
    "3 boxes hold 3 * 12 = 36 pens. She gives away 5, so 36 - 5 = 31 are left. The answer is 31.",
    "3 * 12 = 36 pens in the boxes, less 5 is 31. The answer is 31.",
]

recorded = GenericFakeChatModel(
    messages=iter(RECORDED)
)  # your model stands here: ChatOpenAI, ChatAnthropic, …
model = BestOfNChatModel(model=recorded, n=4)
prompt = ChatPromptTemplate.from_messages([("system", "Solve step by step."), ("human", "{question}")])

answer = (prompt | model).invoke({"question": QUESTION})
print("The chain answers:", answer.content)
result = BestOfNResult.model_validate(answer.response_metadata["me2sdk"])
print(f"  {result.answers[0].votes} of 4 votes, confidence {result.confidence:.0%}")
for candidate in result.candidates:
    print(f"  reward {candidate.score:+.2f}  {candidate.response}")

# The same for answers that you already have, as a step of a chain.
best_first = ReasoningReranker(top_n=1).as_runnable() | (lambda candidates: candidates[0]) | StrOutputParser()
print("The best of those on file:", best_first.invoke({"question": QUESTION, "candidates": RECORDED}))
