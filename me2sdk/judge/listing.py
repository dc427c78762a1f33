"""Judging by lists: up to eight traces in one call, in several orders, and a knock-out where there are more."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from me2sdk._sync import all_or_none
from me2sdk.errors import ConfigurationError, ME2Error

__all__ = ["LONGEST_LIST", "knock_out", "mean_shares", "shown_orders"]

LONGEST_LIST = 8
"""The most traces that a judge is shown at once."""

Order = Callable[[Sequence[int], int], Coroutine[Any, Any, list[list[int]]]]
"""Asks for the order of traces, which are shown as they come; the number says which repeat it is."""


async def knock_out(count: int, order: Order, repeats: int) -> list[float | ME2Error]:
    """Rewards of traces from lists of at most eight; of several lists the best of each meet again.

    Args:
        count: how many traces there are.
        order: asks a judge for an order.
        repeats: how often a list is shown.

    Returns:
        For each trace the rounds that it has won, and the share of others that it beats in its last one; or the error
        of its list. Where the last list fails nothing is known of the best traces, so all of them fail.
    """
    found: list[float | ME2Error] = [0.0] * count
    left, won = random.Random(count).sample(range(count), count), 0
    while True:
        lists = -(-len(left) // LONGEST_LIST)
        groups = [left[start::lists] for start in range(lists)]
        shares = await all_or_none(*(_shares(group, order, repeats) for group in groups))
        if lists == 1 and isinstance(shares[0], ME2Error):
            return [shares[0] if isinstance(old, float) else old for old in found]
        left = []
        for group, share in zip(groups, shares, strict=True):
            for place in group:
                found[place] = share if isinstance(share, ME2Error) else won + share[place]
            if not isinstance(share, ME2Error):
                left.append(max(group, key=share.__getitem__))
        if lists == 1 or not left:
            return found
        won += 1


async def _shares(group: Sequence[int], order: Order, repeats: int) -> dict[int, float] | ME2Error:
    """The mean share of the others that each trace of a list beats. A repeat that fails leaves positions unbalanced."""
    if len(group) == 1:
        return {group[0]: 0.5}
    try:
        shown = shown_orders(group, repeats)
        orders = await all_or_none(*(order(some, repeat) for repeat, some in enumerate(shown)))
    except ConfigurationError:
        raise
    except ME2Error as error:
        return error
    return mean_shares(
        [[[some[i] for i in tier] for tier in tiers] for some, tiers in zip(shown, orders, strict=True)]
    )


def shown_orders(group: Sequence[int], repeats: int) -> list[list[int]]:
    """In which order a list is shown each time.

    Each second one is the reverse of the one before, so that the mean position of all traces is the same; each pair
    of them starts at another trace.
    """
    orders = []
    for repeat in range(repeats):
        start = repeat // 2 * len(group) // -(-repeats // 2)
        turned = [*group[start:], *group[:start]]
        orders.append(turned[::-1] if repeat % 2 else turned)
    return orders


def mean_shares(orders: Sequence[Sequence[Sequence[int]]]) -> dict[int, float]:
    """The share of the others that each trace beats (Borda), as a mean over several orders; a tie is half a win."""
    total: dict[int, float] = {}
    for tiers in orders:
        below = sum(map(len, tiers))
        others = below - 1
        for tier in tiers:
            below -= len(tier)
            for place in tier:
                beaten = below + (len(tier) - 1) / 2
                total[place] = total.get(place, 0.0) + beaten / others / len(orders)
    return total
