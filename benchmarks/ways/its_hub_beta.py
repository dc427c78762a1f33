"""its_hub: BetaSelfConsistency: n calls at once, the rest given up at a chance of 95%."""

from its_hub import BetaSelfConsistency, OpenAICompatibleLanguageModel
from its_hub.core.algorithms.self_consistency import create_regex_projection_function


def prepare(url, n, pattern, scorer):
    lm = OpenAICompatibleLanguageModel(url, api_key="none", model_name="test")
    projection = create_regex_projection_function(pattern)
    algorithm = BetaSelfConsistency(consistency_space_projection_func=projection)

    async def ask(question):
        answer = await algorithm.ainfer(lm, question, budget=n)
        return answer["content"]

    return ask
