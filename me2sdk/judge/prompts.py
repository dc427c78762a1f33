"""One judgement: its prompt, and asking until the answer can be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from me2sdk import prompts
from me2sdk._choices import Dimension
from me2sdk.judge.decisions import Choice, read_decision
from me2sdk.judge.forms import DECISION_SCHEMA, decision_again, decision_form
from me2sdk.llm import LLM, Generation, Structured, ask_structured
from me2sdk.schema import Question

__all__ = [
    "Judgement",
    "aggregate_prompt",
    "dimension_prompt",
    "judge_once",
    "prompt_versions",
]


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


def dimension_prompt(
    dimension: Dimension, question: str, first: str, second: str, *, as_json: bool = False
) -> str:
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
        form=decision_form(as_json=as_json),
    )


def aggregate_prompt(
    question: str,
    first: str,
    second: str,
    judgements: Mapping[Dimension, Judgement],
    *,
    as_json: bool = False,
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
        form=decision_form(as_json=as_json),
    )


async def judge_once(
    llm: LLM,
    make_prompt: Callable[[bool], str],
    repeat: int,
    params: Mapping[str, Any],
    structured: Structured = False,
) -> Judgement:
    """Ask a judge. An answer that cannot be read is shown to it with the reason, and it is asked again.

    Args:
        llm: the judge.
        make_prompt: what it is asked; with True for an answer in JSON.
        repeat: which of several answers to the same prompt this is.
        params: parameters of the calls.
        structured: whether the judge is held to a JSON schema.

    Returns:
        The judgement; its ``choice`` is None where the call failed for good or no answer could be read.

    Raises:
        ConfigurationError: a parameter cannot work.
    """
    reason = ""  # given with an answer that lacks a decision, which is then asked for alone

    async def in_form(as_json: bool) -> prompts.Outcome[Judgement]:
        prompt = make_prompt(as_json)
        more = DECISION_SCHEMA if as_json else {}

        def ask(messages: Question, _: int) -> Awaitable[Generation]:
            return llm.agenerate(messages, sample_index=repeat, **{**params, **more})

        def again(judgement: Judgement) -> Question | None:
            nonlocal reason
            if judgement.error is None:
                return None
            reason = reason or judgement.raw
            form = decision_again(as_json=as_json)
            return prompts.correction(prompt, judgement.raw, judgement.error, form)

        return await prompts.ask_until(ask, prompt, _read, again)

    outcome = await ask_structured(llm, structured, [repeat], params, in_form)
    judgement = (outcome.reading or Judgement(None))._replace(asked=outcome.asked)
    if judgement.choice is not None:
        judgement = judgement._replace(rationale=judgement.rationale or reason)
    if outcome.error is not None:
        return judgement._replace(error=f"{type(outcome.error).__name__}: {outcome.error}")
    return judgement


def _read(generation: Generation) -> Judgement:
    decision = read_decision(generation.message, generation.finish_reason)
    if decision.choice is None:
        problem = f"The answer could not be read: {decision.problem}."
        return Judgement(None, raw=decision.said, model=generation.model, error=problem)
    return Judgement(decision.choice, decision.rationale, decision.said, generation.model)
