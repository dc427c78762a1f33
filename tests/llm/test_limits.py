from __future__ import annotations

import asyncio

from me2sdk.llm.limits import Lane, Lanes


def test_one_lane_a_loop() -> None:
    lanes = Lanes(1)
    seen: list[Lane] = []

    async def use() -> None:
        lane = lanes.here()
        assert lanes.here() is lane
        assert lane.threads() is lane.threads()
        seen.append(lane)

        async def hold() -> None:
            async with lane.slots:
                await asyncio.sleep(0)

        await asyncio.gather(hold(), hold())  # the second waits, which binds the semaphore to its loop

    for _ in range(3):
        asyncio.run(use())
    assert len(set(seen)) == 3
    assert len(lanes._lanes) == 1  # the lanes of closed loops are let go
