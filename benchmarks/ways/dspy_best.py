"""DSPy: BestOfN of ChainOfThought, with the bundled scorer of me2sdk as reward function."""

import dspy

from me2sdk.adapters.dspy import thinking_reward


def prepare(url, n, pattern, scorer):
    dspy.configure(lm=dspy.LM("openai/test", api_base=url, api_key="none", cache=False))
    solve = dspy.ChainOfThought("question -> answer")
    program = dspy.BestOfN(solve, N=n, reward_fn=thinking_reward(scorer), threshold=float("inf"))

    def ask(question):
        return program(question=question).reasoning

    return ask
