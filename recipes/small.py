"""The pairs that the bundled reward model "small" is trained on.

``python -m recipes.small DATA pairs.jsonl``, then ``me2 train rm small``. The sources are those of `mini`, whose
pairs are damaged by rule or by hand, and solutions of GSM8K with one constructed fault each.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from me2sdk.schema import Trace
from me2sdk.train.data import Preference, question_key, write_preferences
from me2sdk.train.perturb import perturb_traces, strip_marks
from recipes.mini import training_pairs
from recipes.sources import Pair, held_out, read_gsm8k, read_gsm8k_candidates

__all__ = ["app", "small_pairs", "to_preference"]

COUNTS = {"gsm8k": 1100, "perturb": 1300, "bigbench_mistake": 450, "prmbench": 450}
"""Most pairs of each source."""
TILT = 2.5
"""How many times as many pairs of one category may have the better side shorter than longer, or the reverse."""
LONGEST = 1000
"""Characters of question and trace at most: training on a CPU pays for every token."""
SEED = 5


def to_preference(pair: Pair) -> Preference:
    """A pair of the data folders as a preference."""
    return Preference(
        question=pair.question,
        chosen=Trace.from_text(pair.better),
        rejected=Trace.from_text(pair.worse),
        category=pair.kind,
        provenance={"source": pair.source},
    )


def _perturbed(data: Path, rng: random.Random) -> list[Preference]:
    """Pairs of GSM8K solutions that end in various ways."""
    forms = ("\n#### {}", "\nA: {}", "\nThe answer is {}.")
    traces = [
        Trace.from_text(strip_marks("\n".join(s.steps)) + rng.choice(forms).format(s.answer), s.question)
        for s in read_gsm8k(data)
    ]
    made = perturb_traces(traces, per_trace=1, seed=SEED)
    return [pair.model_copy(update={"provenance": {**pair.provenance, "source": "perturb"}}) for pair in made]


def small_pairs(data: Path) -> list[Preference]:
    """Make the pairs.

    Args:
        data: the folder that holds the data.

    Returns:
        `COUNTS` pairs of each source, or as many as there are within `LONGEST`, in random order. None has a
        question that is held out or is in a set that is only measured on.
    """
    rng = random.Random(SEED)
    drawn = [to_preference(pair) for pair in training_pairs(data)]
    measured = {question_key(candidates.question) for candidates in read_gsm8k_candidates(data)}
    pairs = [
        pair
        for pair in [*drawn, *_perturbed(data, rng)]
        if _usable(pair) and question_key(pair.question) not in measured
    ]
    rng.shuffle(pairs)
    pairs = _level(pairs)
    taken: Counter[str] = Counter()
    chosen = []
    for pair in pairs:
        source = pair.provenance["source"]
        if taken[source] < COUNTS[source]:
            taken[source] += 1
            chosen.append(pair)
    return chosen


def _level(pairs: Sequence[Preference]) -> list[Preference]:
    """``pairs`` without those of each category whose length would give the better side away."""
    sides = [
        (p.provenance["source"], p.category, len(p.chosen.reasoning) > len(p.rejected.reasoning))
        for p in pairs
    ]
    counts = Counter(sides)
    seen: Counter[tuple[str, str, bool]] = Counter()
    kept = []
    for pair, side in zip(pairs, sides, strict=True):
        seen[side] += 1
        if seen[side] <= TILT * counts[side[0], side[1], not side[2]]:
            kept.append(pair)
    return kept


def _usable(pair: Preference) -> bool:
    longest = max(len(pair.chosen.reasoning), len(pair.rejected.reasoning))
    return len(str(pair.question)) + longest <= LONGEST and not held_out(str(pair.question))


def _counted(pairs: Sequence[Preference]) -> str:
    return ", ".join(
        f"{source} {count}"
        for source, count in sorted(Counter(p.provenance["source"] for p in pairs).items())
    )


app = typer.Typer(add_completion=False)


@app.command()
def main(
    data: Annotated[Path, typer.Argument(help="Folder that holds the data.", exists=True, file_okay=False)],
    output: Annotated[Path, typer.Argument(help="File to write: .jsonl or .parquet.")],
) -> None:
    """Write the pairs that the bundled reward model "small" is trained on."""
    pairs = small_pairs(data)
    write_preferences(output, pairs)
    typer.echo(f"{output}: {_counted(pairs)}")


if __name__ == "__main__":
    app()
