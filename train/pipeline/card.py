"""The data card: README.md of the output folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, NamedTuple

from me2sdk.schema import Usage
from me2sdk.train.pipeline.config import DataConfig, stage_settings
from me2sdk.train.pipeline.questions import Prompts
from me2sdk.train.pipeline.report import PairCounts

__all__ = ["Facts", "card"]


class Facts(NamedTuple):
    """What the card tells of the data; all of it follows from the records of the stages.

    Attributes:
        prompts: the prompts.
        pairs: what became of the pairs.
        splits: pairs and prompts of each split.
        models: by model, how many candidates were sampled, were finished, were right, were chosen, …
        traces: traces in pairs.
        steps: steps of the traces of the kept pairs, ascending.
        annotation_errors: steps that the annotator could not place.
        longer: kept pairs whose chosen side is the longer one.
        shorter: kept pairs whose chosen side is the shorter one.
        median_lengths: characters of the chosen and the rejected traces; empty without pairs.
        same_model: kept pairs whose sides come from one model.
        dimensions: by dimension, which side it preferred in the kept pairs.
        usage: what the records cost, by stage.
    """

    prompts: Prompts
    pairs: PairCounts
    splits: Mapping[str, tuple[int, int]]
    models: Mapping[str, Counter[str]]
    traces: int
    steps: list[int]
    annotation_errors: int
    longer: int
    shorter: int
    median_lengths: tuple[float, ...]
    same_model: int
    dimensions: Mapping[str, Counter[str]]
    usage: Mapping[str, Usage]


def card(config: DataConfig, facts: Facts) -> str:
    """The card as Markdown, with the header that the hub reads."""
    sections = [
        _head(config),
        "# Preference pairs of reasoning traces",
        "Each record holds two traces whose final answers are both right, of which `chosen` is the better reasoned one "
        "after the ME² method (arXiv:2602.08498): traces became graphs of their steps, a judge compared them on four "
        "dimensions and in all, in both orders, and only labels on which every judgement agreed were kept. Made by "
        "`me2 data build`. Columns: `prompt`, `chosen`, `rejected` (chat messages, as TRL reads them), and "
        "`provenance` (JSON: the models, the votes, the prompts' versions, the cost of the label).",
        f"Licence: {config.licence or 'not stated; set `licence` in the settings'}. The licences of the prompts' "
        "source and the terms of the models that wrote and judged the traces apply too.",
        "## Counts\n\n" + _counts(facts),
        "## Models\n\n" + _models(facts.models),
        "## Pairs\n\n" + _pairs(facts),
        "## Cost\n\n" + _cost(facts.usage),
        "## Settings\n\n" + _settings(config),
    ]
    return "\n\n".join(sections) + "\n"


def _head(config: DataConfig) -> str:
    header = [
        "---",
        f"license: {json.dumps(config.licence or 'unknown')}",
        "configs:",
        "- config_name: default",
    ]
    header.append("  data_files:")
    for split in ("train", "validation"):
        header += [f"  - split: {split}", f"    path: {split}.parquet"]
    return "\n".join([*header, "---"])


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    names = list(head)
    lines = [names, ["---", *(["---:"] * (len(names) - 1))], *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(text.replace("|", "\\|").split())


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.1%})" if whole else "none"


def _counts(facts: Facts) -> str:
    total: Counter[str] = sum(facts.models.values(), Counter())
    pairs = facts.pairs
    rows: list[tuple[str, object]] = [
        ("prompts", len(facts.prompts.prompts)),
        ("records without a question or a short answer", facts.prompts.skipped),
        ("prompts that were there twice", facts.prompts.repeated),
        ("traces sampled", total["sampled"]),
        ("… missing: a call failed or was not made", total["missing"]),
        ("… cut off by the limit on tokens", total["truncated"]),
        ("… empty", total["empty"]),
        ("… finished", total["ok"]),
        ("… finished and right", total["right"]),
        ("pairs chosen", pairs.chosen),
        ("traces in them", facts.traces),
        ("steps that the annotator could not place", facts.annotation_errors),
        ("pairs kept", pairs.kept),
        ("… tied", pairs.tied),
        ("… inconsistent", pairs.inconsistent),
        ("… unreadable judgements", pairs.unreadable),
        ("… not judged: a call failed or was not made", pairs.missing),
    ]
    rows += [
        (f"{name} pairs (prompts)", f"{count:,} ({prompts:,})")
        for name, (count, prompts) in facts.splits.items()
    ]
    return _table(("", "count"), rows)


def _models(models: Mapping[str, Counter[str]]) -> str:
    names = ("sampled", "truncated", "right", "chosen", "rejected")
    return _table(("model", *names), ((model, *(found[n] for n in names)) for model, found in models.items()))


def _pairs(facts: Facts) -> str:
    kept = facts.pairs.kept
    rows: list[tuple[str, object]] = [
        ("the chosen side is the longer one", _share(facts.longer, kept)),
        ("the chosen side is the shorter one", _share(facts.shorter, kept)),
        ("both sides are of one model", _share(facts.same_model, kept)),
    ]
    if facts.median_lengths:
        chosen, rejected = facts.median_lengths
        rows.append(("median characters, chosen / rejected", f"{chosen:,.0f} / {rejected:,.0f}"))
        rows.append(("median steps of a trace", f"{median(facts.steps):g}"))
    rows += [
        (
            f"{name.replace('_', ' ')}: chosen / rejected / tie",
            f"{c['chosen']:,} / {c['rejected']:,} / {c['tie']:,}",
        )
        for name, c in facts.dimensions.items()
    ]
    return _table(("kept pairs", ""), rows)


def _cost(usage: Mapping[str, Usage]) -> str:
    def row(name: str, spent: Usage) -> tuple[object, ...]:
        tokens = [
            "unknown" if count is None else f"{count:,}"
            for count in (spent.prompt_tokens, spent.completion_tokens)
        ]
        return name, spent.calls, *tokens, "unknown" if spent.cost is None else f"{spent.cost:.4f}"

    rows = [row(name, spent) for name, spent in usage.items()]
    rows.append(row("all", sum(usage.values(), Usage())))
    table = _table(("stage", "calls", "prompt tokens", "completion tokens", "US dollars"), rows)
    return f"{table}\n\nOf the calls whose answers the data rests on; calls that failed or were repeated come on top."


def _settings(config: DataConfig) -> str:
    source: Any = config.prompts.model_dump(mode="json", exclude={"records"})
    settings = {
        "prompts": source if config.prompts.source else {"records": len(config.prompts.records)},
        "samples": config.sampling.samples,
        **stage_settings(config, "judge"),
        **config.model_dump(mode="json", include={"max_pairs", "seed", "validation"}),
    }
    return "```json\n" + json.dumps(settings, indent=2, ensure_ascii=False) + "\n```"
