"""Preference pairs: those that the judge kept, or constructed from right candidates; split by question."""

from __future__ import annotations

import random
from typing import Any

from me2sdk.errors import ConfigurationError
from me2sdk.train import Preference, perturb_traces, read_preferences, split_by_question, write_preferences
from me2sdk.train.data import question_key
from recipes.reproduction.candidates import build_config, read_built
from recipes.reproduction.stages import Place

__all__ = ["make_pairs"]


def make_pairs(place: Place) -> dict[str, Any]:
    """Write ``pairs/train.jsonl``, ``validation.jsonl`` and ``test.jsonl``, no question in two of them."""
    settings = place.config.preferences
    pairs = _constructed(place) if place.config.pairs == "constructed" else _judged(place)
    train, others = split_by_question(pairs, settings.test + settings.validation)
    # The same hash decides again, so these are some of the others, whatever the shares.
    validation, test = split_by_question(others, settings.test)
    random.Random(place.config.seed).shuffle(test)  # so that the first ones are of many questions
    splits = {"train": train, "validation": validation, "test": test[: settings.measured]}
    if empty := [split for split, some in splits.items() if not some]:
        raise ConfigurationError(
            f"There are no pairs for {' and '.join(empty)}: {len(pairs)} pairs in all. Sample more questions, or "
            "construct pairs, in another --output."
        )
    place.pairs("train").parent.mkdir(parents=True, exist_ok=True)
    for split, some in splits.items():
        write_preferences(place.pairs(split), some)
    return {split: _counts(some) for split, some in splits.items()}


def _judged(place: Place) -> list[Preference]:
    return list(read_preferences(place.output / "preferences" / "train.jsonl"))


def _constructed(place: Place) -> list[Preference]:
    """A fault in each of some right candidates of each question, at most so many, different ones first."""
    rng = random.Random(place.config.seed)
    traces = []
    for question in read_built(build_config(place, "preferences")):
        right = {
            trace.reasoning: trace
            for trace, correct in zip(question.candidates, question.correct or (), strict=True)
            if correct
        }
        different = list(right.values())
        rng.shuffle(different)
        chosen = different[: place.config.preferences.max_pairs]
        traces += [trace.model_copy(update={"question": question.question}) for trace in chosen]
    return perturb_traces(traces, per_trace=1, seed=place.config.seed)


def _counts(pairs: list[Preference]) -> dict[str, int]:
    return {"pairs": len(pairs), "questions": len({question_key(pair.question) for pair in pairs})}
