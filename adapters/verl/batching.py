"""Micro-batching: one call of a reward function for the completions that arrive together."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from me2sdk.schema import Question
from me2sdk.train.rewards import GatedReward, Rewarded

__all__ = ["BATCH_WAIT_SECONDS", "MicroBatcher"]

BATCH_WAIT_SECONDS = 0.005
"""How long the first completion of a batch waits for others."""

_MAX_BATCH = 256  # completions


class _Item(NamedTuple):
    question: Question | None
    completion: str
    reference: str
    result: asyncio.Future[Rewarded]


class MicroBatcher:
    """Rewards the completions that arrive together in one call of a reward function. Belongs to one event loop.

    Args:
        reward: the reward function.
    """

    def __init__(self, reward: GatedReward) -> None:
        self._reward = reward
        self._waiting: list[_Item] = []
        self._running: set[asyncio.Task[None]] = set()

    async def reward(self, question: Question | None, completion: str, reference: str) -> Rewarded:
        """The reward of one completion, after a short wait for others.

        Args:
            question: what was asked.
            completion: the completion.
            reference: the right answer.

        Raises:
            ME2Error: the reward function failed.
        """
        item = _Item(question, completion, reference, asyncio.get_running_loop().create_future())
        self._waiting.append(item)
        if len(self._waiting) == 1:
            self._start(BATCH_WAIT_SECONDS)
        elif len(self._waiting) == _MAX_BATCH:
            self._start(0)
        return await item.result

    def _start(self, delay: float) -> None:
        task = asyncio.create_task(self._run(delay))
        self._running.add(task)  # or it could be garbage-collected while it runs
        task.add_done_callback(self._running.discard)

    async def _run(self, delay: float) -> None:
        await asyncio.sleep(delay)
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        try:
            rewarded = await self._reward.areward(
                [item.question for item in batch],
                [item.completion for item in batch],
                [item.reference for item in batch],
            )
        except Exception as error:
            for item in batch:
                if not item.result.done():  # cancelled by its caller
                    item.result.set_exception(error)
            return
        for item, reward in zip(batch, rewarded, strict=True):
            if not item.result.done():
                item.result.set_result(reward)
