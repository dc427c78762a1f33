"""Stages in order, each done once: what is finished is read back, what was begun goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from me2sdk._jsonl import refuse_changes
from me2sdk._paths import atomic_write
from me2sdk.errors import ConfigurationError
from me2sdk.train.progress import OnProgress, Progress
from recipes.reproduction.config import ReproduceConfig

__all__ = ["Place", "Stage", "run_stages"]


@dataclass(frozen=True)
class Place:
    """One run: its settings, and where its files are.

    Attributes:
        config: the settings.
        data: the folder that holds ``gsm8k/``.
        output: the folder of the run.
        on_progress: called as the parts go on, and as a stage begins and ends.
    """

    config: ReproduceConfig
    data: Path
    output: Path
    on_progress: OnProgress | None = None

    def questions(self, name: str) -> Path:
        """The file with the questions of one part."""
        return self.output / "questions" / f"{name}.jsonl"

    def pairs(self, split: str) -> Path:
        """The file with the pairs of one split."""
        return self.output / "pairs" / f"{split}.jsonl"

    def reward_model(self, seed: int) -> Path:
        """The folder of one reward model's run."""
        return self.output / "reward_model" / f"seed{seed}"

    def scorer(self, seed: int) -> str:
        """The folder that the reward model is loaded from: a whole one, so that its base is not looked for again."""
        folder = self.reward_model(seed)
        return str(folder / "merged" if self.config.reward_model.get("lora") else folder)

    def result(self, stage: str) -> dict[str, Any] | None:
        """What a finished stage left, or None."""
        return _read(self, stage).get("result")


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: names its record.
        settings: the settings that it depends on, beside those of the stages before it.
        work: does it, or what is left of it, and returns what reports need.
    """

    name: str
    settings: tuple[str, ...]
    work: Callable[[Place], dict[str, Any]]


def run_stages(place: Place, stages: Sequence[Stage]) -> None:
    """Do what is left to do.

    Raises:
        ConfigurationError: a stage was begun with other settings, or cannot be finished now.
    """
    (place.output / "stages").mkdir(parents=True, exist_ok=True)
    identity = place.config.identity()
    wanted = {stage.name: {name: identity[name] for name in stage.settings} for stage in stages}
    records = {stage.name: _read(place, stage.name) for stage in stages}
    for name, record in records.items():  # all of them before any work is done
        if record:
            refuse_changes(
                f"{place.output} holds the stage {name!r}",
                record["settings"],
                wanted[name],
                "another --output",
            )
    for number, stage in enumerate(stages):
        if "result" in records[stage.name]:
            continue
        if place.on_progress:
            place.on_progress(Progress(stage.name, number, len(stages)))
        record = {"settings": wanted[stage.name]}
        _write(place, stage.name, record)
        _write(place, stage.name, {**record, "result": stage.work(place)})
    if place.on_progress:
        place.on_progress(Progress("all stages", len(stages), len(stages)))


def _path(place: Place, stage: str) -> Path:
    return place.output / "stages" / f"{stage}.json"


def _read(place: Place, stage: str) -> dict[str, Any]:
    path = _path(place, stage)
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise ConfigurationError(f"{path} is damaged. Delete it, and the stage is done again.") from None
    return record


def _write(place: Place, stage: str, record: dict[str, Any]) -> None:
    with atomic_write(_path(place, stage)) as draft:
        draft.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
