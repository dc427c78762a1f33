"""Thinking rewards for DSPy: a reward function for ``BestOfN`` and ``Refine``, and an LM that asks another n times.

::

    best = dspy.BestOfN(solve, N=8, reward_fn=thinking_reward(), threshold=float("inf"))

    dspy.configure(lm=BestOfNLM(dspy.LM("openai/gpt-4o-mini", temperature=1.0), n=8))
    solve(question="What is 12 * 13?")
    results(solve)[-1]              # the BestOfNResult: candidates with rewards, failures
"""

from __future__ import annotations

from me2sdk.adapters.dspy.module import BestOfNLM, results, thinking_reward

__all__ = [
    "BestOfNLM",
    "results",
    "thinking_reward",
]
