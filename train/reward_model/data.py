"""Preference pairs as token ids on disk, the same ids that `TRMScorer` feeds its model (paper App. G.1)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Value
from me2sdk.scorers import scoring_text, trace_text
from me2sdk.train.data import Preference, read_preferences, split_by_question
from me2sdk.train.reward_model.config import RewardModelConfig

__all__ = ["PairCounts", "TokenizedPairs", "tokenize_pairs"]

_AT_A_TIME = 512
_SCHEMA = pyarrow.schema(
    [
        ("chosen_ids", pyarrow.list_(pyarrow.int32())),
        ("rejected_ids", pyarrow.list_(pyarrow.int32())),
        ("length", pyarrow.int32()),
        ("category", pyarrow.string()),
    ]
)


class PairCounts(Value):
    """Some pairs, and in how many of them the chosen side has more tokens, or fewer."""

    pairs: int
    chosen_longer: int
    chosen_shorter: int


class TokenizedPairs(Value):
    """Pairs as token ids in two files.

    Attributes:
        train: Arrow file with ``chosen_ids``, ``rejected_ids``, ``length`` (of the longer side), ``category``.
        validation: the same for the validation pairs.
        counts: by split ("train", "validation"), then by source, then by category.
        left_out: how many pairs were left out, by reason.
        fingerprint: a hash of all ids, in order.
    """

    train: Path
    validation: Path
    counts: dict[str, dict[str, dict[str, PairCounts]]]
    left_out: dict[str, int]
    fingerprint: str

    def total(self, split: str) -> int:
        """How many pairs a split holds."""
        return sum(c.pairs for source in self.counts[split].values() for c in source.values())


def tokenize_pairs(config: RewardModelConfig, tokenizer: Any, folder: Path) -> TokenizedPairs:
    """Read the pairs that ``config`` names and write their token ids to ``folder``.

    The text of a side is `scoring_text`, plain and without an end-of-text token. A pair is left out where a
    side has no reasoning or more than ``max_length`` tokens, or where both sides read the same.

    Raises:
        ConfigurationError: more than ``max_left_out`` of the pairs were left out, or none is left.
        InvalidTraceError: a record is no preference pair.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {split: folder / f"{split}.arrow" for split in ("train", "validation")}
    tallies: dict[str, dict[str, dict[str, Counter[str]]]] = {split: {} for split in files}
    left_out: Counter[str] = Counter()
    digest = hashlib.sha256()
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(pyarrow.ipc.new_stream(str(path), _SCHEMA))
            for split, path in files.items()
        }
        for source, wanted in _sources(config):
            for batch in _batches(read_preferences(source, wanted)):
                for split, pairs in _split(config, batch, wanted).items():
                    rows = list(_rows(pairs, tokenizer, config.max_length, left_out))
                    for row in rows:
                        digest.update(f"{split} {row['chosen_ids']} {row['rejected_ids']}\n".encode())
                        _count(tallies[split].setdefault(source, {}), row)
                    writers[split].write_batch(pyarrow.RecordBatch.from_pylist(rows, schema=_SCHEMA))
    counts = {
        split: {
            source: {category: PairCounts(**tally) for category, tally in sorted(categories.items())}
            for source, categories in sources.items()
        }
        for split, sources in tallies.items()
    }
    data = TokenizedPairs(
        **files,
        counts=counts,
        left_out={reason: count for reason, count in sorted(left_out.items()) if count},
        fingerprint=digest.hexdigest()[:16],
    )
    _check(config, data)
    return data


def _sources(config: RewardModelConfig) -> Iterator[tuple[str, str]]:
    for source in config.train:
        yield source, "train"
    if isinstance(config.validation, list):
        for source in config.validation:
            yield source, "validation"


def _batches(pairs: Iterator[Preference]) -> Iterator[list[Preference]]:
    while batch := list(islice(pairs, _AT_A_TIME)):
        yield batch


def _split(config: RewardModelConfig, pairs: list[Preference], wanted: str) -> dict[str, list[Preference]]:
    if not isinstance(config.validation, float):
        return {wanted: pairs}
    train, validation = split_by_question(pairs, config.validation)
    return {"train": train, "validation": validation}


def _rows(
    pairs: list[Preference], tokenizer: Any, max_length: int, left_out: Counter[str]
) -> Iterator[dict[str, Any]]:
    whole = [pair for pair in pairs if trace_text(pair.chosen) and trace_text(pair.rejected)]
    left_out["a side without reasoning"] += len(pairs) - len(whole)
    if not whole:
        return
    sides = [side for pair in whole for side in (pair.chosen, pair.rejected)]
    texts = [scoring_text(whole[index // 2].question, side) for index, side in enumerate(sides)]
    ids = tokenizer(texts)["input_ids"]
    for pair, chosen, rejected in zip(whole, ids[::2], ids[1::2], strict=True):
        length = max(len(chosen), len(rejected))
        if length > max_length:
            left_out[f"longer than {max_length} tokens"] += 1
        elif chosen == rejected:
            left_out["two equal sides"] += 1
        else:
            yield {
                "chosen_ids": chosen,
                "rejected_ids": rejected,
                "length": length,
                "category": pair.category,
            }


def _count(categories: dict[str, Counter[str]], row: dict[str, Any]) -> None:
    tally = categories.setdefault(row["category"], Counter(pairs=0, chosen_longer=0, chosen_shorter=0))
    tally["pairs"] += 1
    tally["chosen_longer"] += len(row["chosen_ids"]) > len(row["rejected_ids"])
    tally["chosen_shorter"] += len(row["chosen_ids"]) < len(row["rejected_ids"])


def _check(config: RewardModelConfig, data: TokenizedPairs) -> None:
    kept, lost = data.total("train") + data.total("validation"), sum(data.left_out.values())
    reasons = ", ".join(f"{reason}: {count}" for reason, count in data.left_out.items())
    if lost > config.max_left_out * (kept + lost):
        raise ConfigurationError(
            f"{lost} of {kept + lost} pairs cannot be used ({reasons}), more than max_left_out="
            f"{config.max_left_out}. Raise max_length, correct the data, or allow a larger share."
        )
    empty = ["train"] if not data.total("train") else []
    if config.validation is not None and not data.total("validation"):
        empty.append("validation")
    if empty:
        raise ConfigurationError(
            f"There are no pairs for {' and '.join(empty)} ({json.dumps(config.train)}). Name other sources, or "
            "set validation to another share, a list of files, or null."
        )
