"""One judgement: the prompt that is sent, and the asking until its answer can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from me2sdk import prompts
from me2sdk._choices import Dimension
from me2sdk.errors import BudgetExceeded, GenerationError
from me2sdk.judge.decisions import Choice, read_decision
from me2sdk.llm import LLM
from me2sdk.schema import Message

__all__ = [
    "MAX_ASKS",
    "Judgement",
    "aggregate_prompt",
    "ask",
    "dimension_prompt",
    "prompt_versions",
]

MAX_ASKS = 3
"""How often a judge is asked before an unreadable answer counts as failed."""


class Judgement(NamedTuple):
    """What a judge said, in terms of the traces as it saw them.

    Attributes:
        choice: "1", "2", "tie", or None where no answer could be read.
        rationale: its reason.
        raw: its last answer, without its thinking.
        model: the model, or None where no answer came.
        asked: how often it was asked.
        error: why there is no choice, or None.
    """

    choice: Choice | None
    rationale: str = ""
    raw: str = ""
    model: str | None = None
    asked: int = 1
    error: str | None = None


def prompt_versions(*, structure: bool) -> dict[str, int]:
    """Version of each prompt that judging uses."""
    names = [*Dimension, "aggregate", *(["summarize"] if structure else [])]
    return {str(name): prompts.load(name).version for name in names}


def dimension_prompt(dimension: Dimension, question: str, first: str, second: str) -> str:
    """The prompt for one dimension. The text up to the criterion is the same for both of a level.

    So providers that cache prefixes bill the traces once for the two.
    """
    nonce = prompts.new_nonce(question, first, second)
    return prompts.load(dimension).fill(
        nonce=nonce,
        question=prompts.fence(question or "(not known)", nonce, "question"),
        trace_1=prompts.fence(first, nonce, "trace 1"),
        trace_2=prompts.fence(second, nonce, "trace 2"),
    )


def aggregate_prompt(
    question: str, first: str, second: str, judgements: Mapping[Dimension, Judgement]
) -> str:
    """The prompt that weighs the four dimensions against both full traces."""
    names: dict[Choice | None, str] = {"1": "Trace 1", "2": "Trace 2", "tie": "Tie"}
    assessments = "\n\n".join(
        f"{dimension.replace('_', ' ')}: {names.get(judgement.choice, 'no assessment')}\n{judgement.rationale}".rstrip()
        for dimension, judgement in judgements.items()
    )
    nonce = prompts.new_nonce(question, first, second, assessments)
    return prompts.load("aggregate").fill(
        nonce=nonce,
        question=prompts.fence(question or "(not known)", nonce, "question"),
        trace_1=prompts.fence(first, nonce, "trace 1"),
        trace_2=prompts.fence(second, nonce, "trace 2"),
        assessments=prompts.fence(assessments, nonce, "assessments"),
    )


async def ask(llm: LLM, prompt: str, repeat: int, params: Mapping[str, Any]) -> Judgement:
    """Ask a judge. An answer that cannot be read is shown to it with the reason, and it is asked again.

    Args:
        llm: the judge.
        prompt: what it is asked.
        repeat: which of several answers to the same prompt this is.
        params: parameters of the call.

    Returns:
        The judgement; its ``choice`` is None where the call failed for good or no answer could be read.

    Raises:
        ConfigurationError: a parameter cannot work.
    """
    messages: list[Message] = [{"role": "user", "content": prompt}]
    judgement = Judgement(None)
    for asked in range(1, MAX_ASKS + 1):
        try:
            generation = await llm.agenerate(messages, sample_index=repeat, **params)
        except (GenerationError, BudgetExceeded) as error:
            return judgement._replace(asked=asked, error=f"{type(error).__name__}: {error}")
        reading = read_decision(generation.message, generation.finish_reason)
        if reading.choice is not None:
            return Judgement(reading.choice, reading.rationale, reading.said, generation.model, asked)
        problem = f"The answer could not be read: {reading.problem}."
        judgement = Judgement(None, "", reading.said, generation.model, asked, problem)
        again = (
            f"{problem} Answer again: one short paragraph, then one line with <|decision|>Trace 1, "
            "<|decision|>Trace 2 or <|decision|>Tie, and nothing after it."
        )
        messages = [
            messages[0],
            # Some providers refuse empty messages; the end is where the decision should have been.
            {"role": "assistant", "content": reading.said[-4000:] or "(no answer)"},
            {"role": "user", "content": again},
        ]
    return judgement
