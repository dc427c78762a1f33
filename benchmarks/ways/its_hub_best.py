"""its_hub: BestOfN, with the bundled scorer of me2sdk as outcome reward model."""

from its_hub import BestOfN, OpenAICompatibleLanguageModel

from me2sdk.adapters.its_hub import OutcomeRewardModel


def prepare(url, n, pattern, scorer):
    lm = OpenAICompatibleLanguageModel(url, api_key="none", model_name="test")
    algorithm = BestOfN(OutcomeRewardModel(scorer))

    async def ask(question):
        answer = await algorithm.ainfer(lm, question, budget=n)
        return answer["content"]

    return ask
