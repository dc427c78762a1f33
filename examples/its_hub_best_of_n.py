"""its_hub: its best-of-n with me2sdk's scorer as the reward model, offline."""

from itertools import cycle

from its_hub import AbstractLanguageModel, BestOfN
from its_hub.api import ChatMessage

from me2sdk.adapters.its_hub import OutcomeRewardModel

DRAFTS = cycle(
    [
        "3 * 12 = 38. Hmm, maybe 34? So 38 - 5 = 33.",
        "3 boxes of 12 hold 3 * 12 = 36 pens. Giving away 5 leaves 36 - 5 = 31. So the answer is 31.",
        "12 * 3 = 39, so she has 39 - 5 = 35 pens, or 39 - 4 = 36.",
    ]
)


class Recorded(AbstractLanguageModel):
    """Stands for a real model: OpenAICompatibleLanguageModel("http://localhost:8000/v1", …)."""

    async def agenerate_single(self, messages: list[ChatMessage], **settings: object) -> dict:
        """The next draft."""
        return {"role": "assistant", "content": next(DRAFTS)}

    async def agenerate(self, messages: list, **settings: object) -> dict | list[dict]:
        """The older form of the same, which its_hub's best-of-n does not use."""
        raise NotImplementedError


question = "Ana buys 3 boxes of 12 pens and gives away 5 pens. How many pens has she left?"
algorithm = BestOfN(OutcomeRewardModel("mini"))
result = algorithm.infer(Recorded(), question, budget=4, return_response_only=False)
print("chosen:", result.the_one["content"])
for score, response in zip(result.scores, result.responses, strict=True):
    print(f"  reward {score:+.2f}  {response['content']}")
