"""What real models make of the SDK's prompts: how often they can be read, what they cost, and what they are worth.

    python benchmarks/real_models.py openai/local --api-base http://127.0.0.1:8080/v1 --data DIR --answers FILE
    python benchmarks/real_models.py --answers FILE

MODEL is any name that LiteLLM knows. Traces are those of current models in ``DIR/modern``; the pairs to judge are right
solutions of GSM8K questions beside the same ones with one fault put in, so that the better side is known. Every task is
in FILE, with all that was said, before the next one starts: a second run goes on where the first stopped, and without a
model the report is made anew. Writes real_models.json beside itself.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from real_report import agreement_rows, judging_rows, misreadings, reading_rows
from real_tasks import Task, read_pairs, read_traces, run, tasks_of
from report import save, table

from me2sdk import LLM, prompts
from me2sdk._jsonl import JsonlStore
from me2sdk.judge import prompt_versions


class Answers(JsonlStore):
    """Finished tasks, a line each."""

    def __init__(self, path: Path) -> None:
        self.records: list[dict[str, Any]] = []
        super().__init__(path)

    def take(self, record: dict[str, Any], place: int, length: int) -> None:
        """Take up a task that is finished."""
        Task(**record["task"])
        self.records.append(record)

    def done(self, model: str) -> set[Task]:
        """The tasks that a model has done with the prompts of today."""
        return {
            Task(**one["task"])
            for one in self.records
            if one["model"] == model and one["prompts"] == _prompts()
        }


def _prompts() -> dict[str, Any]:
    names = ("annotate", "annotate_window", "score_list", "score_points", "verify")
    return {**prompt_versions(structure=True), **{name: prompts.load(name).version for name in names}}


async def ask(options: argparse.Namespace, model: str, answers: Answers) -> None:
    """Do the tasks of one model that are not done yet."""
    name = options.name or model
    traces = read_traces(options.data, options.traces, options.max_steps)
    pairs = read_pairs(options.data, options.pairs)
    where = {"api_base": options.api_base, "api_key": "none"} if options.api_base else {}
    llm = LLM(model, timeout=1800.0, total_timeout=3600.0, max_concurrency=options.at_once, **where)
    done = answers.done(name)
    waiting = [
        task for task in tasks_of(len(traces), len(pairs), options.forms.split(",")) if task not in done
    ]
    slots = asyncio.Semaphore(options.at_once)

    async def one(task: Task) -> None:
        async with slots:
            record = {"model": name, "prompts": _prompts(), **await run(task, llm, traces, pairs)}
            answers.append(record)
            answers.records.append(record)
            print(f"{name}: {task} in {record['seconds']} s, {len(record['calls'])} calls", flush=True)

    await asyncio.gather(*map(one, waiting))


def report(records: list[dict[str, Any]]) -> None:
    """Print and write what came of the prompts of today."""
    records = [one for one in records if one["prompts"] == _prompts()]
    if not records:
        raise SystemExit("There is no answer to the prompts of today yet. Name a model to ask.")
    reading, judging, agreement = reading_rows(records), judging_rows(records), agreement_rows(records)
    counts = Counter((one["model"], one["task"]["kind"], one["task"]["item"]) for one in records)
    models = sorted({model for model, _, _ in counts})
    items = {
        f"{model}: {what}": len({item for name, kind, item in counts if (name, kind) == (model, of)})
        for model in models
        for what, of in (("traces", "annotate"), ("pairs", "judge"))
    }
    for rows in (judging, agreement):
        print(table(rows) if rows else "nothing yet", end="\n\n")
    save(
        "real_models",
        reading,
        "share of answers that are readable and usable at once, after asking again, and never, by prompt and form; "
        "intervals are Wilson's, 95%, and take prompts of one item for independent",
        items=items,
        judging=judging,
        agreement=agreement,
        misreadings=misreadings(records),
        prompts=_prompts(),
    )


def main() -> None:
    """Ask, and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--api-base", help="address of a server that speaks OpenAI's protocol")
    parser.add_argument("--name", help="what to call the model in the report")
    parser.add_argument("--data", type=Path, help="folder that holds modern/")
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--traces", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--max-steps", type=int, default=40)
    parser.add_argument("--forms", default="markers,json")
    parser.add_argument("--at-once", type=int, default=1)
    options = parser.parse_args()
    if options.models and options.data is None:
        parser.error("a model needs --data")
    with Answers(options.answers) as answers:
        for model in options.models:
            asyncio.run(ask(options, model, answers))
        report(answers.records)


if __name__ == "__main__":
    main()
