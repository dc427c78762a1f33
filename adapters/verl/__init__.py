"""The gated reward for verl (paper §5.4), in the three forms in which verl calls reward functions.

In verl's configuration::

    reward.custom_reward_function.path=pkg://me2sdk.adapters.verl   # older versions: the path of this file
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.scorer=http://localhost:30000   # SGLang with a TRM; or mini
    +reward.custom_reward_function.reward_kwargs.alpha=0.2

``compute_score`` is awaited, one call per completion, many at a time; calls that arrive within a few milliseconds of
each other are verified and scored together. ``compute_score_sync`` does the same for managers that take no
coroutine (``remote``), also from threads, and ``compute_score_batch`` is for verl's batch reward manager.
``me2sdk`` must be installed where verl's reward workers run; nothing of verl is imported.
"""

from __future__ import annotations

from me2sdk.adapters.verl.batching import BATCH_WAIT_SECONDS
from me2sdk.adapters.verl.reward import compute_score, compute_score_batch, compute_score_sync

__all__ = [
    "BATCH_WAIT_SECONDS",
    "compute_score",
    "compute_score_batch",
    "compute_score_sync",
]
