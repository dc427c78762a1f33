"""One call of a reward function out of many that arrive together."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from me2sdk.schema import Question
from me2sdk.train.rewards import GatedReward, Rewarded

__all__ = ["GATHER_SECONDS", "Gatherer"]

GATHER_SECONDS = 0.005
"""How long the first call of a batch waits for others to join it."""

_LARGEST = 256  # completions a batch


class _Waiting(NamedTuple):
    question: Question | None
    completion: str
    reference: str
    result: asyncio.Future[Rewarded]


class Gatherer:
    """Makes one call of a reward function out of those that arrive together. Lives in one event loop.

    Args:
        reward: what is called.
    """

    def __init__(self, reward: GatedReward) -> None:
        self._reward = reward
        self._waiting: list[_Waiting] = []
        self._running: set[asyncio.Task[None]] = set()

    async def reward(self, question: Question | None, completion: str, reference: str) -> Rewarded:
        """The reward of one completion; waits a moment for others. Raises what the reward function raises."""
        one = _Waiting(question, completion, reference, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if len(self._waiting) == 1:
            self._start(GATHER_SECONDS)
        elif len(self._waiting) == _LARGEST:
            self._start(0)
        return await one.result

    def _start(self, seconds: float) -> None:
        task = asyncio.create_task(self._work(seconds))
        self._running.add(task)  # or it may be collected while it runs
        task.add_done_callback(self._running.discard)

    async def _work(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        try:
            rewarded = await self._reward.areward(
                [one.question for one in batch],
                [one.completion for one in batch],
                [one.reference for one in batch],
            )
        except Exception as error:
            for one in batch:
                if not one.result.done():  # cancelled by its caller
                    one.result.set_exception(error)
            return
        for one, reward in zip(batch, rewarded, strict=True):
            if not one.result.done():
                one.result.set_result(reward)
