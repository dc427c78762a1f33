"""The gated reward for verl (paper §5.4): verl's custom reward function.

In verl's configuration::

    reward.custom_reward_function.path=pkg://me2sdk.adapters.verl   # older versions: the path of this file
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.scorer=http://localhost:30000   # SGLang with a TRM; or mini
    +reward.custom_reward_function.reward_kwargs.alpha=0.2

verl awaits one call a completion, many at a time. Calls that arrive within a few milliseconds of each other are
verified and scored together. ``me2sdk`` must be installed where verl's reward workers run; nothing of verl is
imported.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

from me2sdk.schema import Question
from me2sdk.train.reward_function import GatedReward, Rewarded

__all__ = ["GATHER_SECONDS", "compute_score"]

GATHER_SECONDS = 0.005
"""How long the first call of a batch waits for others to join it."""

_LARGEST = 256  # completions a batch


class _Waiting(NamedTuple):
    question: Question | None
    completion: str
    reference: str
    result: asyncio.Future[Rewarded]


class _Gatherer:
    """Makes one call of a reward function out of many that arrive together. Lives in one event loop."""

    def __init__(self, reward: GatedReward) -> None:
        self._reward = reward
        self._waiting: list[_Waiting] = []
        self._running: set[asyncio.Task[None]] = set()

    async def reward(self, question: Question | None, completion: str, reference: str) -> Rewarded:
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


_gatherers: dict[tuple[Any, ...], tuple[asyncio.AbstractEventLoop, _Gatherer]] = {}


def _gatherer(scorer: Any, alpha: float, model: Any) -> _Gatherer:
    loop = asyncio.get_running_loop()
    key = (scorer if isinstance(scorer, str | None) else id(scorer), alpha, json.dumps(model, default=id))
    known = _gatherers.get(key)
    if known is None or known[0] is not loop:
        known = _gatherers[key] = (loop, _Gatherer(GatedReward(scorer, alpha=alpha, model=model)))
    return known[1]


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
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
        extra_info: the row's other columns; ``question`` (text or chat messages) is what the scorer is told was
            asked.
        scorer: as for `GatedReward`. These three come from verl's ``reward_kwargs``.
        alpha: share of the reward that the thinking reward decides.
        verifier: a model that judges answers which math-verify does not find equal; a LiteLLM model string.
        kwargs: whatever else verl passes; not used.

    Returns:
        ``score``, and what verl logs beside it: ``r_v``, ``r_t`` (0 where there is none), ``scored``,
        ``score_failed`` and ``undecided``, each 0 or 1. An answer that could not be judged has score 0, since verl
        takes no missing reward; ``undecided`` is 1 then.

    Raises:
        ConfigurationError: a setting cannot work.
        ScoringError: the scorer is gone.
    """
    question = (extra_info or {}).get("question")
    one = await _gatherer(scorer, alpha, verifier).reward(question, solution_str, str(ground_truth))
    return {
        "score": one.reward or 0.0,
        "r_v": one.r_v or 0,
        "r_t": one.r_t or 0.0,
        "scored": int(one.r_t is not None),
        "score_failed": int(one.failed),
        "undecided": int(one.r_v is None),
    }
