"""its_hub: AdaptiveSelfConsistency: 2 answers first, then twice as many, until 75% agree."""

from its_hub import AdaptiveSelfConsistency, OpenAICompatibleLanguageModel
from its_hub.core.algorithms.self_consistency import create_regex_projection_function


def prepare(url, n, pattern, scorer):
    lm = OpenAICompatibleLanguageModel(url, api_key="none", model_name="test")
    projection = create_regex_projection_function(pattern)
    algorithm = AdaptiveSelfConsistency(consistency_space_projection_func=projection)

    async def ask(question):
        answer = await algorithm.ainfer(lm, question, budget=n)
        return answer["content"]

    return ask
