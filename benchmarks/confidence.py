"""What a model's confidence in its own answers is worth: every measure of `ConfidenceScorer` beside the vote.

    python benchmarks/confidence.py
    python benchmarks/confidence.py --url http://127.0.0.1:8080/v1 --data DIR --samples FILE.jsonl

The first form makes the table from confidence_samples.jsonl.gz and needs no model. The second form samples anew, of any
server that speaks OpenAI's protocol with log-probabilities: questions of GSM8K's training half (``DIR/gsm8k``), drawn
with a fixed seed. Each question is on disk before the next one, so that a second run goes on where the first stopped.
Writes confidence.json beside itself.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from report import save

from me2sdk import LLM, Candidate, Trace, abest_of_n, verify_answer
from me2sdk._jsonl import JsonlStore, refuse_changes
from me2sdk.sampling import decide
from me2sdk.schema import Certainty
from me2sdk.scorers import ConfidenceScorer, Scorer, open_scorer
from me2sdk.scorers.confidence import ConfidenceMeasure
from me2sdk.stats import rank_correlation
from me2sdk.train.evaluate.estimates import estimate
from me2sdk.verify import group_answers
from recipes.modern import SampledQuestion
from recipes.sources import read_gsm8k

KEPT = Path(__file__).with_name("confidence_samples.jsonl.gz")
SETTINGS: dict[str, Any] = {
    "model": "Qwen2.5-Coder-0.5B-Instruct (q4_k_m in bfloat16)",
    "temperature": 0.8,
    "max_tokens": 320,
    "n": 8,
    "system": "Solve the problem in a few short lines, and put the final answer within \\boxed{}.",
    "example": [
        "A shop sells pens at $3 each. Ann buys 4 pens and pays with a $20 note. How much change does she get?",
        "The pens cost 4 * 3 = 12 dollars.\nShe gets 20 - 12 = 8 dollars back.\nThe answer is \\boxed{8}.",
    ],
    "seed": 15,
}
SERVER = (
    "llama.cpp for 71 of the questions and cpu_server.py for the others, both with top_k 40, top_p 0.95 and min_p "
    "0.05; log-probabilities are those before sampling"
)
MEASURES: tuple[ConfidenceMeasure, ...] = get_args(ConfidenceMeasure)


class Samples(JsonlStore):
    """Sampled questions on disk, a line each."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        super().__init__(path)

    def take(self, record: dict[str, Any], place: int, length: int) -> None:
        """Take up a question."""
        refuse_changes(f"{self.path} was sampled", record["settings"], SETTINGS, self.other)
        self.rows[record["question"]] = record

    def add(self, record: dict[str, Any]) -> None:
        """Keep a question."""
        self.append(record)
        self.rows[record["question"]] = record


async def sample(urls: Sequence[str], data: Path, file: Path, questions: int, at_once: int) -> None:
    """Ask servers of the same model, in turn, until there are so many questions."""
    solutions = random.Random(SETTINGS["seed"]).sample(read_gsm8k(data), questions)
    limits: dict[str, Any] = {"max_concurrency": at_once, "timeout": 1800.0, "total_timeout": 3600.0}
    free: asyncio.Queue[LLM] = asyncio.Queue()
    for url in list(urls) * max(1, at_once // SETTINGS["n"]):  # a place for each question in flight
        free.put_nowait(LLM("openai/local", api_base=url, api_key="none", **limits))
    with Samples(file) as samples:

        async def one(number: int, question: str, gold: str) -> None:
            llm = await free.get()
            try:
                found = await abest_of_n(
                    _messages(question),
                    model=llm,
                    n=SETTINGS["n"],
                    scorer="confidence:self_certainty",  # which asks for log-probabilities with alternatives
                    select="best",
                    temperature=SETTINGS["temperature"],
                    max_tokens=SETTINGS["max_tokens"],
                    seed=1000 * number,
                )
            finally:
                free.put_nowait(llm)
            lines = sorted(found.candidates, key=lambda candidate: candidate.index)
            samples.add(
                {
                    "question": question,
                    "gold": gold,
                    "samples": [_record(line, gold) for line in lines],
                    "settings": SETTINGS,
                }
            )
            print(f"{len(samples.rows)} of {questions}, {found.seconds:.0f} s", flush=True)

        await asyncio.gather(
            *(
                one(number, item.question, item.answer)
                for number, item in enumerate(solutions)
                if item.question not in samples.rows
            )
        )


def _messages(question: str) -> list[dict[str, Any]]:
    """The question after a worked example, which keeps the model's answers short."""
    asked, answered = SETTINGS["example"]
    return [
        {"role": "system", "content": SETTINGS["system"]},
        {"role": "user", "content": asked},
        {"role": "assistant", "content": answered},
        {"role": "user", "content": question},
    ]


def _record(candidate: Candidate, gold: str) -> dict[str, Any]:
    certainty = candidate.trace.certainty
    if certainty is None:
        raise SystemExit("The server sends no log-probabilities.")
    measured = {
        name: float(f"{value:.6g}") for name, value in certainty.model_dump().items() if value is not None
    }
    return {
        "text": candidate.response,
        "cut": candidate.trace.truncated,
        "correct": bool(verify_answer(candidate.trace, gold)),
        "certainty": {**measured, "tokens": certainty.tokens},
    }


def pack(file: Path) -> None:
    """Keep the samples where the first form finds them, the same bytes for the same samples."""
    with Samples(file) as samples:
        rows = [samples.rows[question] for question in sorted(samples.rows)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    KEPT.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def read(file: Path) -> list[SampledQuestion]:
    """The kept samples as questions with candidates."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [_question(json.loads(line)) for line in lines]


def _question(row: dict[str, Any]) -> SampledQuestion:
    candidates = []
    for index, one in enumerate(row["samples"]):
        trace = Trace.from_text(one["text"], row["question"])
        trace = trace.model_copy(update={"certainty": Certainty(**one["certainty"]), "truncated": one["cut"]})
        candidates.append(Candidate(index=index, trace=trace, answer=trace.answer))
    return SampledQuestion(
        question=row["question"],
        candidates=tuple(candidates),
        groups=tuple(group_answers([one.answer for one in candidates])),
        correct=tuple(float(one["correct"]) for one in row["samples"]),
        models=(str(row["settings"]["model"]),) * len(candidates),
        source="GSM8K, training half",
    )


Rewards = list[list[float]]  # of each question's candidates


def rewards_of(scorer: Scorer, questions: Sequence[SampledQuestion]) -> Rewards:
    return [scorer.score(one.question, [c.trace for c in one.candidates]) for one in questions]


def picked(question: SampledQuestion, rewards: Sequence[float | None], select: Any) -> float:
    """Whether the choice is right."""
    scored = [
        one.model_copy(update={"score": reward})
        for one, reward in zip(question.candidates, rewards, strict=True)
    ]
    return question.correct[decide(scored, question.groups, select=select).candidates[0].index]


def percent(values: Sequence[float], questions: Sequence[str]) -> str:
    found = estimate(values, questions)
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def pairs(questions: Sequence[SampledQuestion], rewards: Rewards) -> Iterator[tuple[str, float]]:
    """For each right and wrong sample of a question whether the right one has more; a tie is half."""
    for question, row in zip(questions, rewards, strict=True):
        right = [reward for reward, good in zip(row, question.correct, strict=True) if good]
        wrong = [reward for reward, good in zip(row, question.correct, strict=True) if not good]
        for more in right:
            for less in wrong:
                yield question.question, 0.5 + 0.5 * float(np.sign(more - less))


def lengthy(questions: Sequence[SampledQuestion], rewards: Rewards) -> float:
    """Rank correlation of reward and length within a question, mean over questions."""
    found = [
        rank_correlation(row, [len(one.trace.reasoning) for one in question.candidates])
        for question, row in zip(questions, rewards, strict=True)
    ]
    return statistics.fmean(one for one in found if one is not None)


def table(questions: Sequence[SampledQuestion]) -> list[dict[str, Any]]:
    """A row a scorer: what it picks alone, and what it adds to a vote."""
    names = [one.question for one in questions]
    chance = [statistics.fmean(one.correct) for one in questions]
    nothing: list[list[float | None]] = [[None] * len(one.candidates) for one in questions]
    vote = [picked(one, row, "vote") for one, row in zip(questions, nothing, strict=True)]
    auto = [picked(one, row, "auto") for one, row in zip(questions, nothing, strict=True)]
    possible = [max(one.correct) for one in questions]
    rows = [
        {
            "scorer": "none (a random pick)",
            "picks": percent(chance, names),
            "vote, ties by it": percent(vote, names),
        }
        | {"vote - random": percent(np.subtract(vote, chance).tolist(), names), "auto": percent(auto, names)}
    ]
    scorers: dict[str, Rewards] = {
        **{name: rewards_of(open_scorer(name), questions) for name in ("shortest", "longest", "mini")},
        **{f"confidence:{by}": rewards_of(ConfidenceScorer(by), questions) for by in MEASURES},
    }
    for name, rewards in scorers.items():

        def choose(select: str, rewards: Rewards = rewards) -> list[float]:
            return [picked(one, row, select) for one, row in zip(questions, rewards, strict=True)]

        alone, tied, weighed, chosen = map(choose, ("best", "vote", "weighted_vote", "auto"))
        owners, ordered = zip(*pairs(questions, rewards), strict=True)
        rows.append(
            {
                "scorer": name,
                "picks": percent(alone, names),
                "picks - random": percent(np.subtract(alone, chance).tolist(), names),
                "picks - vote": percent(np.subtract(alone, vote).tolist(), names),
                "pairs within a question": percent(ordered, owners),
                "with length": f"{lengthy(questions, rewards):+.2f}",
                "vote, ties by it": percent(tied, names),
                "tied vote - vote": percent(np.subtract(tied, vote).tolist(), names),
                "weighted vote": percent(weighed, names),
                "auto": percent(chosen, names),
                "auto - auto of none": percent(np.subtract(chosen, auto).tolist(), names),
            }
        )
    rows.append({"scorer": "best possible", "picks": percent(possible, names)})
    heads = list(dict.fromkeys(head for row in rows for head in row))
    return [{head: row.get(head, "–") for head in heads} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", action="append", help="a server to sample of; may be given more than once")
    parser.add_argument("--data", type=Path, help="folder that holds gsm8k/")
    parser.add_argument("--samples", type=Path, help="file that keeps what was sampled")
    parser.add_argument("--questions", type=int, default=160)
    parser.add_argument("--at-once", type=int, default=16, help="samples in flight on a server")
    options = parser.parse_args()
    if options.url:
        if options.data is None or options.samples is None:
            parser.error("--url needs --data and --samples")
        asyncio.run(sample(options.url, options.data, options.samples, options.questions, options.at_once))
    if options.samples:
        pack(options.samples)
    questions = read(KEPT)
    mixed = [one for one in questions if 0 < sum(one.correct) < len(one.correct)]
    save(
        "confidence",
        table(questions),
        f"{len(questions)} questions of GSM8K's training half, {SETTINGS['n']} samples each of {SETTINGS['model']}, "
        f"temperature {SETTINGS['temperature']}, at most {SETTINGS['max_tokens']} tokens; 95% intervals over "
        "questions, differences paired",
        mixed=table(mixed),
        samples={
            "server": SERVER,
            "settings": SETTINGS,
            "questions": len(questions),
            "mixed": len(mixed),
            "mean tokens": round(statistics.fmean(_tokens(questions)), 1),
            "cut off": sum(one.trace.truncated for question in questions for one in question.candidates),
            "without an answer": sum(group is None for question in questions for group in question.groups),
        },
    )


def _tokens(questions: Sequence[SampledQuestion]) -> Iterator[int]:
    for question in questions:
        for one in question.candidates:
            if one.trace.certainty is not None:
                yield one.trace.certainty.tokens


if __name__ == "__main__":
    main()
