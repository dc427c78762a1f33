"""What a server is sent: texts, or chats as messages or as token ids."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Question, Trace
from me2sdk.scorers.remote.protocols import ServerProtocol
from me2sdk.scorers.text import (
    TRACE_OFFSETS,
    Reads,
    Template,
    answer_texts,
    chat_messages,
    is_known_plain,
    question_prefix,
)

if TYPE_CHECKING:
    from me2sdk.scorers.local.chat import ChatTemplate

__all__ = ["ScoringRequest", "ServerInputs", "choose_template"]

_log = logging.getLogger(__name__)
_LONGEST_HEADER = 4000  # characters; servers and proxies refuse headers that are much longer


@dataclass(frozen=True)
class ScoringRequest:
    """One request: its JSON body and headers, and which traces of the call it is about."""

    body: dict[str, Any]
    traces: range
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The traces in words."""
        first, last = self.traces[0], self.traces[-1]
        return f"trace {first}" if first == last else f"traces {first} to {last}"


def choose_template(template: Template, tokenizer: str | None, model: str | None) -> Literal["plain", "chat"]:
    """What a server is sent: "auto" is a chat where there is a tokenizer; a plain text that is a guess is logged."""
    if template != "auto":
        return template
    if tokenizer is not None:
        return "chat"
    if model is not None and not is_known_plain(model):
        _warn_of_guess(model)
    return "plain"


@lru_cache(maxsize=256)
def _warn_of_guess(model: str) -> None:
    _log.warning(
        'Question and trace go to %s as plain text, which is a guess. Pass template="plain" if it was trained so, as '
        'TRM-8B and the models of me2 train rm were, or "chat" if it reads its chat template.', model
    )  # fmt: skip


class ServerInputs:
    """What a server is sent for traces.

    Args:
        protocol: of the server.
        model: name of the served model.
        reads: the part of a trace that is scored.
        template: whether the model reads plain text or a chat.
        tokenizer: hub name or folder, for a server that takes chats as token ids.
        batch_size: most traces in one request.

    Raises:
        ConfigurationError: the server cannot be sent chats so, or has no use for a tokenizer.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        model: str | None,
        *,
        reads: Reads,
        template: Literal["plain", "chat"],
        tokenizer: str | None,
        batch_size: int,
    ) -> None:
        if template == "chat" and protocol.chats is None:
            raise ConfigurationError(
                "Text Embeddings Inference takes texts only, to which it adds special tokens of its own, so it cannot "
                "be sent chats. Serve the model with vLLM or SGLang."
            )
        if template == "chat" and protocol.chats == "tokens" and tokenizer is None:
            raise ConfigurationError(
                "SGLang does not apply chat templates where it scores, so chats are sent as token ids: pass "
                "tokenizer=, the hub name or folder of the model's tokenizer."
            )
        if tokenizer is not None and (template == "plain" or protocol.chats != "tokens"):
            raise ConfigurationError(
                'tokenizer is for chats (template="chat") that go to SGLang. Leave it out: this server gets the text.'
            )
        self._protocol = protocol
        self._model = model
        self._reads = reads
        self._as_chat = template == "chat"
        self._tokenizer = tokenizer
        self._batch_size = batch_size

    @cached_property
    def _template(self) -> ChatTemplate:
        from me2sdk.scorers.local import load_chat_template

        assert self._tokenizer is not None
        return load_chat_template(self._tokenizer)

    def requests(self, inputs: Sequence[tuple[Question | None, Trace]]) -> list[ScoringRequest]:
        """The requests for questions and traces, in order.

        Raises:
            InvalidTraceError: a trace has nothing of what is read.
            ConfigurationError, ScoringError: the chat template cannot be loaded, or cannot show a question.
        """
        answers = answer_texts([trace for _, trace in inputs], self._reads)
        pairs = [(question, answer) for (question, _), answer in zip(inputs, answers, strict=True)]
        size = 1 if self._as_chat and self._protocol.chats == "messages" else self._batch_size
        return [self._request(pairs[start : start + size], start) for start in range(0, len(pairs), size)]

    def _request(self, pairs: list[tuple[Question | None, str]], start: int) -> ScoringRequest:
        traces = range(start, start + len(pairs))
        if not self._as_chat:
            prefixes = [question_prefix(question) for question, _ in pairs]
            texts = [prefix + answer for prefix, (_, answer) in zip(prefixes, pairs, strict=True)]
            # For `me2 serve`, whose scorers may read the question and the trace apart.
            offsets = ",".join(str(len(prefix)) for prefix in prefixes)
            headers = {TRACE_OFFSETS: offsets} if len(offsets) <= _LONGEST_HEADER else {}
            return ScoringRequest(self._protocol.request(texts, self._model), traces, headers)
        if self._protocol.chats == "tokens":
            return ScoringRequest(self._protocol.request(self._template.tokens(pairs), self._model), traces)
        ((question, answer),) = pairs
        chat = [*chat_messages(question), {"role": "assistant", "content": answer}]
        return ScoringRequest(self._protocol.chat(chat, self._model), traces)
