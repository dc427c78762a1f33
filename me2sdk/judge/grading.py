"""Grades and orders from a judge: the prompts, asking until an answer can be read, and reading it."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from me2sdk import prompts
from me2sdk.errors import ConfigurationError, GenerationError, InvalidTraceError, JudgeError
from me2sdk.judge.forms import (
    GRADE_SCHEMA,
    HIGHEST,
    ORDER_SCHEMA,
    grade_again,
    grade_form,
    order_again,
    order_form,
)
from me2sdk.llm import LLM, Generation, Structured, ask_structured, may_be_parameter
from me2sdk.prompts import read_object
from me2sdk.schema import Question, Trace
from me2sdk.traces import is_cut_off, refusal_of

__all__ = [
    "Grade",
    "ask_grade",
    "ask_order",
    "ask_with_logprobs",
    "expected_grade",
    "grade_prompt",
    "order_prompt",
    "read_criteria",
    "read_grade",
    "read_order",
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

_MARKER = r"<?[|｜]\s{0,4}decision\s{0,4}[|｜]>?"
# The same in words, only where a line starts with it; "> Grade: 9" is a quotation.
_LABEL = (
    r"^[*_#` \t]{0,8}(?:(?:my|the|final|overall)[ \t]{1,4}){0,3}(?:decision|grade|score|rating|order|ranking)"
    r"[*_` \t]{0,4}(?::|=|\bis\b)"
)
_LEAD = re.compile(rf"(?P<marker>{_MARKER})|{_LABEL}", re.IGNORECASE | re.MULTILINE)
# Nothing follows a decision: it would be a reason, or a quotation.
_START, _END = r"[*_`:$\s]{0,8}(?:\\boxed\{)?", r"\}?[*_`$.\s]{0,20}\Z"
_NUMBER = r"(?P<value>\d{1,2}(?:\.\d{1,3})?)(?:[ \t]{0,2}(?:/|out of)[ \t]{0,2}10)?"
_ITEM = r"(?:trace[ \t]{0,2})?\d{1,2}"
_GRADE = re.compile(rf"{_START}{_NUMBER}{_END}", re.IGNORECASE)
# The last field of an object. Within a string of JSON its quotation marks would be escaped.
_GRADE_FIELD = re.compile(
    r'"grade"\s{0,8}:\s{0,8}"?(?P<value>\d{1,2}(?:\.\d{1,3})?)"?\s{0,20}\}\s{0,20}(?:`{3}\s{0,8})?\Z'
)
_ORDER = re.compile(
    rf"{_START}(?P<value>{_ITEM}(?:[ \t]{{0,4}}[>=,][ \t]{{0,4}}{_ITEM}){{0,20}}){_END}", re.IGNORECASE
)
# What some servers send as the last token.
_STOP = re.compile(r"(?:<[|｜/][^<>]{1,40}>)?")


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
            "Check the model, or raise max_tokens= so that a paragraph fits after its thinking."
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


def read_grade(said: str) -> float | None:
    """The grade at the end of a judge's answer, from 0 to 10, or None where it has none.

    It stands behind the last ``<|decision|>``; without one, behind "Grade:" or the like where a line starts with it, or
    in the last field of a JSON object. Nothing follows it. A number alone counts where it is the whole answer.
    """
    found = _find_grade(said)
    grade = float(found["value"]) if found else math.inf
    return grade if grade <= HIGHEST else None


def _find_grade(said: str) -> re.Match[str] | None:
    if "grade" in (read_object(said) or {}):
        return _GRADE_FIELD.search(said)
    return _last_word(said, _GRADE) or _GRADE.fullmatch(said)


def read_order(said: str, count: int) -> list[list[int]] | None:
    """The order at the end of a judge's answer, or None where it does not hold each of the traces once.

    Args:
        said: what the judge said after its thinking.
        count: how many traces there are; they are numbered from 1.

    Returns:
        Places in the list of traces, from 0, best first; those that are equally good stand together.
    """
    stated = (read_object(said) or {}).get("order")
    found = None if isinstance(stated, list) else _last_word(said, _ORDER)
    if isinstance(stated, list):
        listed = [",".join(map(str, tier)) if isinstance(tier, list) else str(tier) for tier in stated]
    elif found:
        listed = re.split("[>,]", found["value"])
    else:
        return None
    tiers = [[int(number) - 1 for number in re.findall(r"\d{1,4}", tier)] for tier in listed]
    return tiers if sorted(place for tier in tiers for place in tier) == list(range(count)) else None


def _last_word(said: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """The decision that ends an answer. Several in words alone may be quotations, so none of them counts."""
    leads = list(_LEAD.finditer(said))
    marked = [lead for lead in leads if lead["marker"]]
    if not marked and len(leads) != 1:
        return None
    return pattern.match(said, (marked or leads)[-1].end())


def expected_grade(response: Any, grade: float) -> float | None:
    """The mean of all grades, weighted by how probable the judge found each where it wrote its own.

    Args:
        response: what the provider sent, with log-probabilities of tokens in OpenAI's form.
        grade: the grade that was read.

    Returns:
        The mean, or None where there are no probabilities, or the grade is not found among the tokens.
    """
    choices = _field(response, "choices") or ()
    tokens = list(_field(_field(choices[0], "logprobs"), "content") or ()) if choices else []
    while tokens and _STOP.fullmatch(str(_field(tokens[-1], "token"))):
        tokens.pop()
    texts = [str(_field(token, "token")) for token in tokens]
    found = _find_grade("".join(texts))
    if found is None or float(found["value"]) != grade:
        return None
    start, place = found.start("value"), 0
    while start >= len(texts[place]):
        start -= len(texts[place])
        place += 1
    before, own = texts[place][:start].strip(), texts[place][start:].strip()
    chances: dict[int, float] = {}
    for text, chance in _alternatives(tokens[place]).items():
        value = text.removeprefix(before).strip()
        if re.fullmatch(r"\d|10", value):
            chances[int(value)] = chances.get(int(value), 0.0) + chance
    if own not in map(str, chances) or (int(own) != grade and (own, grade) != ("1", HIGHEST)):
        return None
    if own == "1":  # the next token says how much of it is the start of "10"
        ten = _alternatives(tokens[place + 1]).get("0", 0.0) if place + 1 < len(tokens) else 0.0
        chances[HIGHEST] = chances.get(HIGHEST, 0.0) + chances[1] * ten
        chances[1] *= 1 - ten
    elif HIGHEST not in chances:
        chances.pop(1, None)  # 1, or the start of 10
    total = sum(chances.values())
    return sum(value * chance for value, chance in chances.items()) / total if total else None


def _alternatives(token: Any) -> dict[str, float]:
    """The texts that could stand in the place of a token, itself among them, with their probabilities."""
    found: dict[str, float] = {}
    listed = (token, *(_field(token, "top_logprobs") or ()))
    chances = {str(_field(one, "token")): _field(one, "logprob") for one in listed}
    for text, logprob in chances.items():
        if isinstance(logprob, int | float):
            found[text.strip()] = found.get(text.strip(), 0.0) + math.exp(min(0.0, logprob))
    return found


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


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
