"""From judged pairs to the files that users of the data get."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any

from me2sdk._paths import atomic_write
from me2sdk.schema import Trace, Usage
from me2sdk.train.data import Preference, question_key, split_by_question, write_preferences
from me2sdk.train.pipeline.card import Facts, card
from me2sdk.train.pipeline.config import STAGES, Stage
from me2sdk.train.pipeline.report import BuildReport, PairCounts, StageReport
from me2sdk.train.pipeline.work import Pair, Work

__all__ = ["write_output"]


def write_output(work: Work, pairs: list[Pair], reports: tuple[StageReport, ...]) -> BuildReport:
    """Write training and validation pairs and the data card; what is written depends on the stages' records alone."""
    labels = [_label(work, pair) for pair in pairs]
    labelled = zip(pairs, labels, strict=True)
    kept = [_preference(work, pair, label) for pair, label in labelled if label in ("a", "b")]
    sides = dict(zip(("train", "validation"), split_by_question(kept, work.config.validation), strict=True))
    output = work.config.output
    files = []
    for split, preferences in sides.items():
        for ending in ("jsonl", "parquet"):
            files.append(f"{split}.{ending}")
            write_preferences(output / files[-1], preferences)
    counts = Counter("kept" if label in ("a", "b") else label for label in labels)
    pair_counts = PairCounts(chosen=len(pairs), **counts)
    text = card(work.config, _facts(work, pairs, kept, pair_counts, sides))
    with atomic_write(output / "README.md") as draft:
        draft.write_text(text, "utf-8")
    return BuildReport(
        output=output,
        prompts=len(work.prompts.prompts),
        stages=reports,
        pairs=pair_counts,
        train=len(sides["train"]),
        validation=len(sides["validation"]),
        files=(*files, "README.md"),
        usage=sum((report.usage for report in reports), Usage()),
    )


def _label(work: Work, pair: Pair) -> str:
    made_from = work.judged_input(pair)
    judged = work.files.get("judge")
    if judged is None or made_from is None or not judged.has(pair.key, made_from):
        return "missing"
    return str(judged.note(pair.key))


def _preference(work: Work, pair: Pair, label: str) -> Preference:
    keys = {"a": pair.a, "b": pair.b}
    sides = {label: "chosen", "b" if label == "a" else "a": "rejected"}
    candidates = {place: work.files["candidates"].read(key) for place, key in keys.items()}
    traces = {
        sides[place]: Trace(reasoning=record["reasoning"], response=record["response"])
        for place, record in candidates.items()
    }
    judged = work.files["judge"].read(pair.key)
    provenance = {
        "prompt": pair.prompt.key,
        "reference": pair.prompt.reference,
        **{sides[place]: _origin(work, key) for place, key in keys.items()},
        "judge": judged["models"],
        "prompts": judged["prompts"],
        "dimensions": {name: sides.get(found, found) for name, found in judged["dimensions"].items()},
        "rationale": judged["rationale"],
        "trace_a": sides["a"],  # as the rationale calls it
        "votes": [_vote(vote, sides) for vote in judged["votes"]],
        "usage": judged["usage"],
    }
    return Preference(question=pair.prompt.question, **traces, provenance=provenance)


def _origin(work: Work, key: str) -> dict[str, Any]:
    check, dag = work.files["verify"].read(key), work.files["dags"].read(key)["dag"]
    return {
        "candidate": key,
        "model": _model(key),
        "answer": check["answer"],
        "verified_by": check["method"],
        "annotator": dag["annotator"],
        "steps": len(dag["nodes"]),
        "annotation_errors": len(dag["errors"]),
    }


def _model(key: str) -> str:
    return key.split("/", 1)[1].rsplit("/", 1)[0]


def _vote(vote: Mapping[str, Any], sides: Mapping[str, str]) -> dict[str, Any]:
    decision = vote["decision"]
    return {
        "subject": vote["subject"],
        "shown_first": sides[vote["order"][0]],
        "repeat": vote["repeat"],
        "decision": sides.get(decision, decision),
    }


def _facts(
    work: Work,
    pairs: list[Pair],
    kept: list[Preference],
    counts: PairCounts,
    splits: Mapping[str, list[Preference]],
) -> Facts:
    lengths = [(len(pair.chosen.reasoning), len(pair.rejected.reasoning)) for pair in kept]
    sides = [(pair.provenance["chosen"], pair.provenance["rejected"]) for pair in kept]
    return Facts(
        prompts=work.prompts,
        pairs=counts,
        splits={
            name: (len(part), len({question_key(p.question) for p in part})) for name, part in splits.items()
        },
        models=_models(work, sides),
        traces=len({key for pair in pairs for key in (pair.a, pair.b)}),
        steps=sorted(side["steps"] for pair in sides for side in pair),
        annotation_errors=sum(work.files["dags"].note(key)[2] for key in _annotated(work, pairs)),
        longer=sum(a > b for a, b in lengths),
        shorter=sum(a < b for a, b in lengths),
        median_lengths=tuple(map(median, zip(*lengths, strict=True))) if lengths else (),
        same_model=sum(a["model"] == b["model"] for a, b in sides),
        dimensions={
            name: Counter(pair.provenance["dimensions"][name] for pair in kept)
            for name in (kept[0].provenance["dimensions"] if kept else ())
        },
        usage=dict(_usage(work, pairs)),
    )


def _annotated(work: Work, pairs: list[Pair]) -> list[str]:
    keys = dict.fromkeys(key for pair in pairs for key in (pair.a, pair.b))
    return [key for key in keys if work.files["dags"].has(key, work.digest(key))]


def _models(work: Work, sides: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {model.name: Counter() for model in work.config.models}
    for prompt in work.prompts.prompts:
        for key, model, _ in work.keys(prompt):
            sampled = work.files["candidates"].has(key, "")
            found[model]["sampled" if sampled else "missing"] += 1
            if sampled:
                found[model][work.files["candidates"].note(key).state] += 1
        for trace in work.right(prompt):
            found[trace.model]["right"] += 1
    for chosen, rejected in sides:
        found[chosen["model"]]["chosen"] += 1
        found[rejected["model"]]["rejected"] += 1
    return found


def _usage(work: Work, pairs: list[Pair]) -> Iterator[tuple[str, Usage]]:
    """What the records cost that the data rests on, by stage."""
    candidates = [key for prompt in work.prompts.prompts for key, _, _ in work.keys(prompt)]
    keys: dict[Stage, Iterable[str]] = {
        "candidates": (key for key in candidates if work.files["candidates"].has(key, "")),
        "verify": (plan.key for plan in work.checks() if work.files["verify"].has(plan.key, plan.input)),
        "dags": _annotated(work, pairs),
        "judge": (pair.key for pair in pairs if _label(work, pair) != "missing"),
    }
    for stage in STAGES:
        spent = [work.files[stage].usage(key) for key in keys[stage]]
        costs = [usage.cost for usage in spent]
        # Not added up one by one: the sum must not depend on rounding.
        cost = None if None in costs else round(math.fsum(cost for cost in costs if cost is not None), 12)
        yield stage, sum(spent, Usage()).model_copy(update={"cost": cost})
