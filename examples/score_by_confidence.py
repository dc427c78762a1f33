"""How sure a model was of its answers, read from the log-probabilities of their tokens, offline.

The model is a function with recorded answers. A real one is ``model="openai/gpt-4o-mini"``: `best_of_n` asks it for
log-probabilities itself. With ``rerank``, choices of a response or messages with ``logprobs`` are enough.
"""

import itertools

from me2sdk import best_of_n
from me2sdk.scorers import ConfidenceScorer

DRAFTS = itertools.cycle(
    [
        ("17 * 4 = 58, so 58 - 9 = 49.", [-0.1, -0.2, -1.9, -0.3, -0.9]),
        ("17 * 4 = 68, so 68 - 9 = 59.", [-0.1, -0.1, -0.2, -0.1, -0.1]),
        ("17 * 4 is 70 or so, and 70 - 9 = 61.", [-0.4, -1.2, -2.3, -0.2, -0.8]),
    ]
)


def model(messages: list[dict[str, str]], **params: object) -> dict:
    """Stands for a server: what `best_of_n` asks for stands in params."""
    assert params["logprobs"] is True
    text, logprobs = next(DRAFTS)
    return {"content": text, "logprobs": {"content": [{"logprob": value} for value in logprobs]}}


for by in ("mean", "sum", "lowest_window"):
    result = best_of_n(
        "What is 17 * 4 - 9?", model=model, n=3, scorer=ConfidenceScorer(by), select="best", max_concurrency=1
    )
    print(f"{by}: {result.best.response} (score {result.best.score:.2f})")
print(f"perplexity of the chosen answer: {result.best.trace.certainty.perplexity:.2f}")
