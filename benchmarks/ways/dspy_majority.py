"""DSPy: majority over the answer field of n completions of ChainOfThought."""

import dspy


def prepare(url, n, pattern, scorer):
    dspy.configure(lm=dspy.LM("openai/test", api_base=url, api_key="none", cache=False))
    program = dspy.ChainOfThought("question -> answer", n=n)

    def ask(question):
        return dspy.majority(program(question=question).completions).reasoning

    return ask
