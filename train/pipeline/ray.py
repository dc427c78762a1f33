"""Running the items of a stage over a Ray cluster.

What happens to an item is the same as in one process; the driver alone writes, as results arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from itertools import islice
from typing import Any

from me2sdk.errors import ConfigurationError
from me2sdk.llm import Budget
from me2sdk.schema import Usage
from me2sdk.train.pipeline.config import DataConfig, Stage
from me2sdk.train.pipeline.stages import Item, Outcome, Worker

__all__ = ["Limits", "budget_of", "cluster", "run_on_ray"]

Limits = dict[str, float]
"""What may still be spent, by ``usd`` and ``tokens``; empty for no limit."""

_WAVE = 4096  # items that are handed to the cluster at once: it holds their traces in memory


def budget_of(limits: Limits) -> Budget | None:
    """The budget that holds these limits."""
    if not limits:
        return None
    tokens = limits.get("tokens")
    return Budget(usd=limits.get("usd"), tokens=None if tokens is None else int(tokens))


@contextlib.contextmanager
def cluster(config: DataConfig, models: Mapping[str, Any]) -> Iterator[None]:
    """The cluster that is connected already, or else one that is opened and closed here.

    Raises:
        ConfigurationError: Ray is not installed, or a model is an object of this process.
    """
    if models:
        raise ConfigurationError(
            "engine: ray asks models by their LiteLLM names, on any machine. Use engine: asyncio for models that are "
            "objects."
        )
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigurationError('engine: ray needs Ray. Run: pip install "me2sdk[ray]"') from None
    mine = not ray.is_initialized()
    if mine:
        ray.init(address=config.ray.address, include_dashboard=False, log_to_driver=False)
    context = ray.data.DataContext.get_current()
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    try:
        yield
    finally:
        context.enable_progress_bars = bars
        if mine:
            ray.shutdown()


async def run_on_ray(
    config: DataConfig, stage: Stage, items: Iterator[Item], limits: Limits
) -> AsyncGenerator[tuple[Item, Outcome], None]:
    """Map items with Ray Data; yield each as it is done.

    Each of the workers gets an equal share of ``max_concurrency`` and of what is left of the budget, since
    processes cannot share one; so a worker may have to stop while another still has something left.
    """
    Worker(config, stage, budget_of(limits))  # wrong settings are better reported here than by a worker
    while wave := list(islice(items, _WAVE)):
        items_of = {item.key: item._replace(payload={}) for item in wave}
        results = _map(config, stage, [json.dumps(item) for item in wave], limits)
        del wave
        try:
            # In a thread, since the next result may take minutes and others use this event loop.
            while (answer := await asyncio.to_thread(next, results, None)) is not None:
                if "configuration_error" in answer:
                    raise ConfigurationError(answer["configuration_error"])
                item = items_of[answer.pop("key")]
                spent = {name: Usage.model_validate(answer[name]) for name in ("usage", "wasted_usage")}
                yield item, Outcome(**{**answer, **spent})
        finally:
            with contextlib.suppress(ValueError):  # cancelled, and the thread still waits inside of it
                results.close()


def _map(
    config: DataConfig, stage: Stage, wave: list[str], limits: Limits
) -> Generator[dict[str, Any], None, None]:
    import ray.data

    workers = min(config.ray.workers, len(wave))
    at_once = max(1, config.max_concurrency // workers)
    share = {name: limit / workers for name, limit in limits.items()}
    # A block is what is handed out and back, so each holds one item: results arrive as they are ready.
    rows = ray.data.from_items([{"item": item} for item in wave], override_num_blocks=len(wave))
    mapped = rows.map(
        RayWorker,
        fn_constructor_args=(config.model_dump_json(), stage, at_once, share),
        compute=ray.data.ActorPoolStrategy(
            size=workers, max_tasks_in_flight_per_actor=2 * at_once, max_concurrent_calls_per_actor=at_once
        ),
        num_cpus=0,  # it mostly waits for servers
    )
    for batch in mapped.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=0):
        yield from map(json.loads, batch.column("outcome").to_pylist())


class RayWorker:
    """A process of the cluster that does items, several at once.

    Args:
        config: the settings as JSON.
        stage: the stage.
        at_once: calls in flight at most.
        limits: its share of the budget.
    """

    def __init__(self, config: str, stage: Stage, at_once: int, limits: Limits) -> None:
        settings = DataConfig.model_validate_json(config).model_copy(update={"max_concurrency": at_once})
        self._worker = Worker(settings, stage, budget_of(limits))

    async def __call__(self, row: dict[str, str]) -> dict[str, str]:
        """Do the item of a row."""
        item = Item(*json.loads(row["item"]))
        try:
            outcome = await self._worker.run(item)
        except ConfigurationError as error:
            return {"outcome": json.dumps({"configuration_error": str(error)})}
        spent = {"usage": outcome.usage.model_dump(), "wasted_usage": outcome.wasted_usage.model_dump()}
        return {"outcome": json.dumps({**outcome._asdict(), **spent, "key": item.key})}
