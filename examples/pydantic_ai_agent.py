"""Pydantic AI: an agent whose model samples four answers, with a tool and typed output, offline."""

from itertools import cycle

from pydantic import BaseModel
from pydantic_ai import Agent, PromptedOutput
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from me2sdk import BestOfNResult
from me2sdk.adapters.pydantic_ai import BestOfNModel


class Answer(BaseModel):
    """What the agent is to return."""

    working: str
    pens: int


DRAFTS = cycle(
    [
        Answer(working="3 * 12 = 38. Hmm, maybe 34? So 38 - 5 = 33.", pens=33),
        Answer(working="3 boxes of 12 hold 3 * 12 = 36 pens. Giving away 5 leaves 36 - 5 = 31.", pens=31),
        Answer(working="12 * 3 = 39, so she has 39 - 5 = 35 pens, or 39 - 4 = 36.", pens=36),
        Answer(working="3 * 12 = 36 pens in the boxes, less 5 is 31.", pens=31),
    ]
)


async def recorded(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Stands for a real model: "openai:gpt-4o-mini", OpenAIChatModel("…"), …"""
    if any(isinstance(part, ToolReturnPart) for message in messages for part in message.parts):
        return ModelResponse([TextPart(next(DRAFTS).model_dump_json())])
    return ModelResponse([ToolCallPart("pens_in_a_box")])


model = BestOfNModel(FunctionModel(recorded), n=4, answer="json:pens")  # answers agree where their pens do
agent = Agent(model, output_type=PromptedOutput(Answer))


@agent.tool_plain
def pens_in_a_box() -> int:
    """How many pens a box holds."""
    print("the tool ran")
    return 12


run = agent.run_sync("Ana buys 3 boxes of pens and gives away 5. How many has she left?")
print(f"{run.output.pens} pens: {run.output.working}")
result = BestOfNResult.model_validate(run.response.metadata["me2sdk"])
print(f"confidence {result.confidence:.0%}, chosen by {result.chosen_by}")
for candidate in result.candidates:
    print(f"  reward {candidate.score:+.2f}  {candidate.response}")
print(f"{run.usage.requests} requests of the agent, {run.usage.output_tokens} output tokens for all samples")
