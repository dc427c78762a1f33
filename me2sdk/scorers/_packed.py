"""Many traces in one row of tokens: what they share is computed once, and nothing is padded.

The tokens of several texts stand one after another in a single row. Everything in a decoder but attention looks at
each token alone, so only attention has to know where a text begins: it runs piece by piece, and the pieces of one
question all see the keys and values of the question, which were computed once. A text that is longer than a pass goes
through in chunks.

Imports torch and transformers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from torch import nn

from me2sdk.errors import ScoringError
from me2sdk.scorers._loading import first_line
from me2sdk.scorers._padded import head_values

__all__ = ["PackedModel", "Piece", "plan"]

_log = logging.getLogger(__name__)
_NAME = "me2sdk_packed"
_WORTH_SHARING = 32  # tokens; below, attending to them apart costs as much as computing them again
_LEAST_BUDGET = 128  # tokens of a pass, however short memory is
# Queries whose keys come after others' are masked in blocks, so that a mask never grows with the square of a text.
_BLOCK = 128
# Any tokens will do to see whether a model can be packed.
_SAMPLE_SHARED = [7, 5, 3, 11, 2, 13]
_SAMPLE = [
    17,
    4,
    19,
    6,
    23,
    8,
    29,
    10,
    31,
    12,
    37,
    14,
    41,
    16,
    43,
    18,
    47,
    20,
    53,
    22,
    59,
    24,
    61,
    26,
    67,
    28,
]


@dataclass(frozen=True)
class Piece:
    """A stretch of one pass.

    Attributes:
        text: which text of the group it belongs to; -1 is what the texts share.
        start: its first token, counted within the text with what is shared before it.
        stop: the token after its last.
    """

    text: int
    start: int
    stop: int


@dataclass(frozen=True)
class Group:
    """Texts that begin with the same tokens.

    Attributes:
        rows: token ids of each text, the shared ones included.
        shared: how many tokens at the beginning all of them share; shorter than each of them.
    """

    rows: Sequence[Sequence[int]]
    shared: int


@dataclass
class Kept:
    """Keys and values that later pieces see, by text (-1: what is shared) and layer."""

    layers: dict[int, dict[int, tuple[torch.Tensor, torch.Tensor]]] = field(default_factory=dict)

    def add(self, text: int, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Append keys and values of shape (1, heads, tokens, head size)."""
        of_text = self.layers.setdefault(text, {})
        if layer in of_text:
            before = of_text[layer]
            of_text[layer] = torch.cat([before[0], key], 2), torch.cat([before[1], value], 2)
        else:
            # A copy: a slice would keep the whole pass alive.
            of_text[layer] = key.clone(), value.clone()


def plan(
    lengths: Sequence[int], shared: int, budget: int, have_shared: bool = False
) -> Iterator[list[Piece]]:
    """Lay texts of one group out in passes of at most ``budget`` tokens.

    Args:
        lengths: tokens of each text, the shared ones included.
        shared: tokens that all share.
        budget: most tokens of a pass, at least 1.
        have_shared: whether the shared ones were computed before.

    Yields:
        the pieces of each pass, in order. Pieces of one text follow each other.
    """
    texts = [] if have_shared or not shared else [(-1, 0, shared)]
    texts += [(index, shared, length) for index, length in enumerate(lengths)]
    current: list[Piece] = []
    room = budget
    for text, start, stop in texts:
        if current and stop - start > room:
            yield current
            current, room = [], budget
        while stop - start > room:  # longer than a pass
            yield [Piece(text, start, start + room)]
            start += room
        current.append(Piece(text, start, stop))
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
    """

    def __init__(
        self, name: str, model: Any, head: nn.Linear, device: torch.device, budget: int, multiple: int
    ) -> None:
        self._name = name
        self._model = model
        self._head = head
        self._device = device
        self._budget = budget
        self._multiple = multiple
        self._last: tuple[list[int], Kept] | None = None  # a question, and what is kept of it

    @classmethod
    def of(
        cls, name: str, model: Any, head: nn.Linear, device: torch.device, budget: int, multiple: int
    ) -> PackedModel | None:
        """The packed form of a classifier, or None where it is no decoder, or packing changes what it computes.

        The latter is found out by trying: architectures of every kind come from the hub.
        """
        if getattr(model, "score", None) is not head:
            return None  # an encoder
        before = model.config._attn_implementation
        texts = _SAMPLE_SHARED + _SAMPLE[:9], _SAMPLE_SHARED + _SAMPLE
        packed = cls(name, model, head, device, 24, multiple)  # so few that the longer one goes in chunks
        try:
            with torch.inference_mode():
                expected = torch.stack([_last_hidden(model, row, device) for row in texts])
                transformers.AttentionInterface.register(_NAME, _attention)
                model.set_attn_implementation(_NAME)
                group = Group(texts, len(_SAMPLE_SHARED))
                found = torch.cat([hidden for _, hidden in packed._passes(group, Kept())])
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
                for texts, hidden in self._passes(part, self._kept(part), budget):
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

    def _kept(self, group: Group) -> Kept:
        """What is kept of the group's question, from an earlier call or empty."""
        start = list(group.rows[0][: group.shared])
        if self._last is not None and self._last[0] == start:
            return self._last[1]
        return Kept()

    def _passes(
        self, group: Group, kept: Kept, budget: int | None = None
    ) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Run a group; after each pass, the texts that ended and the hidden states of their last tokens."""
        self._last = None  # what a failed pass leaves is not whole
        lengths = [len(row) for row in group.rows]
        for pieces in plan(lengths, group.shared, budget or self._budget, have_shared=-1 in kept.layers):
            yield self._forward(group, pieces, kept)
        if group.shared:
            self._last = list(group.rows[0][: group.shared]), kept

    def _forward(self, group: Group, pieces: list[Piece], kept: Kept) -> tuple[list[int], torch.Tensor]:
        ids: list[int] = []
        positions: list[int] = []
        ends: dict[int, int] = {}
        for piece in pieces:
            row = group.rows[max(piece.text, 0)]
            ids += row[piece.start : piece.stop]
            positions += range(piece.start, piece.stop)
            if piece.text >= 0 and piece.stop == len(row):
                ends[piece.text] = len(ids) - 1
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
                me2sdk_pass=_Pass(pieces, group.shared, set(ends), kept),
            ).last_hidden_state
            last = hidden[0, torch.tensor(list(ends.values()), dtype=torch.long).to(self._device)]
        for text in ends:
            kept.layers.pop(text, None)
        return list(ends), last


def _last_hidden(model: Any, row: list[int], device: torch.device) -> torch.Tensor:
    ids = torch.tensor([row], device=device)
    hidden: torch.Tensor = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return hidden[0, -1]


def _distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest relative distance of two sets of vectors."""
    apart = (found.float() - expected.float()).norm(dim=-1) / expected.float().norm(dim=-1)
    return float(apart.max())


@dataclass(frozen=True)
class _Pass:
    pieces: list[Piece]
    shared: int
    finished: set[int]
    kept: Kept


def _attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    me2sdk_pass: _Pass,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of each piece to what precedes it in its own text; in the form that transformers calls."""
    layer: int = module.layer_idx  # type: ignore[assignment]
    out = torch.zeros_like(query)
    offset = 0
    for piece in me2sdk_pass.pieces:
        here = slice(offset, offset + piece.stop - piece.start)
        offset = here.stop
        k, v = key[:, :, here], value[:, :, here]
        before = []
        kept = me2sdk_pass.kept.layers
        if piece.text >= 0 and me2sdk_pass.shared:
            before.append(kept[-1][layer])
        if piece.start > (me2sdk_pass.shared if piece.text >= 0 else 0):
            before.append(kept[piece.text][layer])
        if piece.text not in me2sdk_pass.finished:
            me2sdk_pass.kept.add(piece.text, layer, k, v)
        if before:
            k = torch.cat([*(pair[0] for pair in before), k], 2)
            v = torch.cat([*(pair[1] for pair in before), v], 2)
        _attend(query[:, :, here], k, v, scaling, sliding_window, softcap, out[:, :, here])
    return out.transpose(1, 2), None


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float | None,
    window: int | None,
    softcap: float | None,
    out: torch.Tensor,
) -> None:
    """Causal attention of queries that are the last of the keys' tokens, written to ``out``."""
    count, total = query.shape[2], key.shape[2]
    window = window if window is not None and window < total else None
    on_cpu = query.device.type == "cpu"
    # torch has no kernel for soft-capped logits. For long texts in bfloat16 on a CPU, two products and a softmax take
    # two thirds of its kernel's time.
    by_hand = softcap is not None or (on_cpu and query.dtype is torch.bfloat16 and total > 2 * _BLOCK)
    grouped = query.shape[1] != key.shape[1]
    if count == total and window is None and not by_hand:
        out.copy_(
            nn.functional.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=scale, enable_gqa=grouped
            )
        )
        return
    if grouped and not on_cpu and not by_hand:
        # Elsewhere than on a CPU, grouped heads with a mask take a slow way.
        times = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
        grouped = False
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        last = total - count + stop
        first = 0 if window is None else max(0, total - count + start + 1 - window)
        q, k, v = query[:, :, start:stop], key[:, :, first:last], value[:, :, first:last]
        # Without a window all see what stands before the block, so by hand only its own columns need a mask.
        place = torch.arange(last - (stop - start) if by_hand and window is None else first, last)
        distance = place[start - stop :, None] - place
        mask = (distance >= 0 if window is None else (distance >= 0) & (distance < window)).to(query.device)
        out[:, :, start:stop] = (
            _by_hand(q, k, v, mask, scale, softcap)
            if by_hand
            else nn.functional.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, scale=scale, enable_gqa=grouped
            )
        )


def _by_hand(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float | None,
    softcap: float | None,
) -> torch.Tensor:
    """Attention as two products and a softmax.

    Args:
        query: of shape (1, heads, queries, head size).
        key: of shape (1, key heads, keys, head size).
        value: as ``key``.
        mask: of shape (queries, columns): which of the last ``columns`` keys each query sees.
        scale: of the logits; None takes the usual one.
        softcap: bound of the logits, as in Gemma 2.
    """
    _, heads, count, size = query.shape
    groups = heads // key.shape[1]
    scaled = query[0] * (size**-0.5 if scale is None else scale)
    logits = scaled.reshape(-1, groups * count, size) @ key[0].transpose(1, 2)
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    own = logits.view(-1, groups, count, key.shape[2])[..., key.shape[2] - mask.shape[1] :]
    own.masked_fill_(~mask, -torch.inf)
    return (logits.softmax(-1) @ value[0]).view(1, heads, count, -1)
