"""Many traces in one row of tokens: what they share is computed once, and nothing is padded.

The tokens of several texts stand one after another in a single row. Everything in a decoder but attention looks at
each token alone, so only attention has to know where a text begins: it runs segment by segment, and the segments of one
question all see the keys and values of the question, which were computed once. A text that is longer than a pass goes
through in chunks.

Imports torch and transformers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import nn

from me2sdk.errors import ScoringError
from me2sdk.scorers.local.loading import first_line
from me2sdk.scorers.local.packed_attention import KVCache, PackedBatch, Segment, attention
from me2sdk.scorers.local.padded import head_values

__all__ = ["PackedModel", "Segment", "plan"]

_log = logging.getLogger(__name__)
_NAME = "me2sdk_packed"
_WORTH_SHARING = 32  # tokens; below, attending to them apart costs as much as computing them again
_LEAST_BUDGET = 128  # tokens of a pass, however short memory is
# Any tokens will do to see whether a model can be packed.
_SAMPLE_SHARED = [7, 5, 3, 11, 2, 13]
_SAMPLE = list(range(14, 40))


@dataclass(frozen=True)
class Group:
    """Texts that begin with the same tokens.

    Attributes:
        rows: token ids of each text, the shared ones included.
        shared: how many tokens at the beginning all of them share; shorter than each of them.
    """

    rows: Sequence[Sequence[int]]
    shared: int


def plan(
    lengths: Sequence[int], shared: int, budget: int, have_shared: bool = False, isolated: bool = False
) -> Iterator[list[Segment]]:
    """Lay texts of one group out in passes of at most ``budget`` tokens.

    Args:
        lengths: tokens of each text, the shared ones included.
        shared: tokens that all share.
        budget: most tokens of a pass, at least 1.
        have_shared: whether the shared ones were computed before.
        isolated: whether each text, and what all share, has passes of its own.

    Yields:
        the segments of each pass, in order. Pieces of one text follow each other.
    """
    texts = [(index, shared, length) for index, length in enumerate(lengths)]
    if shared and not have_shared:
        # With the first text, if that fits: in one segment attention takes least.
        if not isolated and lengths[0] <= budget:
            texts[0] = (0, 0, lengths[0])
        else:
            texts.insert(0, (-1, 0, shared))
    current: list[Segment] = []
    room = budget
    for text, start, stop in texts:
        if current and (isolated or stop - start > room):
            yield current
            current, room = [], budget
        while stop - start > room:  # longer than a pass
            yield [Segment(text, start, start + room)]
            start += room
        current.append(Segment(text, start, stop))
        room -= stop - start
    if current:
        yield current


class PackedModel:
    """Scores rows of tokens in packed passes. `of` makes one, where a model can be packed.

    Keys and values of the last question stay on the device, so that traces which arrive one after another do not
    compute it again.

    Args:
        name: of the model, for messages.
        model: the classifier, set to the attention of this module.
        head: its score head, which reads the last token.
        device: where it is.
        budget: most tokens of a pass. Longer texts go through in several.
        multiple: passes are filled up to a multiple of this many tokens, so that few shapes occur.
        isolated: whether no two texts share a pass, since what a pass holds changes what it computes.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        head: nn.Linear,
        device: torch.device,
        budget: int,
        multiple: int,
        isolated: bool = False,
    ) -> None:
        self._name = name
        self._model = model
        self._head = head
        self._device = device
        self._budget = budget
        self._multiple = multiple
        self._isolated = isolated
        self._last: tuple[list[int], KVCache] | None = None  # a question, and what is kept of it

    @classmethod
    def of(
        cls,
        name: str,
        model: Any,
        head: nn.Linear,
        device: torch.device,
        budget: int,
        multiple: int,
        isolated: bool = False,
    ) -> PackedModel | None:
        """The packed form of a classifier, or None where it is no decoder, or packing changes what it computes.

        The latter is found out by trying: architectures of every kind come from the hub.
        """
        if getattr(model, "score", None) is not head:
            return None  # an encoder
        before = model.config._attn_implementation
        texts = _SAMPLE_SHARED + _SAMPLE[:9], _SAMPLE_SHARED + _SAMPLE
        few = 24  # tokens of a pass, so that the longer text goes in chunks
        packed = cls(name, model, head, device, few, multiple, isolated)
        try:
            with torch.inference_mode():
                expected = torch.stack([_last_hidden(model, row, device) for row in texts])
                transformers.AttentionInterface.register(_NAME, attention)
                model.set_attn_implementation(_NAME)
                group = Group(texts, len(_SAMPLE_SHARED))
                found = torch.cat([hidden for _, hidden in packed._passes(group, KVCache())])
            same = _distance(found, expected) < (1e-3 if found.dtype is torch.float32 else 0.1)
        except Exception:  # whatever an unknown architecture makes of it
            _log.debug("%s cannot be packed", name, exc_info=True)
            same = False
        if not same:
            model.set_attn_implementation(before)
            return None
        packed._budget = max(budget, _LEAST_BUDGET)
        return packed

    def scores(self, rows: Sequence[list[int]], shared: Sequence[list[int]]) -> Iterator[dict[int, float]]:
        """Score rows.

        Args:
            rows: token ids of each text.
            shared: the first tokens of each row, which others may share; not the whole row.

        Yields:
            after each pass, the raw logits by index of the row.

        Raises:
            ScoringError: there is too little memory for the smallest pass, or the model failed.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, start in enumerate(shared):
            groups.setdefault(tuple(start) if len(start) >= _WORTH_SHARING else (), []).append(index)
        for question, members in groups.items():
            for found in self._group(Group([rows[i] for i in members], len(question))):
                yield {members[text]: value for text, value in found.items()}

    def _group(self, group: Group) -> Iterator[dict[int, float]]:
        budget = self._budget
        left = list(range(len(group.rows)))
        while left:
            part = Group([group.rows[i] for i in left], group.shared)
            done: set[int] = set()
            try:
                for texts, hidden in self._passes(part, self._cache_of(part), budget):
                    done.update(texts)
                    if texts:
                        values = head_values(self._head, hidden)
                        yield {left[text]: value for text, value in zip(texts, values, strict=True)}
            except torch.OutOfMemoryError as error:
                if budget <= _LEAST_BUDGET:
                    raise ScoringError(
                        f"{self._device} has too little memory for a trace of {max(map(len, part.rows))} tokens. "
                        'Set a lower max_tokens, or quantization="nf4".'
                    ) from error
            except RuntimeError as error:
                raise ScoringError(f"{self._name} failed on {self._device}: {first_line(error)}") from error
            left = [index for text, index in enumerate(left) if text not in done]
            if left:
                # Out of the handler, since the exception keeps the failed pass's tensors alive.
                budget = max(_LEAST_BUDGET, budget // 2)
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()

    def _cache_of(self, group: Group) -> KVCache:
        """What is kept of the group's question, from an earlier call or empty."""
        start = list(group.rows[0][: group.shared])
        if self._last is not None and self._last[0] == start:
            return self._last[1]
        return KVCache()

    def _passes(
        self, group: Group, cache: KVCache, budget: int | None = None
    ) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Run a group; after each pass, the texts that ended and the hidden states of their last tokens."""
        self._last = None  # what a failed pass leaves is not whole
        lengths = [len(row) for row in group.rows]
        have_shared = -1 in cache.layers
        for segments in plan(lengths, group.shared, budget or self._budget, have_shared, self._isolated):
            yield self._forward(group, segments, cache)
        if group.shared:
            self._last = list(group.rows[0][: group.shared]), cache

    def _forward(
        self, group: Group, segments: list[Segment], cache: KVCache
    ) -> tuple[list[int], torch.Tensor]:
        ids: list[int] = []
        positions: list[int] = []
        ends: dict[int, int] = {}
        for segment in segments:
            row = group.rows[max(segment.text, 0)]
            ids += row[segment.start : segment.stop]
            positions += range(segment.start, segment.stop)
            if segment.text >= 0 and segment.stop == len(row):
                ends[segment.text] = len(ids) - 1
        fill = [0] * (-len(ids) % self._multiple)
        inputs = torch.tensor([ids + fill, positions + fill])
        if self._device.type == "cuda":
            inputs = inputs.pin_memory()
        inputs = inputs.to(self._device, non_blocking=True)
        with torch.inference_mode():
            hidden = self._model.base_model(
                input_ids=inputs[:1],
                position_ids=inputs[1:],
                use_cache=False,
                me2sdk_batch=PackedBatch(segments, group.shared, set(ends), cache),
            ).last_hidden_state
            last = hidden[0, torch.tensor(list(ends.values()), dtype=torch.long).to(self._device)]
        for text in ends:
            cache.layers.pop(text, None)
        return list(ends), last


def _last_hidden(model: Any, row: list[int], device: torch.device) -> torch.Tensor:
    ids = torch.tensor([row], device=device)
    hidden: torch.Tensor = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return hidden[0, -1]


def _distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest relative distance of two sets of vectors."""
    relative = (found.float() - expected.float()).norm(dim=-1) / expected.float().norm(dim=-1)
    return float(relative.max())
