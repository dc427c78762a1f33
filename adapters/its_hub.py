"""A scorer of me2sdk as its_hub's outcome reward model, for its `BestOfN` and other algorithms.

::

    from its_hub import BestOfN, OpenAICompatibleLanguageModel

    lm = OpenAICompatibleLanguageModel("http://localhost:8000/v1", api_key="…", model_name="…")
    BestOfN(OutcomeRewardModel("mini")).infer(lm, "What is 12 * 13?", budget=8)
"""

from __future__ import annotations

import json
import logging
from typing import Any

from me2sdk._sync import run_sync
from me2sdk.adapters._shared import aorder
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Message
from me2sdk.scorers import Scorer

try:
    from its_hub import AbstractOrchestrator, AbstractOutcomeRewardModel
    from its_hub.api import ChatMessage, ChatMessages
except ImportError as error:
    raise ImportError('me2sdk.adapters.its_hub needs its_hub. Run: pip install "me2sdk[its-hub]"') from error

__all__ = ["OutcomeRewardModel"]

_log = logging.getLogger(__name__)


class OutcomeRewardModel(AbstractOutcomeRewardModel):  # type: ignore[misc]
    """Rewards the reasoning in the last message of a conversation, the assistant's answer.

    Args:
        scorer: as in `best_of_n`.
    """

    def __init__(self, scorer: str | Scorer = "mini") -> None:
        self._scorer = scorer

    def score(self, messages: list[Any] | ChatMessages, **kwargs: Any) -> list[float] | float:
        """`ascore` without ``await``; also works while an event loop is running."""
        return run_sync(self.ascore(messages))

    async def ascore(
        self,
        messages: list[Any] | ChatMessages,
        orchestrator: AbstractOrchestrator | None = None,
        **kwargs: Any,
    ) -> list[float] | float:
        """Score a conversation, or several.

        Args:
            messages: a conversation (a list of `ChatMessage` or of dicts, or a `ChatMessages`), or a list of them.
            orchestrator: not used, since no language model is called.
            **kwargs: not used.

        Returns:
            The raw reward, or a list with one per conversation; higher is better. An answer that is empty or could
            not be scored gets minus infinity, which is less than any reward, and a warning in the log.

        Raises:
            InvalidTraceError: a conversation does not end with an answer of the assistant.
            ScoringError: no answer to one of the questions could be scored.
            ConfigurationError: the scorer lacks a dependency.
        """
        batch = isinstance(messages, list) and bool(messages) and isinstance(messages[0], list | ChatMessages)
        if isinstance(messages, list) and not messages:
            return []
        conversations = [_read(conversation) for conversation in (messages if batch else [messages])]
        # Answers to the same question are scored together: in BestOfN, all of them.
        places: dict[str, list[int]] = {}
        for place, conversation in enumerate(conversations):
            places.setdefault(json.dumps(conversation[:-1], default=str), []).append(place)
        scores = [float("-inf")] * len(conversations)
        for group in places.values():
            answers = [conversations[place][-1] for place in group]
            order, _ = await aorder(
                conversations[group[0]][:-1] or None, answers, scorer=self._scorer, select="best"
            )
            for index, candidate in order:
                if candidate is None or candidate.score is None:
                    _log.warning("An answer could not be scored and ranks last.")
                else:
                    scores[group[index]] = candidate.score
        return scores if batch else scores[0]


def _read(conversation: Any) -> list[Message]:
    turns = conversation.to_chat_messages() if isinstance(conversation, ChatMessages) else conversation
    if not isinstance(turns, list) or not all(isinstance(turn, ChatMessage | dict) for turn in turns):
        raise ConfigurationError("A conversation is a list of ChatMessage or dicts, or a ChatMessages.")
    chat = [turn.to_dict() if isinstance(turn, ChatMessage) else turn for turn in turns]
    while chat and chat[-1].get("role") == "tool":  # tool results after the answer are not part of it
        chat.pop()
    if not chat or chat[-1].get("role") != "assistant":
        raise InvalidTraceError(
            "The last message of a conversation must be the assistant's answer, to be scored."
        )
    return [{"content": None, **turn} for turn in chat]
