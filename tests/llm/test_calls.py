from __future__ import annotations

import asyncio

from me2sdk.llm.calls import LimitsPerLoop, LoopLimits


def test_each_loop_has_its_own_limits() -> None:
    limits = LimitsPerLoop(1)
    seen: list[LoopLimits] = []

    async def use() -> None:
        own = limits.here()
        assert limits.here() is own
        assert own.threads() is own.threads()
        seen.append(own)

        async def hold() -> None:
            async with own.slots:
                await asyncio.sleep(0)

        await asyncio.gather(hold(), hold())  # the second waits, which binds the semaphore to its loop

    for _ in range(3):
        asyncio.run(use())
    assert len(set(seen)) == 3
    assert len(limits._by_loop) == 1  # those of closed loops are dropped
