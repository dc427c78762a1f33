"""Any program that uses LiteLLM reranks by changing the model's name. Here the model plays recorded texts."""

import os

os.environ.setdefault(
    "LITELLM_LOCAL_MODEL_COST_MAP", "True"
)  # or importing LiteLLM asks the network for prices

import itertools
from typing import Any

import litellm

from me2sdk.adapters.litellm_provider import register

RECORDED = itertools.cycle(
    [
        "3 boxes of 12 eggs are 36 eggs. Or are they 32? Hmm, 36 - 5 = 29, I think. The answer is 29.",
        "There are 3 * 12 = 36 eggs. 5 are broken, so 36 - 5 = 31 are left. The answer is 31.",
        "3 + 12 = 15, and 15 - 5 = 10. Wait, maybe it is 3 * 12. Hmm. The answer is 10.",
        "3 * 12 = 36 eggs in the boxes, less 5 is 31. The answer is 31.",
    ]
)


class Recorded(litellm.CustomLLM):
    """A provider of your own, as LiteLLM asks for one."""

    async def acompletion(self, *args: Any, model_response: Any, **call: Any) -> Any:
        """Answer with the next recorded text."""
        model_response.choices[0].message.content = next(RECORDED)
        return model_response


litellm.custom_provider_map = [{"provider": "recorded", "custom_handler": Recorded()}]
register()  # adds "me2" and "transformers" to what is there

question = [{"role": "user", "content": "3 boxes hold 12 eggs each. 5 eggs are broken. How many are left?"}]
response = litellm.completion("me2/recorded/eggs", question, best_of=4)  # instead of "recorded/eggs"
print("Answer:", response.choices[0].message.content)
result = response._hidden_params["me2sdk"]
print(f"confidence {result.confidence:.0%}, chosen by {result.chosen_by}")
for candidate in result.candidates:
    print(f"{candidate.score:+.2f}  {candidate.response}")
