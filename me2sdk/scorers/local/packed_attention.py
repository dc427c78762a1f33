"""Attention of packed passes: each segment sees what precedes it in its own text, and nothing else.

Imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

__all__ = ["KVCache", "PackedBatch", "Segment", "attention"]

# Queries whose keys come after others' are masked in blocks, so that a mask never grows with the square of a text.
# Small ones compute little that is masked; on a device each costs a few kernels, which take longer than that.
_BLOCK, _DEVICE_BLOCK = 128, 1024


@dataclass(frozen=True)
class Segment:
    """A stretch of one pass.

    Attributes:
        text: which text of the group it belongs to; -1 is what the texts share.
        start: its first token, counted within the text with what is shared before it. A text that starts at 0 brings
            what is shared, whole.
        stop: the token after its last.
    """

    text: int
    start: int
    stop: int


@dataclass
class KVCache:
    """Keys and values that later segments see, by text (-1: what is shared) and layer."""

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


@dataclass(frozen=True)
class PackedBatch:
    """What attention has to know of a pass.

    Attributes:
        segments: its segments, in order.
        shared: tokens that the texts share.
        finished: the texts that end in it, of which nothing is kept.
        cache: keys and values of earlier passes.
    """

    segments: list[Segment]
    shared: int
    finished: set[int]
    cache: KVCache


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    me2sdk_batch: PackedBatch,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of each segment to what precedes it in its own text; in the form that transformers calls."""
    layer: int = module.layer_idx  # type: ignore[assignment]
    out = torch.zeros_like(query)
    offset = 0
    for segment in me2sdk_batch.segments:
        here = slice(offset, offset + segment.stop - segment.start)
        offset = here.stop
        k, v = key[:, :, here], value[:, :, here]
        before = []
        cached = me2sdk_batch.cache.layers
        shared = me2sdk_batch.shared if segment.text >= 0 else 0
        if shared and not segment.start:
            me2sdk_batch.cache.add(-1, layer, k[:, :, :shared], v[:, :, :shared])
        elif shared:
            before.append(cached[-1][layer])
        if segment.start > shared:
            before.append(cached[segment.text][layer])
        if segment.text not in me2sdk_batch.finished:
            me2sdk_batch.cache.add(segment.text, layer, k, v)
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
    block = _BLOCK if on_cpu or by_hand else _DEVICE_BLOCK
    for start in range(0, count, block):
        stop = min(start + block, count)
        last = total - count + stop
        first = 0 if window is None else max(0, total - count + start + 1 - window)
        q, k, v = query[:, :, start:stop], key[:, :, first:last], value[:, :, first:last]
        # Without a window all see what stands before the block, so by hand only its own columns need a mask.
        place = torch.arange(
            last - (stop - start) if by_hand and window is None else first, last, device=query.device
        )
        distance = place[start - stop :, None] - place
        mask = distance >= 0 if window is None else (distance >= 0) & (distance < window)
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
