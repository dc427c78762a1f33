"""A small data folder of the layout that the training commands read."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

from me2sdk.train.perturb import strip_marks
from recipes.modern import FREE_TEXT, SETS
from recipes.sources import BIGBENCH_TASKS, CHAMP_FILE, PRMBENCH_KINDS, Solution

NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Ida", "Jon")
THINGS = ("apples", "pens", "cards", "eggs")


def solutions(count: int = 40) -> list[Solution]:
    draw = random.Random(5)
    made = []
    for index in range(count):
        name, thing = NAMES[index % len(NAMES)], THINGS[index % len(THINGS)]
        a, b, c = draw.randint(11, 40), draw.randint(41, 90), draw.randint(3, 9)
        made.append(
            Solution(
                question=f"{name} has {a} {thing} and buys {b} more. Then {name} shares them with {c} friends who each "
                f"bring {c + 1} {thing}. How many {thing} do they have in total?",
                steps=(
                    f"{name} has {a} + {b} = <<{a}+{b}={a + b}>>{a + b} {thing}.",
                    f"The friends bring {c} * {c + 1} = <<{c}*{c + 1}={c * (c + 1)}>>{c * (c + 1)} {thing}.",
                    f"In total they have {a + b} + {c * (c + 1)} = "
                    f"<<{a + b}+{c * (c + 1)}={a + b + c * (c + 1)}>>{a + b + c * (c + 1)} {thing}.",
                ),
                answer=str(a + b + c * (c + 1)),
            )
        )
    return made


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_modern(folder: Path) -> Path:
    """Write the sets of answers of current models: five answers a question, of which three are right and agree."""
    (folder / "modern").mkdir(parents=True, exist_ok=True)
    for name in {**SETS, **FREE_TEXT}.values():
        with gzip.open(folder / "modern" / f"{name}.jsonl.gz", "wt", encoding="utf-8") as lines:
            for solution in solutions(12):
                right = strip_marks("\n".join(solution.steps))
                texts = [f"{right}\nThe answer is {solution.answer}.", right, f"Let us see. {right}"]
                texts += [f"They have {draw} {THINGS[0]}, and 7 * {draw} = {7 * draw}" for draw in (17, 23)]
                said = [
                    {"text": text, "correct": place < 3, "model": f"m{place % 2}"}
                    for place, text in enumerate(texts)
                ]
                row = {"question": f"{name}: {solution.question}", "candidates": said, "source": "made up"}
                lines.write(json.dumps(row) + "\n")
    return folder


def write_data(folder: Path) -> Path:
    """Write the folder, with the unpacked CHAMP in a folder of its own inside."""
    solved = solutions()
    rows: list[dict[str, object]] = [
        {"question": s.question, "answer": "\n".join(s.steps) + f"\n#### {s.answer}"} for s in solved
    ]
    write(folder / "gsm8k/train.jsonl", rows)
    candidates: list[dict[str, object]] = []
    for solution in solutions(52)[40:]:
        right = "\n".join(solution.steps) + f"\nA: {solution.answer}"
        cut = "\n".join(solution.steps[:1]) + "\nA: 5"
        candidates.append(
            {
                "question": solution.question,
                "ground_truth": solution.answer,
                "one": {"is_correct": False, "solution": cut},
                "two": {"is_correct": True, "solution": right},
            }
        )
    write(folder / "gsm8k/candidates_dev.jsonl", candidates)
    for task in BIGBENCH_TASKS:
        steps = [f"{task} begins with {n}." for n in range(4)]
        write(
            folder / f"bigbench_mistake/{task}.jsonl",
            [
                {"input": f"{task} {n}", "target": "x", "answer": "x", "steps": steps, "mistake_index": mark}
                for n, mark in enumerate([None, 2, None, 3, None])
            ],
        )
    for split in ("train", "dev"):
        for kind in PRMBENCH_KINDS:
            write(
                folder / f"prmbench/{split}/{kind}.jsonl",
                [
                    {
                        "original_question": f"{split} {kind} {n}: solve x + 3 = {n + 10}.",
                        "original_process": [
                            "Take 3 from both sides.",
                            f"{n + 10} - 3 = {n + 7}, so x is {n + 7}.",
                        ],
                        "modified_process": [
                            "Take 3 from both sides.",
                            f"{n + 10} - 3 = {n + 9}, so x is {n + 9}.",
                        ],
                    }
                    for n in range(6)
                ],
            )
    write(
        folder / "simplerl/math_cot_100.jsonl",
        [
            {
                "question": "Find 3 * 4 + 5.",
                "code": ["3 * 4 = 12, so 12 + 5 = 17.", "3 * 4 = 13, so 13 + 5 = 18."],
                "pred": ["17", "18"],
                "score": [True, False],
            }
        ],
    )
    said = [
        {"role": "Model.X", "text": "3 * 4 = 12 and 12 + 5 = 17."},
        {"role": "Model.X", "text": "It is 17."},
    ]
    champ = {"problems": {"a": {"_text": "Find 3 * 4 + 5.", "_answer": "17", "conversations": {}}}}
    champ["problems"]["a"]["conversations"] = {"X|0-Shot": {"messages": said}}  # type: ignore[index]
    (folder / "champ" / CHAMP_FILE).parent.mkdir(parents=True)
    (folder / "champ" / CHAMP_FILE).write_text(json.dumps(champ), encoding="utf-8")
    return folder
