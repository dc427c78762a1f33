"""Test doubles for applications that use me2sdk."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from me2sdk.annotate import Annotate, LocalAnnotator, annotate_shown, write_annotations
from me2sdk.errors import ConfigurationError
from me2sdk.prompts import FilledPrompt, read_filled
from me2sdk.schema import Message

__all__ = ["FakeCall", "FakeModel", "tiny_process_reward_model", "tiny_reward_model"]

_CONTEXT = 8192


class FakeCall(NamedTuple):
    """A call that a `FakeModel` got.

    Attributes:
        kind: "question" for a question of the application, else the name of the SDK's prompt: "annotate",
            "annotate_window", "summarize", "macro_efficiency", "macro_effectiveness", "micro_efficiency",
            "micro_effectiveness", "aggregate", "verify", "score_points" or "score_list".
        messages: the messages that were sent.
        params: the parameters of the call.

    Example:
        ```python
        from me2sdk import parse_dag
        from me2sdk.testing import FakeModel

        model = FakeModel()
        parse_dag(["2 + 2?", "Count: 4.", "So 4."], model=model)
        print(model.calls[-1].kind)  # annotate
        ```
    """

    kind: str
    messages: Sequence[Message]
    params: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """The text of the first message, which is the whole prompt unless an answer had to be asked for again."""
        return str(self.messages[0].get("content"))


class FakeModel:
    r"""A model function for tests of applications: it costs nothing, uses no network, and always says the same.

    It recognises the prompts of the SDK, and plays the annotator, the judge, the scorer, the summariser and the
    verifier in answers of the right form. Anything else is a question of the application, and gets the answers that
    you pass.
    Pass it as ``model=`` to any verb. It is called with ``await model(messages)``; `answer` is the same without
    ``await``, and a model function, too, which the SDK calls in threads.

    Args:
        answers: what it says to questions: a text; several texts, in turn and from the start again; or a function
            ``f(messages, **params)`` that returns the text.
        judge: which of two traces is better: "first" or "second" as they are shown (a judge with a position bias),
            "shorter", or a function of the two texts that returns "first", "second" or "tie". Any other text that
            it returns becomes the whole answer. The texts are views of the traces, so they differ between criteria.
        annotate: how a step is attached: a function ``f(step, pool, nodes)`` as the method of an `Annotator`; by
            default that of `LocalAnnotator`. Of the earlier steps it sees those that the prompt shows.
        summarize: a function from the text of a part to its sentence; by default the start of the text.
        verify: a function of the reference and the student's answer that says whether they mean the same; by
            default always.
        grade: what a trace is worth to it as a `JudgeScorer`: a function of the text that returns a whole number from 0
            to 10; by default less the longer it is.
        fail_every: n makes every n-th call fail on purpose, 1 every call; 0 none.
        failure: how it fails: a text is the answer, which as a judgement, an annotation, a summary or a verification
            cannot be read; an exception is raised.
        name: the model's name in results.

    Attributes:
        calls: what it was asked, in order. A function that you pass sees its own call as the last one, as long as calls
            do not come from several threads.

    Raises:
        ConfigurationError: an argument cannot work.

    Example:
        ```python
        from me2sdk import best_of_n
        from me2sdk.testing import FakeModel

        model = FakeModel(["So it must be 41.", "It is 42."])
        result = best_of_n("What is 6 * 7?", model=model, n=2, scorer="shortest")
        print(result.best.response, [call.kind for call in model.calls])  # It is 42. ['question', 'question']
        ```
    """

    def __init__(
        self,
        answers: str | Sequence[str] | Callable[..., str] = r"The answer is \boxed{42}.",
        *,
        judge: Literal["first", "second", "shorter"] | Callable[[str, str], str] = "shorter",
        annotate: Annotate | None = None,
        summarize: Callable[[str], str] | None = None,
        verify: Callable[[str, str], bool] | None = None,
        grade: Callable[[str], int] | None = None,
        fail_every: int = 0,
        failure: str | Exception = "I cannot say.",
        name: str = "fake",
    ) -> None:
        if not answers or fail_every < 0:
            raise ConfigurationError("Pass at least one answer, and fail_every=0 or more.")
        if isinstance(judge, str) and judge not in ("first", "second", "shorter"):
            raise ConfigurationError(
                f'judge is "first", "second", "shorter" or a function, not {judge!r:.80}.'
            )
        self.calls: list[FakeCall] = []
        self.__name__ = name
        self._answers = answers if callable(answers) else _in_turn(answers)
        self._judge = _shorter if judge == "shorter" else judge
        self._annotate = annotate or LocalAnnotator().annotate
        self._summarize = summarize or _start
        self._verify = verify
        self._grade = grade or _brevity
        self._fail_every = fail_every
        self._failure = failure

    async def __call__(self, messages: Sequence[Message], **params: Any) -> str:
        """The answer to messages; see `answer`."""
        return self.answer(messages, **params)

    def answer(self, messages: Sequence[Message], **params: Any) -> str:
        """The answer to messages, without ``await``.

        Args:
            messages: what the model is asked. The first says which role it plays.
            **params: kept in `calls`, and passed to ``answers`` if that is a function.

        Returns:
            The text.

        Raises:
            Exception: the ``failure`` that was asked for.
        """
        prompt = read_filled(messages)
        self.calls.append(FakeCall(prompt.name if prompt else "question", messages, params))
        if self._fail_every and len(self.calls) % self._fail_every == 0:
            if isinstance(self._failure, Exception):
                raise self._failure
            return self._failure
        return self._reply(prompt) if prompt else self._answers(messages, **params)

    def _reply(self, prompt: FilledPrompt) -> str:
        if prompt.parts:
            return "\n".join(f"[{number}] {self._summarize(text)}" for number, text in prompt.parts.items())
        if prompt.new_steps:
            return write_annotations(annotate_shown(prompt, self._annotate))
        if prompt.name == "verify":
            shown = prompt.fenced["reference answer"], prompt.fenced["student answer"]
            same = self._verify is None or self._verify(*shown)
            return f"Both were compared.\nFinal Decision: {'Yes' if same else 'No'}"
        if prompt.name == "score_points":
            return f"It was read.\n<|decision|>{self._grade(prompt.fenced['graded trace'])}"
        if prompt.name == "score_list":
            return f"All were read.\n<|decision|>{self._order(prompt.listed)}"
        better = self._judge(*prompt.traces) if callable(self._judge) else self._judge
        if better not in _DECISIONS:
            return better
        return f"Trace 1 is one thing, Trace 2 another.\n<|decision|>{_DECISIONS[better]}"

    def _order(self, traces: Sequence[str]) -> str:
        tiers: dict[int, list[str]] = {}
        for number, text in enumerate(traces, 1):
            tiers.setdefault(self._grade(text), []).append(str(number))
        return " > ".join(" = ".join(tiers[grade]) for grade in sorted(tiers, reverse=True))


_DECISIONS = {"first": "Trace 1", "second": "Trace 2", "tie": "Tie"}


def _in_turn(texts: str | Sequence[str]) -> Callable[..., str]:
    endless = itertools.cycle([texts] if isinstance(texts, str) else texts)
    return lambda messages, **params: next(endless)


def _shorter(first: str, second: str) -> str:
    return "tie" if len(first) == len(second) else "first" if len(first) < len(second) else "second"


def _brevity(text: str) -> int:
    return round(1000 / (100 + len(text)))


def _start(text: str) -> str:
    return " ".join(text.split())[:60]


def tiny_reward_model(
    path: str | os.PathLike[str], *, architecture: Literal["llama", "qwen2", "bert"] = "llama", seed: int = 0
) -> Path:
    """Write a tiny reward model with random weights, for tests. `TRMScorer(str(path))` loads it in no time.

    Its scores mean nothing, but they are deterministic and differ from text to text. One token is one byte,
    and the context is 8192 tokens. Needs ``pip install "me2sdk[local]"``; nothing is downloaded.

    Args:
        path: the folder to write, created if need be: config, safetensors and tokenizer.
        architecture: "llama" (as TRM-8B: the text gets a leading special token), "qwen2" (no special tokens)
            or "bert" (an encoder, with special tokens at both ends).
        seed: of the weights. The same seed gives the same weights.

    Returns:
        ``path``.

    Raises:
        ConfigurationError: the architecture is unknown, or torch and transformers are not installed.

    Example:
        ```python
        from me2sdk import TRMScorer
        from me2sdk.testing import tiny_reward_model

        scorer = TRMScorer(str(tiny_reward_model("tiny")))
        print(len(scorer.score("What is 3 + 4?", ["3 + 4 = 7."])))  # 1
        ```
    """
    if architecture not in ("llama", "qwen2", "bert"):
        raise ConfigurationError(f'architecture is "llama", "qwen2" or "bert", not {architecture!r}.')
    _need_transformers("tiny_reward_model")
    import torch
    import transformers
    from safetensors.torch import save_file

    bos, eos = "<bos>", "<eos>"
    template = {"llama": f"{bos} $A", "qwen2": "$A", "bert": f"{bos} $A {eos}"}[architecture]
    tokenizer, size = _byte_tokenizer([bos, eos, "<pad>"], template)

    config_class = {
        "llama": transformers.LlamaConfig,
        "qwen2": transformers.Qwen2Config,
        "bert": transformers.BertConfig,
    }[architecture]
    config = config_class(
        vocab_size=size,
        # Multiples of 64, which 4-bit quantization needs.
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=_CONTEXT,
        num_labels=1,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        # Wide enough that different texts get clearly different scores.
        initializer_range=0.3,
        **({} if architecture == "bert" else {"num_key_value_heads": 2}),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classes = transformers.AutoModelForSequenceClassification
        model = classes.from_config(config)
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    # Not model.save_pretrained, which draws a progress bar.
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    return folder


# As Qwen's own: a default system message where none is given.
_CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
)


def tiny_process_reward_model(path: str | os.PathLike[str], *, seed: int = 0) -> Path:
    """Write a tiny process reward model with random weights, for tests. `PRMScorer(str(path))` loads it in no time.

    Its architecture and the names of its weights are those of Qwen2.5-Math-PRM-7B. Its probabilities mean nothing,
    but they are deterministic and differ from text to text. One token is one byte, and the context is 8192 tokens.
    Needs ``pip install "me2sdk[local]"``; nothing is downloaded.

    Args:
        path: the folder to write, created if need be: config, safetensors and tokenizer.
        seed: of the weights. The same seed gives the same weights.

    Returns:
        ``path``.

    Raises:
        ConfigurationError: torch and transformers are not installed.

    Example:
        ```python
        from me2sdk.scorers import PRMScorer
        from me2sdk.testing import tiny_process_reward_model

        scorer = PRMScorer(str(tiny_process_reward_model("tiny")))
        print(len(scorer.step_scores("What is 3 + 4?", ["3 + 4 = 7."])[0]))  # 1
        ```
    """
    _need_transformers("tiny_process_reward_model")
    import torch
    import transformers
    from safetensors.torch import save_file

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>"]
    tokenizer, size = _byte_tokenizer(specials, "$A", eos="<|im_end|>", pad="<|endoftext|>")
    tokenizer.chat_template = _CHAT_TEMPLATE
    config = transformers.Qwen2Config(
        vocab_size=size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=_CONTEXT,
        tie_word_embeddings=False,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        base = transformers.AutoModel.from_config(config)
        head = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
    weights = {f"model.{name}": weight for name, weight in base.state_dict().items()}
    weights |= {f"score.{name}": weight for name, weight in head.state_dict().items()}
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    config.architectures = ["Qwen2ForProcessRewardModel"]
    config.auto_map = {"AutoModel": "modeling_qwen2_rm.Qwen2ForProcessRewardModel"}
    config.save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    return folder


def _need_transformers(name: str) -> None:
    try:
        import tokenizers  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f'{name} needs torch and transformers ({error}). Run: pip install "me2sdk[local]"'
        ) from error


def _byte_tokenizer(specials: list[str], template: str, **roles: str) -> tuple[Any, int]:
    """A tokenizer of bytes and special tokens, and the size of its vocabulary.

    Args:
        specials: the special tokens; without ``roles`` the first three are those for beginning, end and padding.
        template: how a text is framed.
        **roles: "eos" and "pad", where the model has other tokens for them and none for the beginning.
    """
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    symbols = specials + sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(symbols)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, index) for index, token in enumerate(specials[:2])]
    )
    core.add_special_tokens(specials)
    roles = roles or dict(zip(("bos", "eos", "pad"), specials, strict=False))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=_CONTEXT,
        **{f"{role}_token": token for role, token in roles.items()},
    )
    return tokenizer, len(symbols)
