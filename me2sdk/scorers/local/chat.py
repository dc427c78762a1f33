"""Chat templates of reward models: which models read one, and the text that it makes of a question and an answer.

Imports transformers only to load a tokenizer, and torch never, so that a client of a server does without it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from me2sdk.errors import ConfigurationError, ScoringError
from me2sdk.schema import Question
from me2sdk.scorers.text import Template, chat_messages, is_known_plain

__all__ = ["TEMPLATE_KEY", "ChatTemplate", "choose_template", "known_template", "load_chat_template"]

_log = logging.getLogger(__name__)
TEMPLATE_KEY = "me2_template"
"""Key of a reward model's ``config.json`` that says what it reads, "plain" or "chat"; `me2 train rm` writes it."""

_ANSWER = "\x02answer\x03"  # the place of the answer in the rendered template


class ChatTemplate:
    """The chat template of a tokenizer.

    Args:
        model: name of the model, for messages.
        tokenizer: of transformers.

    Raises:
        ConfigurationError: it has no chat template.
    """

    def __init__(self, model: str, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ConfigurationError(
                f'The tokenizer of {model} has no chat template. Pass template="plain", or put a chat_template.jinja '
                "beside the tokenizer."
            )
        self.model = model
        self._tokenizer = tokenizer

    def parts(self, inputs: Sequence[tuple[Question | None, str]]) -> list[tuple[str, str]]:
        """Questions and answers as chats: the question's turns, then the answer as the assistant's.

        Args:
            inputs: questions and answers.

        Returns:
            for each two texts, whose concatenation is the chat: what precedes the answer, which is the same for all
            answers to a question, and the answer with what closes its turn. No generation prompt follows, and
            special tokens are in the text.

        Raises:
            ConfigurationError: the template does not show what the assistant says.
            ScoringError: the template cannot show a question, for instance a system message.
        """
        frames: dict[tuple[tuple[str, str], ...], tuple[str, str]] = {}
        parts = []
        for question, answer in inputs:
            messages = chat_messages(question)
            key = tuple((message["role"], message["content"]) for message in messages)
            if key not in frames:
                frames[key] = self._frame(messages)
            before, after = frames[key]
            parts.append((before, answer + after))
        return parts

    def tokens(self, inputs: Sequence[tuple[Question | None, str]]) -> list[list[int]]:
        """The token ids of questions and answers as chats; the rest as for `parts`."""
        texts = [before + rest for before, rest in self.parts(inputs)]
        return [list(ids) for ids in self._tokenizer(texts, add_special_tokens=False)["input_ids"]]

    def _frame(self, messages: list[dict[str, str]]) -> tuple[str, str]:
        """The texts before and after the answer."""
        try:
            text = self._tokenizer.apply_chat_template(
                [*messages, {"role": "assistant", "content": _ANSWER}],
                tokenize=False,
                add_generation_prompt=False,
            )
        except Exception as error:  # a template is a program of its own, and says so in many ways
            raise ScoringError(
                f"The chat template of {self.model} cannot show a question with the roles "
                f"{', '.join(message['role'] for message in messages)}: {error}"
            ) from error
        before, found, after = text.rpartition(_ANSWER)
        if not found:
            raise ConfigurationError(
                f'The chat template of {self.model} does not show what the assistant says. Pass template="plain".'
            )
        return before, after


def choose_template(model: str, asked: Template, config: Any, tokenizer: Any) -> Literal["plain", "chat"]:
    """Whether a reward model reads plain text or a chat.

    Args:
        model: its folder or hub name.
        asked: "auto" to find out: what its config says; "plain" for models known to be so, and where the tokenizer
            has no chat template; else "chat", which is a guess and therefore logged, once for each model.
        config: its config.
        tokenizer: its tokenizer.
    """
    if asked != "auto":
        return asked
    if known := known_template(model, config):
        return known
    if not getattr(tokenizer, "chat_template", None):
        return "plain"
    _warn_of_guess(model)
    return "chat"


def known_template(model: str, config: Any) -> Literal["plain", "chat"] | None:
    """What a reward model is known to read: by its config, its name, or what lies beside it; None if it is not."""
    match getattr(config, TEMPLATE_KEY, None):
        case "plain":
            return "plain"
        case "chat":
            return "chat"
    return "plain" if is_known_plain(model) or _is_trained_here(Path(model)) else None


def _is_trained_here(folder: Path) -> bool:
    """Whether `me2 train rm` wrote this folder, perhaps before it said so in the config."""
    home = folder.parent if folder.name == "merged" else folder
    return (home / "report.json").is_file() and (home / "settings.json").is_file()


@functools.lru_cache(maxsize=256)
def _warn_of_guess(model: str) -> None:
    _log.warning(
        'Question and trace go to %s in its chat template, since its tokenizer has one: this is a guess. Pass template='
        '"chat" if the model was trained so, or "plain" if it reads the question, a line break and the trace.', model
    )  # fmt: skip


def load_chat_template(name: str) -> ChatTemplate:
    """The chat template of a tokenizer in a folder or on the hub.

    Raises:
        ConfigurationError: transformers is not installed, or there is no such tokenizer or template.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ConfigurationError(
            f'tokenizer={name!r} needs transformers ({error}). Run: pip install "me2sdk[local]"'
        ) from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The tokenizer {name!r} could not be loaded: {error}") from error
    tokenizer.model_max_length = int(1e30)  # or it warns about lengths; the server has the limit
    return ChatTemplate(name, tokenizer)
