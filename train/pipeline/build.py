"""`build_preferences`: prompts to traces to DAGs to labelled pairs, resumable at any point (paper §5.1, App. F)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import ExitStack, aclosing, nullcontext
from typing import Any

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Usage
from me2sdk.train.pipeline.config import STAGES, DataConfig, Stage, stage_settings
from me2sdk.train.pipeline.engines import run_here
from me2sdk.train.pipeline.output import write_output
from me2sdk.train.pipeline.questions import read_prompts
from me2sdk.train.pipeline.ray import Limits, budget_of, cluster, run_on_ray
from me2sdk.train.pipeline.report import BuildReport, StageReport
from me2sdk.train.pipeline.stages import Item, Outcome
from me2sdk.train.pipeline.store import Failures, StageFile, locked
from me2sdk.train.pipeline.work import NOTES, Planned, Work
from me2sdk.train.progress import OnProgress, Progress

__all__ = ["abuild_preferences", "build_preferences"]

_log = logging.getLogger(__name__)
_MAX_FAILURES = 10  # of a model in a row; a stage then stops asking it
_FEW = 1000  # so many items without a call are done here before a cluster has started


async def abuild_preferences(
    config: DataConfig, *, models: Mapping[str, Any] | None = None, on_progress: OnProgress | None = None
) -> BuildReport:
    """Build preference data; `build_preferences` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk.train import DataConfig, abuild_preferences

        prompts = {"records": [{"question": "What is 2 + 2?", "answer": "4"}]}
        config = DataConfig(output="data", prompts=prompts, models=[{"model": "m"}], judge={"model": "m"})
        wrong = lambda messages, **params: "The answer is 5."  # stands in for a provider
        print(asyncio.run(abuild_preferences(config, models={"m": wrong})).train)  # 0
        ```
    """
    prompts = await asyncio.to_thread(read_prompts, config.prompts)
    folder = config.output / "stages"
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / "lock"))
        except OSError as error:
            raise ConfigurationError(f"Cannot write to {folder}: {error.strerror}. Set output=.") from None
        files = await asyncio.to_thread(_open, config, stack)
        failures = stack.enter_context(Failures(folder / "failures.jsonl"))
        work = Work(config, prompts, files)
        build = _Build(work, failures, models or {}, on_progress)
        stack.enter_context(cluster(config, models or {}) if config.engine == "ray" else nullcontext())
        await build.stage("candidates", work.candidates)
        await build.stage("verify", work.checks)
        pairs = work.pairs()
        await build.stage("dags", lambda: work.dags(pairs))
        if config.judge:
            await build.stage("judge", lambda: work.judgements(pairs))
        return await asyncio.to_thread(write_output, work, pairs, tuple(build.reports))


def build_preferences(
    config: DataConfig, *, models: Mapping[str, Any] | None = None, on_progress: OnProgress | None = None
) -> BuildReport:
    """Build preference data (paper §5.1, App. F): sample traces, verify, annotate, judge, keep what is consistent.

    Each stage appends what it finishes to its own file in ``output/stages``, at once and safely on disk. However a
    run ends, the next one into the same folder continues from there. Once all is done, the files for users are the
    same, byte for byte, as those of a run that nothing disturbed (as far as the models answer the same). The next run
    may have more prompts, samples or pairs and another budget; a change of what finished records depend on is
    refused.

    An item that fails is recorded in ``stages/failures.jsonl``, costs the others nothing, and is tried again by the
    next run.

    Args:
        config: the settings; `load_config` reads them from YAML.
        models: models that replace names in the settings, by name: a function, a ``litellm.Router``, or an
            `LLM`, whose own limits then hold. Only with ``engine: asyncio``.
        on_progress: called with a `Progress` as a stage begins and after each of its items.

    Returns:
        A `BuildReport`. In the folder are then ``train`` and ``validation`` as ``.jsonl`` and ``.parquet``, which
        `read_preferences` reads, and a data card.

    Raises:
        ConfigurationError: the settings cannot work, or the folder holds records that were made with others. What was
            finished before is kept.

    Example:
        ```python
        from me2sdk.train import DataConfig, build_preferences

        def model(messages, seed=0, **params):  # stands in for a provider: it answers, and judges
            return "<|decision|>Tie" if "decision" in str(messages) else f"{seed}: 2 + 2 = 4. Answer: 4."

        prompts = {"records": [{"question": "What is 2 + 2?", "answer": "4"}]}
        config = DataConfig(output="data", prompts=prompts, models=[{"model": "m"}], judge={"model": "m"})
        print(build_preferences(config, models={"m": model}).pairs.tied)  # 4
        ```
    """
    return run_sync(abuild_preferences(config, models=models, on_progress=on_progress))


def _open(config: DataConfig, stack: ExitStack) -> dict[Stage, StageFile]:
    folder = config.output / "stages"
    return {
        stage: stack.enter_context(
            StageFile(folder / f"{stage}.jsonl", stage, stage_settings(config, stage), NOTES[stage])
        )
        for stage in STAGES
        if stage != "judge" or config.judge  # its file says who judges
    }


class _Build:
    """Runs stages and keeps their reports.

    Attributes:
        reports: of the stages so far.
    """

    def __init__(
        self, work: Work, failures: Failures, models: Mapping[str, Any], on_progress: OnProgress | None
    ) -> None:
        self.reports: list[StageReport] = []
        self._work = work
        self._config = work.config
        self._failures = failures
        self._models = models
        self._on_progress = on_progress
        # One for all stages: it also knows of tokens that providers do not report.
        self._budget = budget_of(self._left())

    def _left(self) -> Limits:
        """What may still be spent."""
        limits = self._config.budget.model_dump(exclude_none=True) if self._config.budget else {}
        spent = sum((file.spent for file in self._work.files.values()), self._failures.spent)
        used = {"usd": spent.cost, "tokens": spent.total_tokens}
        left: Limits = {}
        for name, limit in limits.items():
            before = used[name]
            if before is None:
                raise ConfigurationError(
                    f"The {name} that {self._config.output} has cost so far are not known, since a provider did not "
                    f"report them, so budget.{name} cannot hold. Leave it out."
                )
            left[name] = max(0.0, limit - before)
        return left

    def _start(
        self, stage: Stage, items: Iterator[Item], count: int
    ) -> AsyncGenerator[tuple[Item, Outcome], None]:
        role = {"verify": self._config.verifier, "dags": self._config.annotator.model}.get(stage, True)
        if self._config.engine == "ray" and (role or count > _FEW):
            return run_on_ray(self._config, stage, items, self._left())
        return run_here(self._config, stage, items, self._budget, self._models)

    def _report_progress(self, stage: Stage, done: int, total: int) -> None:
        if self._on_progress:
            self._on_progress(Progress(stage, done, total))

    async def stage(self, stage: Stage, plan: Callable[[], Iterator[Planned]]) -> None:
        """Do what a stage has left to do, and write each item as it is finished.

        Args:
            stage: the stage.
            plan: all items that it has to have.
        """
        file = self._work.files[stage]
        wanted = sum(1 for _ in plan())
        kept = sum(1 for planned in plan() if file.has(planned.key, planned.input))
        rule = StopRule(stage)
        counts: Counter[str] = Counter()
        usage = Usage()
        items = rule.admitted(planned for planned in plan() if not file.has(planned.key, planned.input))
        self._report_progress(stage, kept, wanted)
        if kept < wanted:
            async with aclosing(self._start(stage, items, wanted - kept)) as outcomes:
                async for item, outcome in outcomes:
                    usage += outcome.usage + outcome.wasted_usage
                    rule.take(item, outcome)
                    if outcome.wasted_usage.calls:
                        again = {"error": "BudgetExceeded", "message": "tried again when there was room"}
                        self._failures.write(
                            stage, item.key, {**again, "usage": outcome.wasted_usage.model_dump()}
                        )
                    if outcome.record is not None:
                        file.write(item.key, item.input, outcome.record)
                        counts["done"] += 1
                    elif outcome.usage.calls or not outcome.over_budget:
                        failure = {**(outcome.failure or {}), "usage": outcome.usage.model_dump()}
                        self._failures.write(stage, item.key, failure)
                        counts["failed"] += 1
                    self._report_progress(stage, kept + counts["done"], wanted)
        left = wanted - kept - counts.total()
        report = StageReport(
            stage=stage, wanted=wanted, kept=kept, left=left, stopped=rule.reason, usage=usage, **counts
        )
        _log.info("%s: %s", stage, report)
        self.reports.append(report)


class StopRule:
    """Decides whether to go on with a stage: not without budget, and not with a model that always fails."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._failed: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self._over_budget = False

    @property
    def reason(self) -> str | None:
        """Why items were left, or None."""
        reasons = [*(["the budget is spent"] if self._over_budget else []), *self._reasons.values()]
        return "; ".join(reasons) or None

    def admitted(self, planned: Iterator[Planned]) -> Iterator[Item]:
        """The items that are worth a try at the time when they are asked for."""
        for one in planned:
            if self._over_budget:
                return
            if one.group not in self._reasons:
                yield one.item()

    def take(self, item: Item, outcome: Outcome) -> None:
        """Learn from an outcome."""
        self._over_budget = self._over_budget or outcome.over_budget
        if outcome.over_budget:
            return
        self._failed[item.group] = 0 if outcome.record is not None else self._failed[item.group] + 1
        if self._failed[item.group] == _MAX_FAILURES:
            who = item.group or f"the stage {self._stage}"
            message = (outcome.failure or {}).get("message", "")[:300]
            self._reasons[item.group] = (
                f"{who} failed {_MAX_FAILURES} times in a row, the last time so: {message}"
            )
            _log.warning("%s", self._reasons[item.group])
