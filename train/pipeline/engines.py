"""Running the items of a stage side by side in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from itertools import islice
from typing import Any

from me2sdk.llm import Budget
from me2sdk.train.pipeline.config import DataConfig, Stage
from me2sdk.train.pipeline.stages import Item, Outcome, Worker

__all__ = ["run_here"]


async def run_here(
    config: DataConfig,
    stage: Stage,
    items: Iterator[Item],
    budget: Budget | None,
    models: Mapping[str, Any],
) -> AsyncGenerator[tuple[Item, Outcome], None]:
    """Run items side by side, at most ``max_concurrency`` at once; yield each as it is done.

    Items are taken as there is room for them, so that the caller can stop early.
    """
    worker = Worker(config, stage, budget, models)

    async def one(item: Item) -> tuple[Item, Outcome]:
        return item, await worker.run(item)

    running: set[asyncio.Task[tuple[Item, Outcome]]] = set()
    try:
        while True:
            room = config.max_concurrency - len(running)
            running |= {asyncio.create_task(one(item)) for item in islice(items, room)}
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            # All of these are paid for: one that raises must not keep the others from being written.
            raised = [task for task in done if task.exception() is not None]
            for task in done.difference(raised):
                yield task.result()
            for task in raised:
                task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
