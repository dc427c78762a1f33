"""A language model tuned to tell right from wrong traces, judged within one model on sets that it did not see.

    python benchmarks/tuned.py --data DIR --base FOLDER_OR_HUB_ID --output FOLDER

Adapters and a score head are trained on right against wrong traces of sets of several models, and on solutions beside
damaged ones. What is judged: pairs within one model (MATH-500 and GSM8K x32), of which nothing was trained on, and
held-out pairs of right solutions with a fault. A run that was stopped goes on from its last checkpoint. Writes
tuned.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from probe_pairs import COUNTS, ONE_MODEL, QUALITY, ProbePair, read_candidates, read_pairs
from probes import ANSWERS, REASONING, margins_of, percent
from report import save

from me2sdk import Trace, TRMScorer
from me2sdk.scorers import open_scorer
from me2sdk.scorers.mini.scorer import bundled_weights
from me2sdk.train import LoraConfig, RewardModelConfig, train_reward_model
from me2sdk.train.data import Preference, question_key, write_preferences
from recipes.mini_among import without_each

MOST = 80  # questions of a set that is trained on; of damaged solutions as many again are held out
BLOCKS, LOWEST = 16, 6  # of the base; adapters from this one on


def split(data: Path) -> tuple[list[ProbePair], list[ProbePair]]:
    """Pairs to train on, one a question, and pairs to judge by; the two share no question."""
    judged = [
        pair
        for source, questions in read_pairs(data).items()
        for pairs in questions
        for pair in pairs
        if source in ONE_MODEL or (source in QUALITY and pair.unseen)
    ]
    keys = {question_key(pair.question) for pair in judged}
    counts = {source: 0 if source in ONE_MODEL else MOST * (1 + (source in QUALITY)) for source in COUNTS}
    trained = [
        pairs[0]
        for questions in read_pairs(data, counts).values()
        for pairs in questions
        if not pairs[0].unseen and question_key(pairs[0].question) not in keys
    ]
    return trained, judged


def train(pairs: Sequence[ProbePair], base: str, folder: Path, threads: int) -> Path:
    """Train, or go on; return the folder of the adapters."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pairs.jsonl"
    write_preferences(
        file,
        [
            Preference(
                question=pair.question,
                chosen=Trace.from_text(pair.better),
                rejected=Trace.from_text(pair.worse),
                provenance={"source": pair.source},
            )
            for pair in pairs
        ],
    )
    report = train_reward_model(
        RewardModelConfig(
            base=base,
            blocks=BLOCKS,
            output=str(folder / "run"),
            train=[str(file)],
            validation=0.05,
            learning_rate=3e-4,
            warmup=0.1,
            batch_size=4,
            gradient_accumulation=4,
            max_length=768,
            max_left_out=0.2,
            lora=LoraConfig(layers=list(range(LOWEST, BLOCKS))),
            eval_steps=20,
            save_steps=5,
            log_steps=1,
            threads=threads,
        ),
        on_progress=lambda record: print(record, flush=True),
    )
    print(report.model_dump_json(indent=1))
    return folder / "run"


def main() -> None:
    """Train, judge, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", required=True, help="folder or hub id of a language model")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    trained, judged = split(options.data)
    print(f"{len(trained)} pairs to train on, {len(judged)} to judge by", flush=True)
    folder = train(trained, options.base, options.output, options.threads)
    tuned = TRMScorer(str(folder), dtype="bfloat16")
    minis = without_each(options.data, bundled_weights(), options.output)
    candidates = read_candidates(options.data)
    rows = []
    for source in (*ONE_MODEL, *QUALITY):
        for kind, answers in ((ANSWERS, True), (REASONING, False)):
            pairs = [pair for pair in judged if pair.source == source and pair.answers is answers]
            if not pairs:
                continue
            mini = minis.get(source) or open_scorer("mini")
            ways = {
                "shorter": [len(pair.worse) - len(pair.better) for pair in pairs],
                "mini": margins_of(mini, pairs, candidates),
                "mini, a trace alone": margins_of(mini, pairs),
                "tuned": margins_of(tuned, pairs),
            }
            names = [pair.question for pair in pairs]
            hits = {
                way: [0.5 + 0.5 * ((margin > 0) - (margin < 0)) for margin in margins]
                for way, margins in ways.items()
            }
            less = [a - b for a, b in zip(hits["tuned"], hits["mini"], strict=True)]
            rows.append(
                {"set": source, "pairs of": kind, "questions": len(set(names)), "pairs": len(pairs)}
                | {way: percent(values, names) for way, values in hits.items()}
                | {"tuned - mini": percent(less, names)}
            )
    save(
        "tuned",
        rows,
        f"{Path(options.base).name}, its first {BLOCKS} blocks with adapters from block {LOWEST} on, trained on "
        f"{len(trained)} pairs of other sets; share of pairs in the right order, 95% intervals over questions; mini "
        "looks at all candidates of a question, with weights that were fitted without the set",
    )


if __name__ == "__main__":
    main()
