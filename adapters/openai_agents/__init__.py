"""Best of n for the OpenAI Agents SDK: a model that asks another model n times and returns its best answer.

::

    agent = Agent(name="Tutor", model=BestOfNModel("gpt-4o-mini", n=8))
    run = await Runner.run(agent, "What is 12 * 13?")
    run.raw_responses[-1].best_of_n     # the BestOfNResult: candidates with rewards, failures

In a streamed run the raw event "response.completed" holds it, as ``event.data.response.best_of_n``.
``RunConfig(model_provider=BestOfNProvider(n=8))`` wraps the models of all agents of a run.
"""

from __future__ import annotations

from me2sdk.adapters.openai_agents.model import BestOfNModel, BestOfNProvider

__all__ = [
    "BestOfNModel",
    "BestOfNProvider",
]
