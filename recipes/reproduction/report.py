"""The tables of a run, of what is finished of it: for a page, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from me2sdk._paths import atomic_write
from me2sdk.train._runs import model_name
from recipes.reproduction.config import WORD_PROBLEMS
from recipes.reproduction.pair_table import OURS
from recipes.reproduction.picture import draw_curves
from recipes.reproduction.policy import policy_rows
from recipes.reproduction.stages import Place

__all__ = ["LIMITS", "markdown", "write_report"]

LIMITS = (
    "Very small models on one kind of question. Nothing here says what the method does for models of 8B parameters "
    "and on long traces, which the paper's figures are about.",
    "GSM8K's training questions are public, and the samplers may have been trained on them; their accuracy is no "
    "measure of them, and only the ways of one table compare.",
    "Traces are short solutions of a few steps, so structure, which the method is about, hardly varies.",
    "Intervals are over questions. They do not hold the choice of the settings, of which one was tried; the spread of "
    "the seeds is of so few that it only shows its order.",
    "GRPO ran for a small part of the paper's steps and completions. That the arms do not differ here would not show "
    "that they never do, nor the reverse.",
)
_CONSTRUCTED = (
    "Constructed pairs hold a known fault that a rule put into a right answer. They show whether a reward model learns "
    "such faults, and not whether it agrees with a judge or with people, which is what the paper's table measures."
)
_JUDGED = (
    "Labels are the structured judge's own, so its row says how often it repeats itself and is no accuracy of it; the "
    "reward models learn this judge, whatever it is worth."
)


def write_report(place: Place) -> dict[str, Any]:
    """Write ``report.json``, ``report.md`` and ``curves.png`` of what is finished.

    Returns:
        What ``report.json`` holds.
    """
    config = place.config
    policies = policy_rows(place) if place.result("reward_models") else []
    made = [_data_table(place), _pair_table(place), *_curve_tables(place), _policy_table(place, policies)]
    settings = config.identity()
    settings["grpo"]["model"] = model_name(settings["grpo"]["model"])
    settings["reward_model"]["base"] = config.reward_model.get("base_name") or model_name(
        config.reward_model["base"]
    )
    report = {
        "note": f"Pairs are {config.pairs}. {_names(place)}. Each figure has its 95% interval over questions",
        "limits": [*LIMITS, _CONSTRUCTED if config.pairs == "constructed" else _JUDGED],
        "tables": [table for table in made if table],
        "stages": {path.stem: json.loads(path.read_text("utf-8")).get("result") for path in _records(place)},
        "policies": policies,
        "config": settings,
    }
    for name, text in (
        ("report.json", json.dumps(report, indent=1, ensure_ascii=False)),
        ("report.md", markdown(report)),
    ):
        with atomic_write(place.output / name) as draft:
            draft.write_text(text + "\n", "utf-8")
    if curves := place.result("best_of_n"):
        draw_curves(curves["models"], place.output / "curves.png")
    return report


def markdown(report: dict[str, Any]) -> str:
    """The tables as Markdown, and what they cannot show."""
    parts = [report["note"] + "."]
    for table in report["tables"]:
        parts += [f"**{table['title']}.** {table['note']}", _lines(table["rows"])]
    limits = "\n".join(f"- {limit}" for limit in report["limits"])
    return "\n\n".join([*parts, f"What so small a run cannot show:\n\n{limits}"])


def _lines(rows: list[dict[str, Any]]) -> str:
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([str(row[head]) for head in heads] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _records(place: Place) -> list[Path]:
    return sorted((place.output / "stages").glob("*.json"))


def _names(place: Place) -> str:
    config = place.config
    samplers = " and ".join(sampler.name for sampler in config.samplers)
    return (
        f"Samplers {samplers}; judge {config.judge.model}; reward models on {_base(place)}; policy {_policy(place)}; "
        f"{config.seeds} seeds"
    )


def _base(place: Place) -> str:
    settings = place.config.reward_model
    return _public(settings.get("base_name") or settings["base"])


def _policy(place: Place) -> str:
    return _public(place.config.grpo["model"])


def _public(model: str) -> str:
    """A model's name; of a folder its last part, since where it lies is nobody's business."""
    return Path(model).name if Path(model).is_dir() else model_name(model)


def _text(estimate: dict[str, float] | None, digits: int = 3) -> str:
    if estimate is None:
        return "–"
    return f"{estimate['mean']:.{digits}f} [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"


def _spread(values: list[float]) -> str:
    return f"{max(values) - min(values):.3f}" if len(values) > 1 else "–"


def _data_table(place: Place) -> dict[str, Any] | None:
    """What was sampled for the pairs, and which pairs came of it."""
    built, pairs = place.result("preferences"), place.result("pairs")
    if built is None or pairs is None:
        return None
    rows = [
        {"sampler": name, "candidates": one["candidates"], "right": one["right"]}
        for name, one in built["models"].items()
    ]
    splits = ", ".join(f"{one['pairs']} for {split}" for split, one in pairs.items())
    judged = built["pairs"]
    kept = f" Of {judged['chosen']} pairs the judge kept {judged['kept']}." if judged else ""
    note = (
        f"{built['questions']} GSM8K training questions; {built['dags']} traces became graphs.{kept} "
        f"Pairs: {splits}."
    )
    return {"title": f"Preference data, {place.config.pairs} pairs", "note": note, "rows": rows}


def _pair_table(place: Place) -> dict[str, Any] | None:
    found = place.result("pair_table")
    if found is None:
        return None
    rows = []
    for row in found["rows"]:
        of_seeds = row.get("seeds", [])
        rows.append(
            {
                "way": row["way"],
                "right/tie/wrong/failed": "/".join(str(row[name]) for name in _COUNTS),
                "accuracy": _text(row["accuracy"]),
                **{
                    f"seed {seed}": _text(of_seeds[seed]["accuracy"]) if of_seeds else ""
                    for seed in range(place.config.seeds)
                },
                "spread": _spread([one["accuracy"]["mean"] for one in of_seeds]) if of_seeds else "",
                f"{OURS} ahead by": _text(found["ahead"].get(row["way"])) if not of_seeds else "",
                "shown first": "" if row.get("first") is None else f"{row['first']:.2f}",
            }
        )
    note = (
        f"The same {found['pairs']} test pairs of {found['questions']} questions for all ways, of which judges were "
        f"shown the first {found['judged']}; ties and what could not be judged count as wrong. Judges vote "
        f"{place.config.judge.repeats} times in each order; `shown first`: share of their votes for the trace that "
        f"stood first, .5 is no bias. `{OURS}`: all seeds together, `spread` between the best and the worst; `ahead "
        "by` is paired, on the pairs that both were shown."
    )
    return {
        "title": f"Which trace of a pair is better (Table 1), {place.config.pairs} pairs",
        "note": note,
        "rows": rows,
    }


_COUNTS = ("right", "tie", "wrong", "failed")


def _curve_tables(place: Place) -> list[dict[str, Any]]:
    found = place.result("best_of_n")
    tables = []
    for model, rows in (found or {"models": {}})["models"].items():
        shown = [
            {
                "chosen by": row["method"],
                **{f"N={k}": _text(one) for k, one in row["accuracy"].items()},
                "gain over random": _text(row["gain"]),
            }
            for row in rows
        ]
        note = (
            f"{found['questions']} GSM8K training questions; each N is the mean over all subsets of a question's "
            "candidates, gains are paired and at the last N. `auto` is what `rerank` takes by default: most votes, "
            f"ties by reward. Reward models are trained on {place.config.pairs} pairs."
        )
        tables.append({"title": f"Best of N of {model} (Figure 4)", "note": note, "rows": shown})
    return tables


def _policy_table(place: Place, found: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not found:
        return None
    count = max(len(row["seeds"]) for row in found)
    rows = [
        {
            "way": row["way"],
            "accuracy": _text(row["accuracy"]),
            **{
                f"seed {seed}": f"{row['seeds'][seed]:.3f}" if len(row["seeds"]) > 1 else ""
                for seed in range(count)
            },
            "spread": _spread(row["seeds"]),
            "r_t of right answers": _text(row["r_t"], 2),
            "tokens": _text(row["tokens"], 1),
            "minutes": row.get("minutes", ""),
        }
        for row in found
    ]
    config = place.config
    problems = (
        "word problems made by rule" if config.policy.dataset == WORD_PROBLEMS else "GSM8K training questions"
    )
    note = (
        f"{config.grpo.get('steps', 300)} steps on {problems}; greedy answers to the same {config.policy.held_out} "
        f"held-out ones after the last step, {count} finished seeds; alpha {config.policy.alpha}; both arms start from "
        f"the policy after {config.policy.warm_up.examples} worked solutions. r_t is of the reward model that the "
        f"gated arm optimises (seed 0, {config.pairs} pairs), so a rise of it is no independent evidence."
    )
    return {"title": "GRPO with gated rewards (Table 2)", "note": note, "rows": rows}
