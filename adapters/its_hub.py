"""Scorers of me2sdk as its_hub's reward models: any one for its `BestOfN`, a `PRMScorer` for its step-by-step searches.

::

    from its_hub import BestOfN, OpenAICompatibleLanguageModel

    lm = OpenAICompatibleLanguageModel("http://localhost:8000/v1", api_key="…", model_name="…")
    BestOfN(OutcomeRewardModel("mini")).infer(lm, "What is 12 * 13?", budget=8)

    steps = StepGeneration(max_steps=32, step_token="\n\n", stop_token="\\boxed")
    prm = ProcessRewardModel("Qwen/Qwen2.5-Math-PRM-7B")
    ParticleFiltering(steps, prm).infer(lm, "What is 12 * 13?", budget=8)
"""

from __future__ import annotations

import json
import logging
import math
from typing import Any

from me2sdk._sync import run_sync
from me2sdk.adapters._shared import aorder
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Message, Trace
from me2sdk.scorers import PRMScorer, Scorer, open_scorer, score_each

try:
    from its_hub import AbstractOrchestrator, AbstractOutcomeRewardModel, AbstractProcessRewardModel
    from its_hub.api import ChatMessage, ChatMessages
except ImportError as error:
    raise ImportError('me2sdk.adapters.its_hub needs its_hub. Run: pip install "me2sdk[its-hub]"') from error

__all__ = ["OutcomeRewardModel", "ProcessRewardModel"]

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


class ProcessRewardModel(AbstractProcessRewardModel):  # type: ignore[misc]
    """Says how likely all is well so far in solutions that are still being written.

    For its_hub's `BeamSearch`, `ParticleFiltering` and `ParticleGibbs`. The whole solution so far is read at each step,
    and its steps are found in it again: let `StepGeneration` end steps where the model does, at blank lines
    (``step_token="\\n\\n"``), or at line breaks for Skywork's.

    Args:
        scorer: a `PRMScorer`, or the folder or hub name of a process reward model. Its ``reduction`` says what becomes
            of the steps' probabilities.

    Raises:
        ConfigurationError: it is another scorer.
    """

    def __init__(self, scorer: str | PRMScorer) -> None:
        opened = open_scorer(scorer)
        if not isinstance(opened, PRMScorer):
            raise ConfigurationError(
                f"{scorer if isinstance(scorer, str) else type(scorer).__name__} is no process reward model, whose "
                'probabilities its_hub searches by. Pass a PRMScorer, or "prm:" and a folder or hub name; '
                "OutcomeRewardModel takes any scorer."
            )
        self._scorer = opened

    def score(self, prompt_or_messages: Any, steps: str | list[str]) -> list[float] | float:
        """`ascore` without ``await``; also works while an event loop is running."""
        return run_sync(self.ascore(prompt_or_messages, steps))

    async def ascore(self, prompt_or_messages: Any, steps: str | list[str]) -> list[float] | float:
        """Score solutions, finished or not.

        Args:
            prompt_or_messages: the question: a text, a list of `ChatMessage`, or a `ChatMessages`.
            steps: a solution so far, or a list of them; its_hub calls them steps.

        Returns:
            The probability of the solution, or a list with one per solution. A solution that is empty or could not be
            scored gets 0, so that a search gives it up, and a warning in the log.

        Raises:
            ScoringError: no solution could be scored.
            ConfigurationError: the model cannot be loaded.
        """
        texts = [steps] if isinstance(steps, str) else list(steps)
        places = [place for place, text in enumerate(texts) if text.strip()]
        scored = await score_each(
            self._scorer,
            _question(prompt_or_messages),
            [Trace.from_text(texts[place]) for place in places],
            fatal=(ConfigurationError,),
        )
        found = [0.0] * len(texts)
        for place, one in zip(places, scored, strict=True):
            if one.score is not None:
                found[place] = math.exp(one.score) if self._scorer.reduction == "product" else one.score
        errors = [one.error for one in scored if one.error is not None]
        if errors and len(errors) == len(scored):
            raise errors[0]
        if lost := len(texts) - len(scored) + len(errors):
            _log.warning("%d of %d solutions could not be scored and count as 0.", lost, len(texts))
        return found[0] if isinstance(steps, str) else found


def _question(prompt_or_messages: Any) -> str | list[Message]:
    """What was asked, as our scorers read it."""
    messages = ChatMessages.from_prompt_or_messages(prompt_or_messages)
    if messages.is_string:
        return str(messages.to_prompt())
    return [{"content": None, **turn.to_dict()} for turn in messages.to_chat_messages()]


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
