"""The gated reward (paper §5.4), as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from me2sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Number = float | None

__all__ = ["gated_reward", "group_spread"]


@overload
def gated_reward(r_v: Number, r_t: Number, alpha: float = ...) -> float: ...


@overload
def gated_reward(
    r_v: Sequence[Number] | NDArray[Any], r_t: Sequence[Number] | NDArray[Any] | Number, alpha: float = ...
) -> NDArray[np.float64]: ...


@overload
def gated_reward(
    r_v: Number, r_t: Sequence[Number] | NDArray[Any], alpha: float = ...
) -> NDArray[np.float64]: ...


def gated_reward(r_v: Any, r_t: Any, alpha: float = 0.2) -> Any:
    """Reward a right answer by how well it was reasoned: ``r_v * (1 - alpha + alpha * sigmoid(r_t))``.

    A wrong answer gets 0 and a right one between ``1 - alpha`` and 1, so no reasoning makes up for a wrong
    answer, and the policies that are best under the verifier alone stay the best (paper App. A).

    Args:
        r_v: the verifiable reward: 1 for a right answer, 0 for a wrong one, None or NaN where that could not
            be decided. A number, or an array of any shape.
        r_t: the thinking reward, a scorer's logit; None or NaN where there is none. A number, or an array
            that broadcasts with ``r_v``. It does not matter where ``r_v`` is 0.
        alpha: share of the reward that the thinking reward decides, in [0, 1]. The paper takes 0.2; 0 is the
            verifier alone.

    Returns:
        A float if both are numbers, else an array of float64. NaN, never 0, where the answer could not be
        decided, and where it is right, has no thinking reward, and alpha is above 0.

    Raises:
        ConfigurationError: alpha is out of range, or r_v holds something else than 0, 1, None and NaN.

    Example:
        ```python
        from me2sdk.train import gated_reward

        print(gated_reward([1, 1, 0], [0.0, 9.0, 9.0]).round(2))  # [0.9 1.  0. ]
        ```
    """
    if not 0 <= alpha <= 1:
        raise ConfigurationError(f"alpha is a share in [0, 1], not {alpha!r}. The paper takes 0.2.")
    right = np.asarray(r_v, dtype=np.float64)
    logit = np.asarray(r_t, dtype=np.float64)
    if not np.all((right == 0) | (right == 1) | np.isnan(right)):
        raise ConfigurationError(
            "r_v is 1 for a right answer and 0 for a wrong one (None or NaN: undecided). Scores belong in r_t."
        )
    # The same as 1 - alpha + alpha * sigmoid(r_t), but no rounding takes it out of [1 - alpha, 1].
    with np.errstate(invalid="ignore", under="ignore"):  # a NaN may come in, and is meant to come out
        gate = 1.0 if alpha == 0 else 1.0 - alpha * np.exp(-np.logaddexp(0.0, logit))
    reward = np.where(right == 0, 0.0, np.where(np.isnan(right), np.nan, gate))
    reward = np.broadcast_to(reward, np.broadcast_shapes(right.shape, logit.shape))
    return float(reward) if reward.ndim == 0 else reward.copy()


def group_spread(rewards: Sequence[Number], groups: Sequence[Any]) -> float:
    """The mean standard deviation of rewards within groups: what advantages of GRPO are made of.

    Args:
        rewards: one per completion; None or NaN are left out.
        groups: for each completion, what is the same for all of its group (its prompt).

    Returns:
        The mean over the groups; 0 where no group has two rewards.
    """
    members: dict[Any, list[float]] = {}
    for reward, group in zip(rewards, groups, strict=True):
        if reward is not None and not np.isnan(reward):
            members.setdefault(group, []).append(float(reward))
    spreads = [np.std(values) for values in members.values() if len(values) > 1]
    return float(np.mean(spreads)) if spreads else 0.0
