"""GRPO with gated rewards against the verifier alone, from one start, on the same questions (the paper's Table 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from me2sdk.train import GRPOConfig, GRPOReport, train_grpo
from me2sdk.train.evaluate.estimates import Estimate, estimate
from me2sdk.train.grpo.config import HeldOut
from recipes.reproduction.config import GSM8K, WORD_PROBLEMS
from recipes.reproduction.stages import Place
from recipes.reproduction.warm_up import start_of

__all__ = ["ARMS", "grpo_config", "policy_rows", "train_policies"]

ARMS = ("verifier only", "gated")


def grpo_config(place: Place, arm: str, seed: int) -> GRPOConfig:
    """The settings of one run. Rewards are of the first reward model, so that they compare across runs."""
    policy, own = place.config.policy, dict(place.config.grpo)
    held_out = {"dataset": WORD_PROBLEMS, "count": policy.held_out, "every": policy.every}
    if policy.dataset == GSM8K:
        held_out["dataset"] = str(place.questions("held_out"))
        own |= {
            "dataset": str(place.questions("grpo")),
            "reference_column": "answer",
            "prompt_column": "question",
        }
    else:
        own |= {"dataset": WORD_PROBLEMS, "problems": {**own.get("problems", {}), "count": policy.train}}
    return GRPOConfig.model_validate(
        {
            **own,
            "model": start_of(place),
            "output": str(place.output / "grpo" / f"{arm.replace(' ', '_')}-seed{seed}"),
            "seed": seed,
            "reward": {"alpha": policy.alpha if arm == "gated" else 0.0, "scorer": place.scorer(0)},
            "held_out": held_out,
        }
    )


def train_policies(place: Place) -> dict[str, Any]:
    """Train both arms with one seed after another; a run that was stopped goes on from its checkpoint."""
    for seed in range(place.config.seeds):
        for arm in ARMS:
            train_grpo(grpo_config(place, arm, seed), on_progress=place.on_progress)
    return {"steps": grpo_config(place, ARMS[0], 0).steps}


def _finished(place: Place) -> list[dict[str, GRPOReport]]:
    """The reports of the seeds of which both arms came to their end."""
    seeds = []
    for seed in range(place.config.seeds):
        reports = {}
        for arm in ARMS:
            config = grpo_config(place, arm, seed)
            path = Path(config.output) / "report.json"
            report = GRPOReport.model_validate_json(path.read_text("utf-8")) if path.is_file() else None
            if report is not None and report.steps >= config.steps:
                reports[arm] = report
        if len(reports) == len(ARMS):
            seeds.append(reports)
    return seeds


def policy_rows(place: Place) -> list[dict[str, Any]]:
    """A row for the start, for each arm, and for the difference of both; none before a seed is finished."""
    seeds = _finished(place)
    if not seeds:
        return []
    last = {arm: [reports[arm].held_out[-1] for reports in seeds] for arm in ARMS}
    start = seeds[0][ARMS[0]].held_out[0]
    rows = [_row("the start", [start]), *(_row(arm, last[arm]) for arm in ARMS)]
    for row, arm in zip(rows[1:], ARMS, strict=True):
        row["minutes"] = round(sum(reports[arm].seconds for reports in seeds) / 60, 1)
    pairs = list(zip(*(last[arm] for arm in ARMS), strict=True))
    ahead = [_differences(plain, gated, "right") for plain, gated in pairs]
    rows.append(
        {
            "way": "gated less verifier only",
            "accuracy": _over_questions(ahead),
            "r_t": None,
            "tokens": _over_questions([_differences(plain, gated, "length") for plain, gated in pairs]),
            "seeds": [sum(one) / len(one) for one in ahead],
        }
    )
    return rows


def _differences(before: HeldOut, after: HeldOut, name: str) -> list[float]:
    """How much more there is of one run than of another, question by question."""
    return [
        float(getattr(b, name)) - float(getattr(a, name))
        for a, b in zip(before.answers, after.answers, strict=True)
    ]


def _row(way: str, runs: list[HeldOut]) -> dict[str, Any]:
    keyed = [(str(place), one) for run in runs for place, one in enumerate(run.answers)]
    scored = [(key, one.r_t) for key, one in keyed if one.r_t is not None]
    return {
        "way": way,
        "accuracy": _over_questions([[float(one.right) for one in run.answers] for run in runs]),
        "r_t": _estimated([value for _, value in scored], [key for key, _ in scored]),
        "tokens": _over_questions([[float(one.length) for one in run.answers] for run in runs]),
        "seeds": [run.accuracy for run in runs],
    }


def _over_questions(runs: list[list[float]]) -> dict[str, float] | None:
    """The mean over runs and questions, its interval from resampling questions with the outcomes of all runs."""
    values = [value for run in runs for value in run]
    return _estimated(values, [str(place) for run in runs for place in range(len(run))])


def _estimated(values: list[float], keys: list[str]) -> dict[str, float] | None:
    found: Estimate | None = estimate(values, keys) if values else None
    return found and found.model_dump()
