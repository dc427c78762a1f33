"""Reports of a build: each stage, and the result."""

from __future__ import annotations

from pathlib import Path

from me2sdk.schema import Usage, Value

__all__ = ["BuildReport", "PairCounts", "StageReport"]


class StageReport(Value):
    """One stage of a build.

    Attributes:
        stage: "candidates", "verify", "dags" or "judge".
        wanted: items that the stage has for the prompts of this build.
        kept: items that an earlier run had finished.
        done: items that this run finished.
        failed: items that went wrong in this run; the next one tries them again.
        left: items that were not tried.
        stopped: why items were left, or None.
        usage: what this run's calls cost, those of failed items included.
    """

    stage: str
    wanted: int
    kept: int = 0
    done: int = 0
    failed: int = 0
    left: int = 0
    stopped: str | None = None
    usage: Usage = Usage()


class PairCounts(Value):
    """What became of the pairs that were chosen.

    Attributes:
        chosen: pairs of right traces that were to be judged.
        kept: every judgement, in both orders, prefers the same trace.
        tied: every judgement is a tie.
        inconsistent: the judgements differ.
        unreadable: some of the judge's answers could not be read, the others agree.
        missing: not judged, since a call failed or the budget was spent.
    """

    chosen: int = 0
    kept: int = 0
    tied: int = 0
    inconsistent: int = 0
    unreadable: int = 0
    missing: int = 0


class BuildReport(Value):
    """What `build_preferences` returns.

    Attributes:
        output: the folder.
        prompts: prompts that were used.
        stages: the stages in order.
        pairs: what became of the pairs.
        train: training pairs written.
        validation: validation pairs written.
        files: the files for users of the data, in the folder.
        usage: what this run cost.
    """

    output: Path
    prompts: int
    stages: tuple[StageReport, ...]
    pairs: PairCounts
    train: int
    validation: int
    files: tuple[str, ...]
    usage: Usage

    @property
    def complete(self) -> bool:
        """Whether nothing failed and nothing was left, so that another run would change nothing."""
        return not any(stage.failed or stage.left for stage in self.stages)
