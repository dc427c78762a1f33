"""A small transformer over question and trace as a variant of the bundled scorer; it needs torch.

A number is a token that says which of the question's or the trace's numbers it is, in an order that is mixed anew for
each batch, so that what can be learnt is how numbers are related and not which they are.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import nn
from variant_models import Corpus, Floats, Scalar, Sources, tokens

from recipes import mini

WORDS, BUCKETS, NUMBERS = 3000, 256, 21
ASKED, SAID = 110, 250  # tokens of the question and of the trace that are read
WIDTH, HEADS, INNER = 48, 4, 96
BATCH, EPOCHS, RATE = 32, 2, 2e-3
SHARE = 0.3  # of the pairs that a fit may see, so that it takes six minutes on one core
VOCABULARY = WORDS + BUCKETS + 2 * NUMBERS + 1
PAD = VOCABULARY - 1


class Reader(nn.Module):
    """One layer, and the mean over the trace's tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH, padding_idx=PAD)
        self.side = nn.Embedding(2, WIDTH)
        self.place = nn.Embedding(ASKED + SAID, WIDTH)
        for table in (self.token, self.side, self.place):
            nn.init.normal_(table.weight, 0.0, 0.1)
        self.layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, INNER, dropout=0.1, batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 1, bias=False)
        nn.init.zeros_(self.head.weight)

    def forward(self, token: torch.Tensor, side: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """Rewards of a batch; all arguments are of shape (texts, tokens)."""
        states = self.token(token) + self.side(side) + self.place(place)
        states = self.norm(self.layer(states, src_key_padding_mask=token == PAD))
        kept = ((side == 1) & (token != PAD)).float().unsqueeze(-1)
        return self.head((states * kept).sum(1) / kept.sum(1).clamp(min=1.0)).squeeze(-1)  # type: ignore[no-any-return]


def _encode(corpus: Corpus) -> list[tuple[list[int], int]]:
    """Tokens of each text as numbers, with how many of them are the question's."""
    read = [tokens(*key) for key in corpus.ids]
    seen: Counter[str] = Counter()
    for number in np.unique(np.concatenate([corpus.better[~corpus.unseen], corpus.worse[~corpus.unseen]])):
        seen.update(read[number][1])
    names = {
        f"<{letter}{n}>": WORDS + BUCKETS + side * NUMBERS + n
        for side, letter in enumerate("qr")
        for n in range(NUMBERS)
    }
    known = {word: place for place, (word, _) in enumerate(seen.most_common(WORDS))} | names

    def one(token: str) -> int:
        return known.get(token, WORDS + zlib.crc32(token.encode()) % BUCKETS)

    texts = []
    for asked, said in read:
        if len(said) > SAID:
            said = said[: SAID - 80] + said[-80:]
        texts.append(([one(token) for token in [*asked[:ASKED], *said]], len(asked[:ASKED])))
    return texts


def transformer(corpus: Corpus, sources: Sources) -> Scalar:
    """Fit it on a share of the pairs."""
    torch.manual_seed(mini.SEED)
    torch.set_num_threads(1)
    texts = _encode(corpus)

    def batch(numbers: Any, mixed: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        size = max(len(texts[n][0]) for n in numbers)
        token, side, place = (torch.zeros(len(numbers), size, dtype=torch.long) for _ in range(3))
        token += PAD
        for row, number in enumerate(numbers):
            ids, asked = texts[number]
            token[row, : len(ids)] = torch.tensor(ids)
            side[row, asked : len(ids)] = 1
            place[row, : len(ids)] = torch.tensor([*range(asked), *range(ASKED, ASKED + len(ids) - asked)])
        return token if mixed is None else mixed[token], side, place

    draw = np.random.RandomState(mini.SEED)
    chosen, weights = corpus.training(sources)
    kept = draw.rand(len(chosen)) < SHARE
    chosen, weights = chosen[kept], np.minimum(weights[kept] * len(weights), 6.0)
    reader = Reader()
    optimizer = torch.optim.AdamW(reader.parameters(), RATE, weight_decay=0.02)
    batches = [part for _ in range(EPOCHS) for part in _batches(texts, corpus, chosen, draw)]
    for step, part in enumerate(batches):
        rate = RATE * min(1.0, step / 100) * (0.5 + 0.5 * math.cos(math.pi * step / len(batches)))
        optimizer.param_groups[0]["lr"] = rate
        mixed = torch.arange(VOCABULARY)
        for start in (WORDS + BUCKETS, WORDS + BUCKETS + NUMBERS):
            mixed[start : start + NUMBERS] = start + torch.randperm(NUMBERS)
        pairs = chosen[part]
        rewards = reader(*batch(np.concatenate([corpus.better[pairs], corpus.worse[pairs]]), mixed))
        margins = rewards[: len(pairs)] - rewards[len(pairs) :]
        weight = torch.tensor(weights[part], dtype=torch.float32)
        loss = (weight * nn.functional.softplus(-margins)).mean() + 1e-4 * (rewards**2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
    reader.eval()
    values = np.zeros(len(texts))
    order = np.argsort([len(ids) for ids, _ in texts])
    with torch.no_grad():
        for start in range(0, len(order), 64):
            numbers = order[start : start + 64]
            values[numbers] = reader(*batch(numbers)).numpy()
    return Scalar(values)


def _batches(
    texts: list[tuple[list[int], int]], corpus: Corpus, chosen: Floats, draw: np.random.RandomState
) -> list[Floats]:
    """Places in ``chosen`` in batches of similar length, in random order."""
    order = draw.permutation(len(chosen))
    sizes = np.array([len(texts[number][0]) for number in corpus.better[chosen]])
    batches = []
    for start in range(0, len(order), 40 * BATCH):
        part = order[start : start + 40 * BATCH]
        part = part[np.argsort(sizes[part])]
        batches += [part[place : place + BATCH] for place in range(0, len(part), BATCH)]
    return [batches[place] for place in draw.permutation(len(batches))]
