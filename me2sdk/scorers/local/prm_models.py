"""Process reward models of the Qwen2.5-Math-PRM and the Skywork-o1-Open-PRM architecture: loading, prompts, batches.

Imports torch and transformers, so it is itself imported only when such a model is first loaded. The published
checkpoints come with code of their own; here the same networks are put together from transformers' Qwen2 and their
heads, and the published names of the weights are kept, so that none of that code runs.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import re
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import transformers
from torch import nn

from me2sdk.errors import ConfigurationError, ScoringError
from me2sdk.scorers.local.loading import as_configuration_error, context_length, quiet_loading
from me2sdk.scorers.local.padded import make_batches, run_in_halves
from me2sdk.scorers.local.reward_model import pick_device

__all__ = ["Conversation", "ProcessRewardModel"]

_log = logging.getLogger(__name__)
SEPARATOR = "<extra_0>"
_QUESTION, _ANSWER = "\x02question\x03", "\x02answer\x03"  # places in the rendered chat template
_MAX_PADDING = 0.25  # as for `RewardModel`


class Conversation(NamedTuple):
    """What the model reads: a solution in steps, after each of which it says whether all is well so far.

    Attributes:
        system: the system message, or None to leave it to the chat template, where there is one.
        question: what was asked.
        steps: the solution's steps, none of them empty.
    """

    system: str | None
    question: str
    steps: Sequence[str]


class _Row(NamedTuple):
    ids: list[int]
    ends: list[int]  # where the separators of the steps stand
    cut: int  # tokens that were left out


class _Network(transformers.Qwen2PreTrainedModel):  # type: ignore[misc]
    """Qwen2 with a head of two layers and two classes; class 1 says that the step is good."""

    head = "score"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = transformers.Qwen2Model(config)
        self.score = nn.Sequential(
            nn.Linear(config.hidden_size, config.hidden_size), nn.ReLU(), nn.Linear(config.hidden_size, 2)
        )
        self.post_init()

    def log_good(self, states: torch.Tensor) -> torch.Tensor:
        """How likely the steps that end with these states are good, as logarithms; computed in float32."""
        for layer in self.score:
            states = _float_linear(layer, states) if isinstance(layer, nn.Linear) else layer(states)
        return nn.functional.log_softmax(states, dim=-1)[:, 1]


class _ValueNetwork(transformers.Qwen2PreTrainedModel):  # type: ignore[misc]
    """Qwen2 with a linear head of one value, whose sigmoid says how likely the step is good."""

    head = "v_head"
    _keys_to_ignore_on_load_unexpected = (r"lm_head\.",)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = transformers.Qwen2Model(config)
        self.v_head = nn.ModuleDict({"summary": nn.Linear(config.hidden_size, 1)})
        self.post_init()

    def log_good(self, states: torch.Tensor) -> torch.Tensor:
        """As of the other network."""
        return nn.functional.logsigmoid(_float_linear(self.v_head["summary"], states)[:, 0])


def _float_linear(layer: Any, states: torch.Tensor) -> torch.Tensor:
    return nn.functional.linear(states, layer.weight.float(), layer.bias.float())


class ProcessRewardModel:
    """A process reward model on one device. Arguments as in `PRMScorer`; not safe for several threads at once.

    ``lines`` says that it is one of Skywork's: steps are lines, question and solution stand in no chat template.
    """

    def __init__(
        self,
        model: str,
        *,
        quantization: str | None,
        device: str,
        dtype: str | None,
        max_tokens: int | None,
        batch_tokens: int | None,
        revision: str | None,
        lines: bool = False,
    ) -> None:
        self.name = model
        self._lines = lines
        self.device = pick_device(device)
        on_cpu = self.device.type == "cpu"
        self.batch_tokens = batch_tokens or (2048 if on_cpu else 16384)
        narrow = quantization or not on_cpu
        chosen = getattr(torch, dtype) if dtype else torch.bfloat16 if narrow else torch.float32
        with as_configuration_error(model), quiet_loading():
            config = transformers.Qwen2Config.from_pretrained(model, revision=revision)
            if config.model_type != "qwen2":
                raise ConfigurationError(f"{model} is a {config.model_type} model, not a Qwen2 one.")
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(
                model, revision=revision, trust_remote_code=False
            )
            network = _ValueNetwork if lines else _Network
            self._network = _load(network, model, config, chosen, quantization, self.device, revision)
        self.max_tokens = context_length(model, config, self._tokenizer, max_tokens)
        self._tokenizer.model_max_length = int(1e30)  # or it warns about lengths that are handled here
        added = self._tokenizer.get_added_vocab()
        if lines:
            self._separator = self._tokenizer("\n", add_special_tokens=False)["input_ids"][-1]
        elif SEPARATOR in added:
            self._separator = added[SEPARATOR]
        else:
            raise ConfigurationError(
                f"The tokenizer of {model} has no {SEPARATOR}, so it is no process reward model of a known format."
            )
        starts = "|".join(re.escape(token) for token in added if len(token) > 1)
        self._inside = re.compile(rf"(?=(?:{starts}))")
        self._pad = self._tokenizer.pad_token_id or 0
        self._frames: dict[str | None, tuple[list[int], list[int]]] = {}
        # oneDNN keeps memory for every shape that a bfloat16 pass on a CPU meets; few shapes, little memory.
        self._multiple = 64 if on_cpu and chosen is torch.bfloat16 else 1

    def log_probabilities(
        self, conversations: Sequence[Conversation], stop: threading.Event
    ) -> tuple[list[list[float]], list[int]]:
        """Read how likely each step is good.

        Args:
            conversations: the solutions.
            stop: set from another thread to give up before the next batch.

        Returns:
            for each solution the natural logarithms of its steps' probabilities (fewer than it has steps where its
            middle was left out), and how many tokens of each were left out.

        Raises:
            ScoringError: a question leaves no room for the solution; a value is not finite; the device is out of
                memory; or ``stop`` was set.
        """
        rows = [self._row(conversation, index) for index, conversation in enumerate(conversations)]
        if any(row.cut for row in rows):
            _log.warning(
                "%d of %d solutions do not fit %d tokens; up to %d tokens were left out of the middle of one.",
                sum(row.cut > 0 for row in rows), len(rows), self.max_tokens, max(row.cut for row in rows),
            )  # fmt: skip
        found: list[list[float]] = [[] for _ in rows]
        lengths = [len(row.ids) for row in rows]
        for batch in make_batches(lengths, self.batch_tokens, self._padded, _MAX_PADDING):
            if stop.is_set():
                raise ScoringError("Scoring was cancelled.")
            some = [rows[i] for i in batch]
            scored = run_in_halves(self._forward, some, lambda row: len(row.ids), self.name, self.device)
            for index, values in zip(batch, scored, strict=True):
                found[index] = values
        bad = [index for index, values in enumerate(found) if not all(map(math.isfinite, values))]
        if bad:
            raise ScoringError(
                f"{self.name} gave no finite score for {', '.join(map(str, bad))}. "
                'Try dtype="float32"; if that does not help, the weights are damaged.'
            )
        return found, [row.cut for row in rows]

    def _row(self, conversation: Conversation, index: int) -> _Row:
        question = conversation.question.strip()
        if self._lines:
            start = self._tokenizer.bos_token_id
            head = ([] if start is None else [start]) + self._plain(f"{question}\n")
        else:
            before, between = self._frame(conversation.system)
            head = [*before, *self._plain(question), *between]
        body: list[int] = []
        ends: list[int] = []
        for step in conversation.steps:
            body += self._plain(step)
            ends.append(len(body))
            body.append(self._separator)
        room = self.max_tokens - len(head)
        if room < 2:
            raise ScoringError(
                f"The question of trace {index} takes {len(head)} of {self.max_tokens} tokens, which leaves no room "
                "for the solution. Raise max_tokens or shorten the question."
            )
        cut = max(0, len(body) - room)
        if cut:
            kept = room // 2
            ends = [end for end in ends if end < kept] + [end - cut for end in ends if end >= kept + cut]
            body = body[:kept] + body[kept + cut :]
        return _Row([*head, *body], [len(head) + end for end in ends], cut)

    def _frame(self, system: str | None) -> tuple[list[int], list[int]]:
        """What the chat template puts before the question, and between question and solution."""
        if system not in self._frames:
            messages = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}]
            if system is not None:
                messages.insert(0, {"role": "system", "content": system})
            if not self._tokenizer.chat_template:
                raise ConfigurationError(f"The tokenizer of {self.name} has no chat template.")
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
            if text.count(_QUESTION) != 1 or text.count(_ANSWER) != 1:
                raise ConfigurationError(
                    f"The chat template of {self.name} does not show question and answer once."
                )
            before, _, rest = text.partition(_QUESTION)
            parts = [before, rest.partition(_ANSWER)[0]]
            first, second = self._tokenizer(parts, add_special_tokens=False)["input_ids"]
            self._frames[system] = first, second
        return self._frames[system]

    def _plain(self, text: str) -> list[int]:
        """Tokens of ``text``, none of them a control token: what looks like one is read as letters."""
        cuts = [match.start() + 1 for match in self._inside.finditer(text)]
        if not cuts:
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        encoded = self._tokenizer([piece for piece in pieces if piece], add_special_tokens=False)["input_ids"]
        return [token for ids in encoded for token in ids]

    def _padded(self, length: int) -> int:
        return min(math.ceil(length / self._multiple) * self._multiple, max(length, self.max_tokens))

    def _forward(self, rows: list[_Row]) -> list[list[float]]:
        lengths = torch.tensor([len(row.ids) for row in rows])
        width = self._padded(int(lengths.max()))
        ids = torch.full((len(rows), width), self._pad)
        for line, row in zip(ids, rows, strict=True):
            line[: len(row.ids)] = torch.tensor(row.ids)
        mask = (torch.arange(width) < lengths[:, None]).long()
        with torch.inference_mode():
            hidden = self._network.model(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device), use_cache=False
            ).last_hidden_state
            lines = [line for line, row in enumerate(rows) for _ in row.ends]
            states = hidden[lines, [end for row in rows for end in row.ends]].float()
            good = self._network.log_good(states).cpu().tolist()
        values = iter(good)
        return [[next(values) for _ in row.ends] for row in rows]


def _load(
    network_class: Any,
    model: str,
    config: Any,
    dtype: torch.dtype,
    quantization: str | None,
    device: torch.device,
    revision: str | None,
) -> Any:
    placement: dict[str, Any] = {}
    if quantization:
        for package in ("bitsandbytes", "accelerate"):
            if importlib.util.find_spec(package) is None:
                raise ConfigurationError(
                    f'quantization={quantization!r} needs {package}. Run: pip install "me2sdk[local]"'
                )
        placement["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_8bit=quantization == "int8",
            load_in_4bit=quantization == "nf4",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=[network_class.head],
        )
    if quantization or device.type != "cpu":
        placement["device_map"] = {"": device}
    network, report = network_class.from_pretrained(
        model,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
        revision=revision,
        **placement,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ConfigurationError(
            f"{model} has no weights for {', '.join(missing[:5])}, so it is no process reward model of the "
            f"{'Skywork-o1-Open-PRM' if network_class is _ValueNetwork else 'Qwen2.5-Math-PRM'} architecture. A head "
            "that lies beside the weights as a pickle (.pt, .bin), as that of ReasonFlux-PRM-1.5B, is never read, "
            "since unpickling runs code: save it into the safetensors under these names. For a reward model with one "
            "output use TRMScorer."
        )
    return network.eval()
