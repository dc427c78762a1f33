"""OpenAI Agents SDK: an agent with a tool whose model samples four answers for each turn, offline."""

from collections.abc import AsyncIterator
from itertools import cycle
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage, function_tool
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from me2sdk.adapters.openai_agents import BestOfNModel

DRAFTS = cycle(
    [
        "3 * 12 = 38. Hmm, maybe 34? So 38 - 5 = 33.",
        "3 boxes of 12 hold 3 * 12 = 36 pens. Giving away 5 leaves 36 - 5 = 31. So the answer is 31.",
        "12 * 3 = 39, so she has 39 - 5 = 35 pens, or 39 - 4 = 36.",
        "3 * 12 = 36 pens in the boxes, less 5 is 31. So the answer is 31.",
    ]
)


class Recorded(Model):
    """Stands for a real model: BestOfNModel("gpt-4o-mini"), or any model of the SDK."""

    async def get_response(
        self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any
    ) -> ModelResponse:
        """A call of the tool first, then one of the drafts."""
        output: Any = ResponseFunctionToolCall(
            arguments="{}", call_id="call-1", name="pens_in_a_box", type="function_call"
        )
        if any(item.get("type") == "function_call_output" for item in input if isinstance(input, list)):
            text = ResponseOutputText(text=next(DRAFTS), type="output_text", annotations=[])
            output = ResponseOutputMessage(
                id="1", content=[text], role="assistant", status="completed", type="message"
            )
        return ModelResponse([output], Usage(requests=1, output_tokens=20, total_tokens=20), None)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """Not needed here; `BestOfNModel` streams what the wrapped model streams."""
        raise NotImplementedError


@function_tool
def pens_in_a_box() -> int:
    """How many pens a box holds."""
    print("the tool ran")
    return 12


agent = Agent(name="Tutor", tools=[pens_in_a_box], model=BestOfNModel(Recorded(), n=4))
question = "Ana buys 3 boxes of pens and gives away 5. How many has she left?"
run = Runner.run_sync(agent, question, run_config=RunConfig(tracing_disabled=True))
print(run.final_output)
result = run.raw_responses[-1].best_of_n
print(f"confidence {result.confidence:.0%}, chosen by {result.chosen_by}")
for candidate in result.candidates:
    print(f"  reward {candidate.score:+.2f}  {candidate.response}")
print(f"{run.context_wrapper.usage.requests} requests to the model")
