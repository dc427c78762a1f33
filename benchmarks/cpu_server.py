"""Serves one small language model on a processor by OpenAI's protocol, for benchmarks that ask a real model.

    pip install xgrammar
    python benchmarks/cpu_server.py FOLDER_OR_HUB_ID --port 8090 --threads 1

Weights are used in bfloat16, which torch multiplies fast on processors with AMX. Requests are decoded together; a
prompt is read only from where it differs from one that was read before. Knows ``messages``, ``n``, ``seed``,
``temperature``, ``top_p``, ``top_k``, ``min_p``, ``max_tokens``, ``logprobs``, ``top_logprobs`` and JSON schemas in
``response_format``; log-probabilities are those before sampling.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import uvicorn
import xgrammar
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM, AutoTokenizer
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_KEPT = 24  # prompts whose states are kept
_ROOM = 128  # tokens that a cache grows by
_FEWEST = 32  # tokens in common that are worth a copy
_DEFAULTS = {"temperature": 1.0, "top_k": 40, "top_p": 0.95, "min_p": 0.05}
States = list[tuple[torch.Tensor, torch.Tensor]]


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """States with room for more tokens, so that they are not copied for each."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append, as the base class does."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._kept: list[torch.Tensor] = []
        old = self.keys.shape[2] if self.keys.dim() == 4 else 0
        end = old + key_states.shape[2]
        if not self._kept or self._kept[0].shape[2] < end:
            shape = (*key_states.shape[:2], end + _ROOM, key_states.shape[3])
            room = [key_states.new_empty(shape), key_states.new_empty(shape)]
            for new, kept in zip(room, (self.keys, self.values), strict=True):
                if old:
                    new[:, :, :old] = kept
            self._kept = room
        for kept, added in zip(self._kept, (key_states, value_states), strict=True):
            kept[:, :, old:end] = added
        self.keys, self.values = (kept[:, :, :end] for kept in self._kept)
        return self.keys, self.values


def new_cache() -> Cache:
    """An empty cache of such layers."""
    return Cache(layer_class_to_replicate=RoomyLayer)


class QuickLinear(torch.nn.Module):
    """A linear layer whose weights are in oneDNN's own order, so that they are not reordered for each token."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.bias = layer.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), 16)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """What the layer would return."""
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            states, self._packed, self.bias, "none", [], ""
        )
        return out


def quicken(module: torch.nn.Module) -> None:
    """Put such layers in the place of a model's own."""
    for name, child in module.named_children():
        if isinstance(child, torch.nn.Linear):
            setattr(module, name, QuickLinear(child))
        else:
            quicken(child)


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one token a row, without a copy of the keys for each head that shares them."""
    if query.shape[2] > 1 or scaling is None:
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return found
    rows, heads, _, size = query.shape
    grouped = query.view(rows, key.shape[1], -1, size)  # heads that share keys, as if they were tokens
    mixed = torch.nn.functional.scaled_dot_product_attention(
        grouped, key, value, attn_mask=attention_mask, scale=scaling
    )
    return mixed.view(rows, 1, heads, size), None


AttentionInterface.register("grouped", grouped_attention)
AttentionMaskInterface.register("grouped", sdpa_mask)


@dataclass
class Sample:
    """One answer in the making."""

    body: dict[str, Any]
    prompt: list[int]
    done: Future[dict[str, Any]]
    random: torch.Generator
    matcher: Any = None
    states: States = field(default_factory=list)
    logits: torch.Tensor | None = None
    tokens: list[int] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = ""


class Engine:
    """A model, and the thread that decodes.

    Args:
        name: folder or hub id.
        at_once: most answers that are decoded together.
    """

    def __init__(self, name: str, at_once: int) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(name)
        self.model = AutoModelForCausalLM.from_pretrained(
            name, dtype=torch.bfloat16, attn_implementation="grouped"
        ).eval()
        if torch.ops.mkldnn._is_mkldnn_bf16_supported():
            quicken(self.model)
        vocabulary = self.model.config.vocab_size
        self._compiler = xgrammar.GrammarCompiler(
            xgrammar.TokenizerInfo.from_huggingface(self.tokenizer, vocab_size=vocabulary)
        )
        self._mask = xgrammar.allocate_token_bitmask(1, vocabulary)
        stops = self.model.generation_config.eos_token_id
        self._stops = {self.tokenizer.eos_token_id, *(stops if isinstance(stops, list) else [stops])}
        self._at_once = at_once
        self._waiting: queue.Queue[list[Sample]] = queue.Queue()
        self._read: list[tuple[list[int], States]] = []
        threading.Thread(target=self._work, daemon=True).start()

    def ask(self, body: dict[str, Any]) -> list[Sample]:
        """Take up a request; each of its samples has a future."""
        ids = self.tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True)
        prompt = list(ids["input_ids"] if hasattr(ids, "keys") else ids)
        samples = [
            Sample(body, prompt, Future(), self._generator(body, number), self._matcher(body))
            for number in range(body.get("n") or 1)
        ]
        self._waiting.put(samples)
        return samples

    @staticmethod
    def _generator(body: dict[str, Any], number: int) -> torch.Generator:
        generator = torch.Generator()
        if body.get("seed") is not None:
            generator.manual_seed(body["seed"] + number)
        else:
            generator.seed()
        return generator

    def _matcher(self, body: dict[str, Any]) -> Any:
        wanted = body.get("response_format") or {}
        if wanted.get("type") != "json_schema":
            return None
        schema = json.dumps(wanted["json_schema"]["schema"])
        return xgrammar.GrammarMatcher(self._compiler.compile_json_schema(schema, any_whitespace=False))

    @torch.inference_mode()
    def _work(self) -> None:
        active: list[Sample] = []
        batch: Cache | None = None
        while True:
            added = False
            while len(active) < self._at_once and (not active or not self._waiting.empty()):
                if not added and active:
                    self._take_back(active, batch)
                samples = self._waiting.get()
                try:
                    self._prefill(samples)
                except Exception as error:
                    for sample in samples:
                        sample.done.set_exception(error)
                    continue
                active += samples
                added = True
            if added:
                batch = self._together(active)
            tokens = [self._next(sample) for sample in active]
            ended = [sample for sample in active if sample.finish_reason]
            if ended:
                self._take_back(active, batch)
                for sample in ended:
                    sample.states = []
                    sample.done.set_result(self._choice(sample))
                pairs = [pair for pair in zip(active, tokens, strict=True) if not pair[0].finish_reason]
                active, tokens = [sample for sample, _ in pairs], [token for _, token in pairs]
                batch = self._together(active) if active else None
            if active and batch is not None:
                self._step(active, tokens, batch)

    def _prefill(self, samples: Sequence[Sample]) -> None:
        prompt = samples[0].prompt
        known, states = 0, None
        for tokens, kept in self._read:
            same = next(
                (place for place, pair in enumerate(zip(tokens, prompt, strict=False)) if pair[0] != pair[1]),
                min(len(tokens), len(prompt)),
            )
            if same > known:
                known, states = same, kept
        known = min(known, len(prompt) - 1) if known >= _FEWEST else 0
        cache = new_cache()
        if known and states:
            for layer, (keys, values) in enumerate(states):
                cache.update(keys[:, :, :known], values[:, :, :known], layer)
        ids = torch.tensor([prompt[known:]])
        out = self.model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        found = [(layer.keys, layer.values) for layer in cache.layers]
        self._read = [(prompt, found), *self._read[: _KEPT - 1]]
        for sample in samples:
            sample.states, sample.logits = found, out.logits[0, -1].float()

    @staticmethod
    def _together(active: Sequence[Sample]) -> Cache:
        """States of all answers side by side, padded on the left."""
        longest = max(sample.states[0][0].shape[2] for sample in active)
        cache = new_cache()
        for layer in range(len(active[0].states)):
            sides = []
            for side in (0, 1):
                padded = [
                    torch.nn.functional.pad(states, (0, 0, longest - states.shape[2], 0))
                    for states in (sample.states[layer][side] for sample in active)
                ]
                sides.append(torch.cat(padded))
            cache.update(sides[0], sides[1], layer)
        for sample in active:
            sample.states = []  # a part of the batch before, all of which it would keep alive
        return cache

    @staticmethod
    def _take_back(active: Sequence[Sample], batch: Cache | None) -> None:
        """Give each answer its own states again."""
        if batch is None:
            return
        for row, sample in enumerate(active):
            # The last token is not read yet.
            length = len(sample.prompt) + max(0, len(sample.tokens) - (1 if sample.logits is None else 0))
            length = min(length, batch.layers[0].keys.shape[2])
            sample.states = [
                (layer.keys[row : row + 1, :, -length:], layer.values[row : row + 1, :, -length:])
                for layer in batch.layers
            ]

    def _next(self, sample: Sample) -> int:
        """The next token of an answer, which it ends if it has to."""
        logits = sample.logits
        assert logits is not None
        logprobs = torch.log_softmax(logits, -1) if sample.body.get("logprobs") else None
        if sample.matcher is not None:
            sample.matcher.fill_next_token_bitmask(self._mask)
            logits = logits.clone()
            xgrammar.apply_token_bitmask_inplace(logits, self._mask[0])
        token = self._draw(sample, logits)
        if token in self._stops:
            sample.finish_reason = "stop"
            return token
        if sample.matcher is not None:
            sample.matcher.accept_token(token)
        sample.tokens.append(token)
        sample.logits = None
        if logprobs is not None:
            sample.logprobs.append(self._logprobs(token, logprobs, sample.body.get("top_logprobs") or 0))
        if len(sample.tokens) >= (sample.body.get("max_tokens") or 512):
            sample.finish_reason = "length"
        elif sample.matcher is not None and sample.matcher.is_terminated():
            sample.finish_reason = "stop"
        return token

    @staticmethod
    def _draw(sample: Sample, logits: torch.Tensor) -> int:
        settings = {**_DEFAULTS, **{name: sample.body[name] for name in _DEFAULTS if name in sample.body}}
        if not settings["temperature"]:
            return int(logits.argmax())
        values, places = logits.topk(min(int(settings["top_k"]) or len(logits), len(logits)))
        chances = torch.softmax(values, -1)
        kept = (chances.cumsum(-1) - chances < settings["top_p"]) & (
            chances >= settings["min_p"] * chances[0]
        )
        drawn = torch.softmax(values[kept] / settings["temperature"], -1)
        return int(places[kept][torch.multinomial(drawn, 1, generator=sample.random)])

    def _logprobs(self, token: int, logprobs: torch.Tensor, top: int) -> dict[str, Any]:
        values, places = logprobs.topk(top) if top else ((), ())
        return {
            "token": self.tokenizer.decode([token]),
            "logprob": float(logprobs[token]),
            "top_logprobs": [
                {"token": self.tokenizer.decode([int(place)]), "logprob": float(value)}
                for value, place in zip(values, places, strict=True)
            ],
        }

    def _step(self, active: Sequence[Sample], tokens: Sequence[int], batch: Cache) -> None:
        before = batch.layers[0].keys.shape[2]
        lengths = [len(sample.prompt) + len(sample.tokens) for sample in active]
        mask = torch.zeros(len(active), before + 1, dtype=torch.long)
        for row, length in enumerate(lengths):
            mask[row, -length:] = 1
        out = self.model(
            torch.tensor(tokens)[:, None],
            attention_mask=mask,
            position_ids=torch.tensor(lengths)[:, None] - 1,
            past_key_values=batch,
            use_cache=True,
        )
        for row, sample in enumerate(active):
            sample.logits = out.logits[row, -1].float()

    def _choice(self, sample: Sample) -> dict[str, Any]:
        text = self.tokenizer.decode(sample.tokens, skip_special_tokens=True)
        choice: dict[str, Any] = {
            "message": {"role": "assistant", "content": text},
            "finish_reason": sample.finish_reason,
        }
        return choice | ({"logprobs": {"content": sample.logprobs}} if sample.body.get("logprobs") else {})


def application(engine: Engine, name: str) -> Starlette:
    """The server of one engine."""

    async def complete(request: Request) -> Response:
        samples = engine.ask(await request.json())
        choices = await asyncio.gather(*(asyncio.wrap_future(sample.done) for sample in samples))
        said = sum(len(sample.tokens) for sample in samples)
        asked = len(samples[0].prompt)
        usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
        listed = [{"index": place, **choice} for place, choice in enumerate(choices)]
        return JSONResponse(
            {"id": "local", "object": "chat.completion", "created": 0, "model": name}
            | {"choices": listed, "usage": usage}
        )

    return Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=16, help="answers that are decoded together")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engine = Engine(options.model, options.at_once)
    uvicorn.run(application(engine, Path(options.model).name), port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
