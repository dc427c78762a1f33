"""Grades and orders from a judge: the prompts, and asking until an answer can be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from me2sdk import prompts
from me2sdk.errors import ConfigurationError, GenerationError, InvalidTraceError, JudgeError
from me2sdk.judge.forms import (
    GRADE_SCHEMA,
    ORDER_SCHEMA,
    grade_again,
    grade_form,
    order_again,
    order_form,
)
from me2sdk.judge.reading import expected_grade, read_grade, read_order
from me2sdk.llm import LLM, Generation, Structured, ask_structured, may_be_parameter
from me2sdk.schema import Question, Trace
from me2sdk.traces import is_cut_off, refusal_of

__all__ = [
    "Grade",
    "ask_grade",
    "ask_order",
    "ask_with_logprobs",
    "grade_prompt",
    "order_prompt",
    "read_criteria",
]

Value = TypeVar("Value")
Ask = Callable[[Question, Mapping[str, Any]], Awaitable[Generation]]

# Part of the prompts: where it changes, their versions go up.
_ME2 = (
    "Efficiency of the structure: little of the trace is spent off its main line. A line of thought is opened where "
    "one is needed, is brought to an end, and is not opened again; a check is made once and settles something.",
    "Effectiveness of the structure: the parts lead from the question to the answer. Results of side lines are "
    "carried back to where they are needed, and the conclusion rests on what was shown.",
    "Efficiency of the steps: each step computes, derives, decides or rules out something that was open before it.",
    "Effectiveness of the steps: each step holds where it stands. Calculations are right, claims are justified, cases "
    "are covered, and the answer is right.",
)
# Some providers take no more than this.
_LOGPROBS = {"logprobs": True, "top_logprobs": 5}


def read_criteria(criteria: str | Sequence[str]) -> str:
    """Criteria as they stand in a prompt.

    Args:
        criteria: "me2", a text of the caller's own, or a list of texts.

    Raises:
        ConfigurationError: there are none.
    """
    items = [criteria] if isinstance(criteria, str) else list(criteria)
    if not items or not all(isinstance(item, str) and item.strip() for item in items):
        raise ConfigurationError('criteria is "me2", a text, or a list of texts that are not empty.')
    if items == ["me2"]:
        items = list(_ME2)
    return "\n".join(f"- {item.strip()}" for item in items)


def grade_prompt(criteria: str, question: str, trace: Trace, *, as_json: bool = False) -> str:
    """The prompt that asks for the grade of one trace."""
    text = _shown(trace)
    nonce = prompts.new_nonce(criteria, question, text)
    return prompts.load("score_points").fill(
        nonce=nonce,
        question=prompts.fence(question or "(not known)", nonce, "question"),
        trace=prompts.fence(text, nonce, "graded trace"),
        criteria=criteria,
        form=grade_form(as_json=as_json),
    )


def order_prompt(criteria: str, question: str, traces: Sequence[Trace], *, as_json: bool = False) -> str:
    """The prompt that asks for the order of several traces, which are numbered as they come."""
    texts = [_shown(trace) for trace in traces]
    nonce = prompts.new_nonce(criteria, question, *texts)
    fenced = [prompts.fence(text, nonce, f"listed trace {place}") for place, text in enumerate(texts, 1)]
    return prompts.load("score_list").fill(
        count=str(len(texts)),
        nonce=nonce,
        question=prompts.fence(question or "(not known)", nonce, "question"),
        traces="\n\n".join(fenced),
        criteria=criteria,
        form=order_form(len(texts), as_json=as_json),
    )


def _shown(trace: Trace) -> str:
    """All that a trace says: its reasoning, and its response where that is another text."""
    response = (trace.response or "").strip()
    apart = response and response not in trace.reasoning
    return f"{trace.reasoning}\n\n(The response after it:)\n\n{response}" if apart else trace.reasoning


class Grade(NamedTuple):
    """The grade of a trace.

    Attributes:
        value: the grade, from 0 to 10.
        expected: whether it is the mean over the judge's own probabilities, and not the one grade that it wrote.
    """

    value: float
    expected: bool


async def ask_grade(
    llm: LLM,
    ask: Ask,
    make_prompt: Callable[[bool], str],
    sample: int,
    params: Mapping[str, Any],
    structured: Structured = False,
) -> Grade:
    """The grade that a judge gives.

    Args:
        llm: the judge.
        ask: sends messages to it, with such parameters besides its own.
        make_prompt: what it is asked; with True for an answer in JSON.
        sample: which of several grades this is.
        params: parameters of the calls.
        structured: whether the judge is held to a JSON schema.

    Raises:
        JudgeError: no answer could be read.
        GenerationError: the call failed for good.
        BudgetExceeded: the budget has no room for it.
    """

    def read(generation: Generation) -> _Reading[Grade]:
        said, problem = _said(generation)
        grade = None if problem else read_grade(said)
        if grade is None:
            return _Reading(None, said, problem or "it does not end with one clear grade")
        expected = expected_grade(generation.raw, grade)
        return _Reading(Grade(grade if expected is None else expected, expected is not None), said)

    async def in_form(as_json: bool) -> prompts.Outcome[_Reading[Grade]]:
        in_words = partial(_ask_with, ask, GRADE_SCHEMA if as_json else {})
        return await _ask(in_words, make_prompt(as_json), read, grade_again(as_json=as_json))

    return _value(await ask_structured(llm, structured, [sample], params, in_form))


def _ask_with(ask: Ask, more: Mapping[str, Any], messages: Question) -> Awaitable[Generation]:
    return ask(messages, more)


async def ask_order(
    llm: LLM,
    make_prompt: Callable[[bool], str],
    count: int,
    repeat: int,
    params: Mapping[str, Any],
    structured: Structured = False,
) -> list[list[int]]:
    """The order in which a judge puts ``count`` traces; see `read_order`.

    Args:
        llm: the judge.
        make_prompt: what it is asked; with True for an answer in JSON.
        count: how many traces there are.
        repeat: which of several answers this is.
        params: parameters of the calls.
        structured: whether the judge is held to a JSON schema.

    Raises:
        JudgeError: no answer could be read.
        GenerationError: the call failed for good.
        BudgetExceeded: the budget has no room for it.
    """

    def read(generation: Generation) -> _Reading[list[list[int]]]:
        said, problem = _said(generation)
        order = None if problem else read_order(said, count)
        return _Reading(order, said, problem or f"it does not end with an order of all {count} traces")

    async def in_form(as_json: bool) -> prompts.Outcome[_Reading[list[list[int]]]]:
        more = ORDER_SCHEMA if as_json else {}
        ask = partial(llm.agenerate, sample_index=repeat, **{**params, **more})
        return await _ask(ask, make_prompt(as_json), read, order_again(count, as_json=as_json))

    return _value(await ask_structured(llm, structured, [repeat], params, in_form))


class _Reading(NamedTuple, Generic[Value]):
    value: Value | None
    said: str
    problem: str = ""


async def _ask(
    ask: Callable[[Question], Awaitable[Generation]],
    prompt: str,
    read: Callable[[Generation], _Reading[Value]],
    form: str,
) -> prompts.Outcome[_Reading[Value]]:
    def again(reading: _Reading[Value]) -> Question | None:
        if reading.value is not None:
            return None
        return prompts.correction(
            prompt, reading.said, f"The answer could not be read: {reading.problem}.", form
        )

    return await prompts.ask_until(lambda messages, _: ask(messages), prompt, read, again)


def _value(outcome: prompts.Outcome[_Reading[Value]]) -> Value:
    """What was read, or the error in which asking ended."""
    if outcome.error is not None:
        raise outcome.error
    if outcome.reading is None or outcome.reading.value is None:
        problem = outcome.reading.problem if outcome.reading else "there was none"
        raise JudgeError(
            f"{outcome.asked} answers of the judge could not be read: {problem}. "
            "Check the model, or raise max_tokens= so that an answer fits after its thinking."
        )
    return outcome.reading.value


def _said(generation: Generation) -> tuple[str, str]:
    """What a judge said after its thinking, and why that cannot be used; "" where it can."""
    refusal = refusal_of(generation.message, generation.finish_reason)
    if refusal is not None:
        return refusal, "it was a refusal to judge"
    try:
        trace = Trace.from_message(generation.message, finish_reason=generation.finish_reason)
    except InvalidTraceError:
        return "", "it was empty"
    said = (trace.response or "").strip()
    # Of an answer that was cut off even the last number may be half of one.
    cut = trace.truncated or not said or is_cut_off(generation.finish_reason)
    return said, "it was cut off before its end" if cut else ""


async def ask_with_logprobs(
    llm: LLM, messages: Question, sample: int, params: Mapping[str, Any], refused: set[str]
) -> Generation:
    """Ask, with a request for log-probabilities unless the model has refused it before.

    Args:
        llm: the judge.
        messages: what it is asked.
        sample: which of several samples this is.
        params: parameters of the call.
        refused: models that refused it; those that do are added.

    Raises:
        GenerationError: the call failed for good.
        BudgetExceeded: the budget has no room for it.
    """
    model = llm.models[sample % len(llm.models)]
    if model not in refused:
        try:
            return await llm.agenerate(messages, sample_index=sample, **{**_LOGPROBS, **params})
        except GenerationError as error:
            if not may_be_parameter(error):
                raise
    generation = await llm.agenerate(messages, sample_index=sample, **params)
    refused.add(model)  # only now is it known that they were the reason
    return generation
