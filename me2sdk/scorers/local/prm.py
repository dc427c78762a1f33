"""`PRMScorer`: process reward models, the baselines that the paper compares with (§5.3, App. G.2)."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Question, Scores, Trace
from me2sdk.scorers.base import Questions, read_inputs
from me2sdk.scorers.local.trm import DType, Quantization, TRMScorer
from me2sdk.scorers.text import answer_text, prompt_text

if TYPE_CHECKING:
    from me2sdk.scorers.local.prm_models import Conversation, ProcessRewardModel

__all__ = ["PRMScorer", "is_process_reward_model"]

Reduction = Literal["mean", "min", "product", "last"]
Form = Literal["auto", "qwen", "reasonflux", "skywork"]
_Inputs = list[tuple[Question | None, Trace]]

# What the model card of Qwen2.5-Math-PRM-7B puts into the system message.
_QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
_VALUE_HEAD = "Qwen2ForPrmModel"
_ARCHITECTURES = ("Qwen2ForProcessRewardModel", _VALUE_HEAD)
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")


class PRMScorer(TRMScorer):
    """Score traces with a process reward model: Qwen2.5-Math-PRM, ReasonFlux-PRM-7B, or Skywork-o1-Open-PRM.

    Such a model reads question and solution, with a token after each step, and gives there a probability that the step
    is good. As in the paper the solution is **trace and response** (§5.3), joined by a blank line and without
    ``<think>`` tags.

    Of the architecture ``Qwen2ForProcessRewardModel`` two forms of input are known. Both are chats, and steps are the
    blocks between blank lines, as the model cards say (not the steps of `split_steps`), with ``<extra_0>`` after each:

    - "qwen" (model card of Qwen/Qwen2.5-Math-PRM-7B): with the card's system message, read once.
    - "reasonflux" (repository of Gen-Verse/ReasonFlux-PRM-7B): without one of our own, so that the chat template's
      default stands; read twice, with ``<extra_0>`` after each step and after the whole solution only, and the two
      averaged, as the paper does. ReasonFlux-PRM-1.5B is of another architecture, with a pickled head, and is not read
      here.

    Of the architecture ``Qwen2ForPrmModel`` (a linear value head) one:

    - "skywork" (code of Skywork-o1-Open-PRM-Qwen-2.5-1.5B and -7B): the question, a line break and the solution,
      without a chat template. Steps are lines; blank ones are left out. These models came out with pickled weights,
      which are never read: save them as safetensors first.

    The network is put together from transformers' Qwen2 and the published head, whose weights are loaded by their
    published names from safetensors: no code of the checkpoint runs, and none can be allowed to. Checked against a
    direct computation on small random checkpoints of this layout; the published weights themselves, of 15 GB and more,
    have not been run in development.

    Text that looks like ``<extra_0>`` or another control token is read as plain letters, so that a trace cannot forge
    a step. A solution that does not fit ``max_tokens`` (Qwen's card allows 4,096) is cut in the middle as by
    `TRMScorer`: its beginning and its end stay, steps whose end is cut away do not count, and ``.truncated`` says how
    many tokens were left out.

    Args:
        model: hub name or folder.
        form: "qwen", "reasonflux", "skywork", or "auto": what the model's name says, or the config in its folder, else
            "qwen".
        reduction: how the steps' probabilities become one number. "mean" is what the paper's implementation does for
            ReasonFlux; for Qwen-PRM the paper names none. "min" is the weakest step, "last" the last one, "product"
            the logarithm of the product, which orders solutions as the product does and does not vanish.
        quantization: as for `TRMScorer`, and so are the rest.
        device: …
        dtype: …
        max_tokens: …
        batch_tokens: …
        revision: …

    Raises:
        ConfigurationError: an argument cannot work.

    Example:
        ```python
        from me2sdk.scorers import PRMScorer
        from me2sdk.testing import tiny_process_reward_model

        model = str(tiny_process_reward_model("my-prm"))  # or "Qwen/Qwen2.5-Math-PRM-7B"
        print(len(PRMScorer(model).score("What is 3 + 4?", ["3 + 4 = 7.", "3 + 4 = 8."])))  # 2
        ```
    """

    def __init__(
        self,
        model: str,
        *,
        form: Form = "auto",
        reduction: Reduction = "mean",
        quantization: Quantization | None = None,
        device: str = "auto",
        dtype: DType | None = None,
        max_tokens: int | None = None,
        batch_tokens: int | None = None,
        revision: str | None = None,
    ) -> None:
        if form not in get_args(Form):
            raise ConfigurationError(f'form is "auto", "qwen", "reasonflux" or "skywork", not {form!r}.')
        if reduction not in get_args(Reduction):
            raise ConfigurationError(f'reduction is "mean", "min", "product" or "last", not {reduction!r}.')
        if model == "mini":
            raise ConfigurationError('"mini" is no process reward model. Use TRMScorer("mini").')
        super().__init__(
            model,
            quantization=quantization,
            device=device,
            dtype=dtype,
            max_tokens=max_tokens,
            batch_tokens=batch_tokens,
            revision=revision,
            reads="both",
            template="chat",
        )
        self.form = _find_form(model) if form == "auto" else form
        if self.form == "skywork":
            self.template = "plain"
        self.reduction: Reduction = reduction
        self._network: ProcessRewardModel | None = None

    def __repr__(self) -> str:
        return f"PRMScorer({self.name!r}, form={self.form!r}, reduction={self.reduction!r})"

    def step_scores(self, question: Questions, traces: Sequence[Trace | str]) -> list[list[float]]:
        """The probability that each step is good.

        Args:
            question: as for `score`.
            traces: as for `score`.

        Returns:
            for each trace one probability per step, in [0, 1]; where its middle was left out, of the steps that end in
            what was read.

        Raises:
            ConfigurationError, InvalidTraceError, ScoringError: as for `score`.
        """
        inputs = read_inputs(question, traces)
        with self._lock:
            self._load()
            assert self._network is not None
            found, _ = self._network.log_probabilities(
                [self._conversation(*pair) for pair in inputs], threading.Event()
            )
        return [[math.exp(value) for value in values] for values in found]

    def _load(self) -> Callable[[_Inputs, threading.Event], Scores]:
        if self._network is None:
            try:
                from me2sdk.scorers.local.prm_models import ProcessRewardModel
            except ImportError as error:
                raise ConfigurationError(
                    f"Scoring with {self.model!r} needs torch and transformers ({error}). "
                    'Run: pip install "me2sdk[local]"'
                ) from error
            self._network = ProcessRewardModel(
                self.model,
                quantization=self.quantization,
                device=self.device,
                dtype=self.dtype,
                max_tokens=self.max_tokens,
                batch_tokens=self.batch_tokens,
                revision=self.revision,
                lines=self.form == "skywork",
            )
        return self._rewards

    def _rewards(self, inputs: _Inputs, stop: threading.Event) -> Scores:
        assert self._network is not None
        whole = [True, False] if self.form == "reasonflux" else [False]
        conversations = [self._conversation(*pair, whole=one) for pair in inputs for one in whole]
        found, cut = self._network.log_probabilities(conversations, stop)
        values = [_reduce(one, self.reduction) for one in found]
        passes = len(whole)
        return Scores(
            [sum(values[start : start + passes]) / passes for start in range(0, len(values), passes)],
            cut[passes - 1 :: passes],
        )

    def _conversation(self, question: Question | None, trace: Trace, *, whole: bool = False) -> Conversation:
        from me2sdk.scorers.local.prm_models import Conversation

        text = answer_text(trace, "both")
        if self.form == "skywork":
            steps = text.split("\n")
        else:
            steps = [text] if whole else [step.strip() for step in _BLANK_LINES.split(text)]
        return Conversation(
            system=_QWEN_SYSTEM if self.form == "qwen" else None,
            question=prompt_text(question),
            steps=[step for step in steps if step.strip()],
        )


def _reduce(logarithms: Sequence[float], reduction: Reduction) -> float:
    if reduction == "product":
        return math.fsum(logarithms)
    probabilities = [math.exp(value) for value in logarithms]
    if reduction == "mean":
        return math.fsum(probabilities) / len(probabilities)
    return min(probabilities) if reduction == "min" else probabilities[-1]


def is_process_reward_model(model: str, revision: str | None = None) -> bool:
    """Whether a checkpoint's config names the architecture that `PRMScorer` reads.

    Args:
        model: a folder, or a hub name; of the latter the config is fetched.
        revision: branch, tag or commit on the hub.

    Returns:
        True if so; False if it is of another architecture or its config cannot be read.
    """
    if Path(model).exists():
        return _architecture(model) is not None
    try:
        from transformers import PretrainedConfig

        config, _ = PretrainedConfig.get_config_dict(model, revision=revision)
    except (OSError, ValueError, ImportError):
        return False
    return _known(config) is not None


def _find_form(model: str) -> Form:
    """What the name of a model says about its form, or the config in its folder; nothing is fetched."""
    name = Path(model).name.lower()
    if "reasonflux" in name:
        return "reasonflux"
    if "skywork" in name or _architecture(model) == _VALUE_HEAD:
        return "skywork"
    return "qwen"


def _architecture(folder: str) -> str | None:
    """The architecture of the model in a folder, if it is a process reward model."""
    try:
        return _known(json.loads((Path(folder) / "config.json").read_text("utf-8")))
    except (OSError, ValueError):
        return None


def _known(config: Any) -> str | None:
    named = (config.get("architectures") or ()) if isinstance(config, dict) else ()
    return next((name for name in named if name in _ARCHITECTURES), None)
