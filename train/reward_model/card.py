"""The model card of a trained reward model, and a drawing of its curve. Everything in them was set or measured."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from me2sdk.train.reward_model.config import Curve, PairAccuracy, RewardModelConfig, RewardModelReport
from me2sdk.train.reward_model.data import TokenizedPairs

__all__ = ["draw_curve", "model_card"]

_MOST_ROWS = 20
_PLACES = {
    "output",
    "base",
    "base_name",
    "train",
    "validation",
    "threads",
}  # of this machine, or stated elsewhere


def model_card(config: RewardModelConfig, report: RewardModelReport, data: TokenizedPairs) -> str:
    """Markdown for ``README.md``: base, data, settings, curve, accuracy beside "shorter wins", limits.

    Args:
        config: the settings of the run.
        report: what came of it.
        data: what was trained on.
    """
    name = Path(report.output).name
    held = config.model_dump(mode="json", exclude=_PLACES, exclude_none=True)
    parts = [
        f"---\nbase_model: {json.dumps(report.base)}\nlibrary_name: {'peft' if config.lora else 'transformers'}\n"
        "pipeline_tag: text-classification\ntags:\n- reward-model\n- me2sdk\n---",
        f"# Model card: {name}",
        f"A reward model for reasoning traces, trained with me2sdk from {report.base}"
        f"{' (adapter and score head)' if config.lora else ''}. It reads the question, a line break and the "
        "reasoning as plain text, without a chat template, and gives one number without bounds; higher is better.",
        f'```python\nfrom me2sdk import TRMScorer\n\nTRMScorer("{name}").score(question, traces)\n```',
        "## Data",
        "In how many pairs the better (chosen) side has more tokens, or fewer, shows how far length alone would get.",
        _table(["split", "source", "category", "pairs", "chosen longer", "chosen shorter"], _data_rows(data)),
        _left_out(report),
        "## Training",
        f"{report.steps} steps, {report.trainable:,} weights trained, {report.seconds:.0f} s. Settings:",
        "```json\n" + json.dumps(held, indent=2) + "\n```",
    ]
    if report.validation is not None:
        rows = {"all": report.validation}
        rows |= {f"category {name or 'none'}": found for name, found in report.by_category.items()}
        rows |= {_SIDES[side]: found for side, found in report.by_length.items()}
        parts += [
            "## Validation",
            f"Pairs that were not trained on, with the weights of step {report.best_step}. Equal rewards "
            "count as wrong. "
            '"Shorter wins" takes the side with fewer tokens; equal lengths count half.',
            _table(
                ["pairs", "number", "accuracy", "shorter wins"], [_accuracy(*row) for row in rows.items()]
            ),
            "![accuracy and loss by step](curve.png)",
            _table(["step", "accuracy", "loss", "margin"], _curve_rows(report.curve)),
        ]
    parts += ["## Limits", "\n".join(f"- {limit}" for limit in _limits(config, report))]
    return "\n\n".join(part for part in parts if part) + "\n"


_SIDES = {
    "longer": "better side longer",
    "shorter": "better side shorter",
    "equal": "both sides as long",
}


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)


def _data_rows(data: TokenizedPairs) -> Iterable[list[str]]:
    for split, sources in data.counts.items():
        for source, categories in sources.items():
            # The name of a local file says enough; where it lies is private.
            shown = Path(source).name if Path(source).exists() else source
            for category, count in categories.items():
                longer, shorter = (
                    f"{100 * number / count.pairs:.1f}%"
                    for number in (count.chosen_longer, count.chosen_shorter)
                )
                yield [split, shown, category or "none", str(count.pairs), longer, shorter]


def _left_out(report: RewardModelReport) -> str:
    if not report.left_out:
        return "No pair was left out."
    return "Left out: " + ", ".join(f"{count} {reason}" for reason, count in report.left_out.items()) + "."


def _accuracy(name: str, found: PairAccuracy) -> list[str]:
    return [name, str(found.pairs), f"{found.accuracy:.3f}", f"{found.shorter_wins:.3f}"]


def _curve_rows(curve: tuple[Curve, ...]) -> Iterable[list[str]]:
    every = -(-len(curve) // _MOST_ROWS)
    for point in curve[::-1][::every][::-1]:  # with the last one
        yield [str(point.step), f"{point.accuracy:.3f}", f"{point.loss:.4f}", f"{point.margin:+.3f}"]


def _limits(config: RewardModelConfig, report: RewardModelReport) -> Iterable[str]:
    yield f"No text of more than {config.max_length} tokens was trained on."
    yield "Only traces of the same question were compared, so rewards of different questions do not compare."
    if report.validation is None:
        yield "Nothing was validated."
        return
    if isinstance(config.validation, float):
        yield (
            "The validation pairs come from the sources of the training pairs: data of other origin was not measured."
        )
    sides = (f"{found.accuracy:.3f} ({_SIDES[side]})" for side, found in report.by_length.items())
    yield f"Accuracy by length: {', '.join(sides)}."
    weak = [
        name or "none" for name, found in report.by_category.items() if found.accuracy <= found.shorter_wins
    ]
    if weak:
        yield f"No better than taking the shorter side on: {', '.join(weak)}."


def draw_curve(log: Iterable[dict[str, Any]], path: Path) -> None:
    """Draw loss and validation accuracy by step into a PNG file.

    Args:
        log: the lines of ``log.jsonl``.
        path: the file to write.
    """
    from matplotlib.figure import Figure

    lines = list(log)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    trained = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    axes.plot(*zip(*trained, strict=True), color="0.6", label="training loss")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    if validated := [
        (line["step"], line["eval_loss"], line["eval_accuracy"]) for line in lines if "eval_loss" in line
    ]:
        steps, losses, accuracies = zip(*validated, strict=True)
        axes.plot(steps, losses, "o-", color="tab:blue", label="validation loss")
        right = axes.twinx()
        right.plot(steps, accuracies, "s-", color="tab:orange", label="validation accuracy")
        right.set_ylabel("accuracy")
    figure.legend(loc="outside upper center", ncols=3)
    figure.savefig(path, dpi=120)
