"""Best of n and the thinking reward for Inspect: a solver and a scorer.

::

    Task(dataset=…, solver=best_of_n(n=8), scorer=[match(numeric=True), thinking_reward()])

    inspect eval task.py --solver me2sdk/best_of_n -S n=8

The log holds every candidate as a model event. The message of each chosen answer holds the `BestOfNResult`
(``BestOfNResult.model_validate(message.metadata["me2sdk"])``). The sample's store holds the rewards of the last
choice, best first, as ``me2sdk_rewards``, and how sure it is, by what, and among which answers as ``me2sdk_choice``.
"""

from __future__ import annotations

from me2sdk.adapters.inspect_ai.solver import best_of_n, thinking_reward

__all__ = [
    "best_of_n",
    "thinking_reward",
]
