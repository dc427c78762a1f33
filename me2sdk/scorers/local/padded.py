"""Batches of rows that are padded to the longest: for encoders, and for decoders that cannot be packed.

Imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import nn

from me2sdk.errors import ScoringError
from me2sdk.scorers.local.loading import first_line

__all__ = ["PaddedModel", "head_values", "make_batches", "run_in_halves"]

_Row = TypeVar("_Row")
_Out = TypeVar("_Out")

# Padding costs as much time as text, so short rows do not ride along with long ones.
_MAX_PADDING = 0.25


class PaddedModel:
    """Scores rows of tokens in padded batches.

    Args:
        name: of the model, for messages.
        model: the classifier.
        head: its score head.
        device: where it is.
        budget: most tokens of a batch, padding included.
        multiple: batches are as wide as a multiple of this, so that few shapes occur.
        max_tokens: longest row.
        pad: id of the padding token, or None.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        head: nn.Linear,
        device: torch.device,
        budget: int,
        multiple: int,
        *,
        max_tokens: int,
        pad: int | None,
    ) -> None:
        self._name = name
        self._model = model
        self._head = head
        self._device = device
        self._budget = budget
        self._max_tokens = max_tokens
        self._pad = pad if pad is not None else 0
        self._multiple = multiple
        # Decoders keep their head in `score` and read it at the last token; encoders pool in ways of their own.
        self._reads_last_token = getattr(model, "score", None) is head
        # A model that pools by itself may look for padding by its id, so without one nothing is padded.
        self._max_padding = _MAX_PADDING if self._reads_last_token or pad is not None else 0.0

    def scores(self, rows: Sequence[list[int]], shared: Sequence[list[int]]) -> Iterator[dict[int, float]]:
        """Score rows.

        Args:
            rows: token ids of each text.
            shared: not used; as for `PackedModel`.

        Yields:
            after each batch, the raw logits by index of the row.

        Raises:
            ScoringError: there is too little memory for a single row, or the model failed.
        """
        lengths = [len(row) for row in rows]
        for batch in make_batches(lengths, self._budget, self._pad_length, self._max_padding):
            some = [rows[i] for i in batch]
            yield dict(
                zip(batch, run_in_halves(self._forward, some, len, self._name, self._device), strict=True)
            )

    def _pad_length(self, length: int) -> int:
        return min(math.ceil(length / self._multiple) * self._multiple, max(length, self._max_tokens))

    def _forward(self, rows: list[list[int]]) -> list[float]:
        lengths = torch.tensor([len(row) for row in rows])
        width = int(lengths.max())
        if self._max_padding:
            width = self._pad_length(width)
        ids = torch.full((len(rows), width), self._pad)
        for line, row in zip(ids, rows, strict=True):
            line[: len(row)] = torch.tensor(row)
        mask = (torch.arange(width) < lengths[:, None]).long()
        inputs = {"input_ids": ids.to(self._device), "attention_mask": mask.to(self._device)}
        with torch.inference_mode():
            if self._reads_last_token:
                # The model's own pooling looks for the last token that is not the padding token, and so takes
                # the wrong one for a text that ends in a token which also serves as padding.
                hidden = self._model.base_model(**inputs).last_hidden_state
                return head_values(self._head, hidden[torch.arange(len(rows)), lengths - 1])
            logits = self._model(**inputs).logits
        return [float(value) for value in logits[:, 0].float().cpu()]


@torch.inference_mode()
def head_values(head: nn.Linear, hidden: torch.Tensor) -> list[float]:
    """What the score head says of hidden states of shape (texts, hidden size), computed in float32."""
    bias = None if head.bias is None else head.bias.float()
    logits = nn.functional.linear(hidden.float(), head.weight.float(), bias)
    return [float(value) for value in logits[:, 0].cpu()]


def run_in_halves(
    forward: Callable[[list[_Row]], list[_Out]],
    rows: list[_Row],
    tokens: Callable[[_Row], int],
    name: str,
    device: torch.device,
) -> list[_Out]:
    """Run ``forward`` over rows, in halves where the device has too little memory for all of them.

    Args:
        forward: gives one result per row.
        rows: the rows.
        tokens: the length of a row, for messages.
        name: the model's name, for messages.
        device: where ``forward`` runs.

    Raises:
        ScoringError: there is too little memory for a single row, or ``forward`` failed.
    """
    try:
        return forward(rows)
    except torch.OutOfMemoryError as error:
        if len(rows) == 1:
            raise ScoringError(
                f"{device} has too little memory for one trace of {tokens(rows[0])} tokens. "
                'Set a lower max_tokens, or quantization="nf4".'
            ) from error
    except RuntimeError as error:
        raise ScoringError(f"{name} failed on {device}: {first_line(error)}") from error
    # Outside of the handler, since the exception keeps the failed pass's tensors alive.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    half = len(rows) // 2
    return [
        result
        for part in (rows[:half], rows[half:])
        for result in run_in_halves(forward, part, tokens, name, device)
    ]


def make_batches(
    lengths: Sequence[int], budget: int, pad: Callable[[int], int], max_padding: float
) -> Iterator[list[int]]:
    """Group indices of rows, longest first, so that a group padded to its longest row stays within
    ``budget``.

    Args:
        lengths: tokens of each row.
        budget: most tokens of a group, padding included. A longer row stands alone.
        pad: the padded length of a row, from its length.
        max_padding: largest share of a group that may be padding up to its longest row; with 0, only rows of
            the same length share a group.

    Yields:
        indices into ``lengths``; each occurs once.
    """
    batch: list[int] = []
    longest = total = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length, rows = lengths[index], len(batch) + 1
        padding = longest * rows - total - length
        if batch and (pad(longest) * rows > budget or padding > max_padding * longest * rows):
            yield batch
            batch = []
        if not batch:
            longest, total = length, 0
        batch.append(index)
        total += length
    if batch:
        yield batch
