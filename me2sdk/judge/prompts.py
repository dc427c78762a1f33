"""One judgement: its prompt, and asking until the answer can be read."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, NamedTuple

from me2sdk import prompts
from me2sdk._choices import Dimension
from me2sdk.judge.decisions import Choice, read_decision
from me2sdk.llm import LLM, Generation
from me2sdk.schema import Question

__all__ = [
    "Judgement",
    "aggregate_prompt",
    "dimension_prompt",
    "judge_once",
    "prompt_versions",
]

_FORM = "one short paragraph, then one line with <|decision|>Trace 1, <|decision|>Trace 2 or <|decision|>Tie"


class Judgement(NamedTuple):
    """What a judge decided, in terms of the traces as they were shown.

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
    """The prompt for one dimension.

    Both dimensions of a level share the text up to the criterion, so providers that cache prefixes bill the traces
    once for the two.
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


async def judge_once(llm: LLM, prompt: str, repeat: int, params: Mapping[str, Any]) -> Judgement:
    """Ask a judge. An answer that cannot be read is shown to it with the reason, and it is asked again.

    Args:
        llm: the judge.
        prompt: what it is asked.
        repeat: which of several answers to the same prompt this is.
        params: parameters of the calls.

    Returns:
        The judgement; its ``choice`` is None where the call failed for good or no answer could be read.

    Raises:
        ConfigurationError: a parameter cannot work.
    """

    def ask(messages: Question, _: int) -> Awaitable[Generation]:
        return llm.agenerate(messages, sample_index=repeat, **params)

    def again(judgement: Judgement) -> Question | None:
        if judgement.error is None:
            return None
        return prompts.correction(prompt, judgement.raw, judgement.error, _FORM)

    outcome = await prompts.ask_until(ask, prompt, _read, again)
    judgement = (outcome.reading or Judgement(None))._replace(asked=outcome.asked)
    if outcome.error is not None:
        return judgement._replace(error=f"{type(outcome.error).__name__}: {outcome.error}")
    return judgement


def _read(generation: Generation) -> Judgement:
    decision = read_decision(generation.message, generation.finish_reason)
    if decision.choice is None:
        problem = f"The answer could not be read: {decision.problem}."
        return Judgement(None, raw=decision.said, model=generation.model, error=problem)
    return Judgement(decision.choice, decision.rationale, decision.said, generation.model)
