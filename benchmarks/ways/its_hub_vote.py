"""its_hub: SelfConsistency over what a regular expression finds."""

from its_hub import OpenAICompatibleLanguageModel, SelfConsistency
from its_hub.core.algorithms.self_consistency import create_regex_projection_function


def prepare(url, n, pattern, scorer):
    lm = OpenAICompatibleLanguageModel(url, api_key="none", model_name="test")
    algorithm = SelfConsistency(create_regex_projection_function(pattern))

    async def ask(question):
        answer = await algorithm.ainfer(lm, question, budget=n)
        return answer["content"]

    return ask
