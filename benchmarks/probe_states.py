"""Pooled states of frozen language models for probes.py: reading them, which needs torch, and keeping them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["POOLINGS", "KeptStates", "Text", "read_states"]

POOLINGS = ("question and trace", "trace", "last 64 tokens", "last token")
"""What states are averaged over."""
MAX_TOKENS = 768
_TAIL = 64
_CHUNK = 64  # texts that are kept together; those of like length are read together
_BATCH = 6144  # tokens of one pass, padding included
_SPACING = 4


class Text(NamedTuple):
    """A question and one of its traces."""

    question: str
    trace: str

    @property
    def key(self) -> str:
        """By which its states are kept."""
        return hashlib.sha256(f"{self.question}\0{self.trace}".encode()).hexdigest()[:24]


class KeptStates:
    """The states that one base gave so far.

    Attributes:
        base: its short name.
        layers: after which layers states were taken.
        states: for each text, by its key, an array of layers, poolings and dimensions.
        facts: what was measured while reading.
    """

    def __init__(self, folder: Path, base: str) -> None:
        self.base, self._folder = base, folder
        self.layers: list[int] = []
        self.states: dict[str, npt.NDArray[np.float16]] = {}
        self.facts = {"texts": 0, "tokens": 0, "seconds": 0.0, "cut": 0}
        for file in sorted(folder.glob(f"{base}.*.npz")):
            with np.load(file, allow_pickle=False) as kept:
                self._take(kept["keys"], kept["states"], kept["layers"], kept["facts"])

    @classmethod
    def all(cls, folder: Path) -> list[KeptStates]:
        """What is kept of every base, those with the narrowest states first."""
        names = sorted({file.name.split(".npz")[0].rsplit(".", 1)[0] for file in folder.glob("*.npz")})
        found = [cls(folder, name) for name in names]
        return sorted(found, key=lambda one: next(iter(one.states.values())).shape[-1])

    def put(
        self,
        keys: Sequence[str],
        states: npt.NDArray[np.float16],
        layers: Sequence[int],
        facts: Sequence[float],
    ) -> None:
        """Keep the states of some texts."""
        self._folder.mkdir(parents=True, exist_ok=True)
        number = len(list(self._folder.glob(f"{self.base}.*.npz")))
        file = self._folder / f"{self.base}.{number:04d}.npz"
        part = file.with_suffix(".part")
        with part.open("wb") as out:
            np.savez(out, keys=np.array(keys), states=states, layers=np.array(layers), facts=np.array(facts))
        part.rename(file)
        self._take(keys, states, layers, facts)

    def _take(self, keys: Any, states: Any, layers: Any, facts: Any) -> None:
        self.layers = [int(layer) for layer in layers]
        self.states.update(zip(map(str, keys), states, strict=True))
        for name, value in zip(self.facts, facts, strict=True):
            self.facts[name] += float(value)


def read_states(texts: Sequence[Text], base: str, folder: Path, *, minutes: float, threads: int) -> None:
    """Read texts, in their order, until all are read or the time is over.

    Args:
        texts: what to read.
        base: folder or hub id of a language model.
        folder: where states are kept; texts whose states are there already are left out.
        minutes: when to stop, at the end of a chunk.
        threads: that torch may use.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(threads)
    kept = KeptStates(folder, Path(base).name)
    tokenizer = AutoTokenizer.from_pretrained(base)
    # In bfloat16, which is 1.7 times as fast as float32 on a processor with AVX512-BF16.
    model = AutoModel.from_pretrained(base, dtype=torch.bfloat16).eval()
    layers = list(range(_SPACING, model.config.num_hidden_layers - 3, _SPACING))
    model.layers = model.layers[: layers[-1]]  # the last ones prepare the next token, and cost as much as any
    model.norm = torch.nn.Identity()
    started = time.perf_counter()
    missing = [text for text in dict.fromkeys(texts) if text.key not in kept.states]
    for start in range(0, len(missing), _CHUNK):
        begun = time.perf_counter()
        if begun - started > 60 * minutes:
            break
        chunk = missing[start : start + _CHUNK]
        ids = [_encode(text, tokenizer) for text in chunk]
        states = np.zeros(
            (len(chunk), len(layers), len(POOLINGS), model.config.hidden_size), dtype=np.float16
        )
        for places in _batches([len(one) for one, _, _ in ids]):
            states[places] = _pooled(model, [ids[place] for place in places], layers)
        seconds = time.perf_counter() - begun
        tokens = sum(len(one) for one, _, _ in ids)
        cut = sum(one for _, _, one in ids)
        kept.put([text.key for text in chunk], states, layers, (len(chunk), tokens, seconds, cut))
        print(
            f"{kept.base}: {start + len(chunk)} of {len(missing)}, {tokens / seconds:.0f} tokens/s",
            flush=True,
        )


def _encode(text: Text, tokenizer: Any) -> tuple[list[int], int, bool]:
    """Its tokens, how many of them are the question's, and whether the middle of a long trace was cut out."""
    asked = tokenizer(text.question + "\n\n")["input_ids"]
    said = tokenizer(text.trace, add_special_tokens=False)["input_ids"]
    room = max(2 * _TAIL, MAX_TOKENS - len(asked))
    cut = len(said) > room
    if cut:
        said = said[: room // 2] + said[-(room - room // 2) :]
    return asked + said, len(asked), cut


def _batches(sizes: Sequence[int]) -> list[list[int]]:
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    batches: list[list[int]] = [[]]
    for place in order:
        if batches[-1] and (len(batches[-1]) + 1) * sizes[place] > _BATCH:
            batches.append([])
        batches[-1].append(place)
    return batches


def _pooled(
    model: Any, texts: Sequence[tuple[list[int], int, bool]], layers: Sequence[int]
) -> npt.NDArray[np.float16]:
    import torch

    longest = max(len(ids) for ids, _, _ in texts)
    tokens = torch.zeros(len(texts), longest, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    weights = torch.zeros(len(texts), len(POOLINGS), longest)
    for row, (ids, asked, _) in enumerate(texts):
        end = len(ids)
        tokens[row, :end] = torch.tensor(ids)
        mask[row, :end] = 1
        for pooling, start in enumerate((0, asked, max(asked, end - _TAIL), end - 1)):
            weights[row, pooling, start:end] = 1 / (end - start)
    with torch.inference_mode():
        states = model(tokens, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
        pooled = [weights @ states[layer].float() for layer in layers]
    return np.asarray(torch.stack(pooled, dim=1).numpy(), dtype=np.float16)
