"""Reward functions in the three forms in which verl calls them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from me2sdk._sync import run_sync
from me2sdk.adapters.verl.batching import MicroBatcher
from me2sdk.train.rewards import GatedReward, Rewarded

__all__ = ["compute_score", "compute_score_batch", "compute_score_sync"]

_rewards: dict[tuple[Any, ...], GatedReward] = {}
_batchers: dict[tuple[Any, ...], tuple[asyncio.AbstractEventLoop, MicroBatcher]] = {}


def _key(scorer: Any, alpha: float, verifier: Any) -> tuple[Any, ...]:
    scorer = scorer if isinstance(scorer, str | None) else id(scorer)
    return scorer, alpha, json.dumps(verifier, default=id)


def _reward(scorer: Any, alpha: float, verifier: Any) -> GatedReward:
    key = _key(scorer, alpha, verifier)
    if key not in _rewards:
        _rewards[key] = GatedReward(scorer, alpha=alpha, model=verifier)
    return _rewards[key]


def _batcher(scorer: Any, alpha: float, verifier: Any) -> MicroBatcher:
    loop = asyncio.get_running_loop()
    key = _key(scorer, alpha, verifier)
    known = _batchers.get(key)
    if known is None or known[0] is not loop:
        known = _batchers[key] = (loop, MicroBatcher(_reward(scorer, alpha, verifier)))
    return known[1]


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    scorer: Any = "mini",
    alpha: float = 0.2,
    verifier: Any = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """The gated reward of one completion, as verl calls it.

    Args:
        data_source: name of the dataset; not used.
        solution_str: the completion.
        ground_truth: the right answer.
        extra_info: the row's other columns; ``question`` (text or chat messages) is the question for the scorer.
        scorer: as for `GatedReward`. These three come from verl's ``reward_kwargs``.
        alpha: share of the reward that the thinking reward decides.
        verifier: a model that judges answers which math-verify does not find equal; a LiteLLM model string.
        kwargs: anything else that verl passes; not used.

    Returns:
        A dict with ``score``, and what verl logs beside it: ``r_v``, ``r_t`` (0 if there is none), ``scored``,
        ``score_failed`` and ``undecided``, each 0 or 1. An answer that could not be judged has score 0, since verl
        takes no missing reward; ``undecided`` is then 1.

    Raises:
        ConfigurationError: a setting cannot work.
        ScoringError: the scorer failed too often in a row.
    """
    question = (extra_info or {}).get("question")
    return _row(await _batcher(scorer, alpha, verifier).reward(question, solution_str, str(ground_truth)))


def compute_score_sync(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """`compute_score` without ``await``: the same arguments, result and errors.

    Calls that threads make at the same time are batched, too. Comparing answers sets no signal handler in this
    process, so any thread may call it.
    """
    return run_sync(compute_score(data_source, solution_str, ground_truth, extra_info, **settings))


def compute_score_batch(
    data_sources: Iterable[str],
    solution_strs: Iterable[str],
    ground_truths: Iterable[str],
    extra_infos: Iterable[Mapping[str, Any] | None] | None = None,
    *,
    scorer: Any = "mini",
    alpha: float = 0.2,
    verifier: Any = None,
    **kwargs: Any,
) -> list[dict[str, Any]]:
    """The gated rewards of a whole batch, as verl's batch reward manager asks for them.

    Args:
        data_sources: names of the datasets, one per completion; not used.
        solution_strs: the completions.
        ground_truths: the right answers.
        extra_infos: the rows' other columns, or None.
        scorer: this, ``alpha``, ``verifier`` and other keywords as for `compute_score`.

    Returns:
        What `compute_score` returns, per completion and in order.

    Raises:
        ConfigurationError: a setting cannot work.
        ScoringError: the scorer failed too often in a row.
    """
    completions, references = list(solution_strs), [str(truth) for truth in ground_truths]
    infos = [None] * len(completions) if extra_infos is None else list(extra_infos)
    questions = [(info or {}).get("question") for info in infos]
    reward = _reward(scorer, alpha, verifier)
    return [_row(one) for one in run_sync(reward.areward(questions, completions, references))]


def _row(one: Rewarded) -> dict[str, Any]:
    return {
        "score": one.reward or 0.0,
        "r_v": one.r_v or 0,
        "r_t": one.r_t or 0.0,
        "scored": int(one.r_t is not None),
        "score_failed": int(one.failed),
        "undecided": int(one.r_v is None),
    }
