"""Check the answer of a response against a reference, and ask a model if mathematics and text do not decide."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.llm import LLM, Budget, Generation, Model, open_llm
from me2sdk.prompts import ask_until, correction, fence, load, new_nonce
from me2sdk.schema import Message, Question, Trace, Verification, question_text
from me2sdk.verify.equality import Outcome, equal_answers

__all__ = ["LENGTH_FACTOR", "LENGTH_SLACK", "averify_answer", "read_yes_or_no", "verify_answer"]

LENGTH_FACTOR, LENGTH_SLACK = 4, 100
"""An answer longer than factor × reference + slack characters is wrong, and no model is asked about it."""

_PROBLEM = "Your answer does not end with one clear decision."
_FORM = "one sentence, then one line that is exactly Final Decision: Yes or exactly Final Decision: No"
_DECISION_WORDS = re.compile(r"\b(final)[\W_]{1,4}(decision)\b", re.IGNORECASE)
_DECISION_LINE = re.compile(
    r"^[\W_]{0,12}(?:(?:so|thus|therefore|my|the)[,: \t]{1,3}){0,3}final[ \t]{1,4}decision\b(.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_YES_OR_NO = re.compile(
    # Not "Yes or No", "Yes/No": a copy of the instructions.
    r"(?:\\[a-z]{1,8}\{|is\b|[\W_]){0,8}(yes|no)(?![^\W_])(?![\W_]{0,4}(?:or|and)?[\W_]{0,4}(?:yes|no)\b)",
    re.IGNORECASE,
)


async def averify_answer(
    response: str | Trace | dict[str, Any],
    reference: str | float,
    *,
    question: Question | None = None,
    model: Model | LLM | None = None,
    budget: Budget | None = None,
    cache: bool | str | Path | None = None,
) -> Verification:
    """Check the final answer of a response against a reference; `verify_answer` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk import averify_answer

        print(asyncio.run(averify_answer("The answer is 0.5.", "1/2")).outcome)  # right
        ```
    """
    if isinstance(reference, (int, float)) and not isinstance(reference, bool):
        reference = _numeral(reference)
    if not isinstance(reference, str) or not reference.strip():
        raise ConfigurationError(
            "verify_answer needs a reference answer: a number, or a string that is not empty."
        )
    if model is None and (budget is not None or cache):
        raise ConfigurationError(
            "budget and cache are for calls of a model. Pass model=… to verify_answer, or leave them out."
        )
    if isinstance(response, Trace):
        trace = response
    else:
        trace = Trace.from_text(response) if isinstance(response, str) else Trace.from_message(response)
    spoken = (trace.response or "").strip()
    answer = trace.answer or (spoken if spoken and "\n" not in spoken and len(spoken) <= 80 else None)
    result = Verification(outcome="undecided", method="none", answer=answer, reference=reference)
    if answer is not None:
        equal, method = await asyncio.to_thread(equal_answers, reference, answer)
        outcome: Outcome = "undecided" if equal is None else "right" if equal else "wrong"
        result = result.model_copy(update={"outcome": outcome, "method": method})
    elif spoken and not trace.truncated:
        answer = " ".join(spoken.rpartition("\n\n")[2].split())  # a model can read an answer in prose
    if model is None or result or answer is None:
        return result
    if len(answer) > LENGTH_FACTOR * len(reference) + LENGTH_SLACK:
        # A "final answer" of essay length could persuade a verifier, so it is not shown to one.
        return result.model_copy(update={"outcome": "wrong", "method": "length", "answer": answer})
    llm = open_llm(model, verb="verify_answer", budget=budget, cache=cache)
    asked = question_text(trace.question if question is None else question)
    outcome = await _ask_model(llm, asked, reference, answer)
    return result.model_copy(
        update={"outcome": outcome, "method": "model", "answer": answer, "usage": llm.usage}
    )


def _numeral(reference: float) -> str:
    return str(int(reference)) if isinstance(reference, float) and reference.is_integer() else str(reference)


async def _ask_model(llm: LLM, question: str, reference: str, answer: str) -> Outcome:
    """What a model decides; it is asked again if its answer cannot be read."""
    # One line, without anything that could pass for a decision if the model repeats it.
    shown = _DECISION_WORDS.sub(r"\1 (\2)", " ".join(answer.split()))
    nonce = new_nonce(question, reference, shown)
    prompt = load("verify").fill(
        nonce=nonce,
        question=fence(question or "(not known)", nonce, "question"),
        reference=fence(reference, nonce, "reference answer"),
        answer=fence(shown, nonce, "student answer"),
    )

    def ask(messages: Question, number: int) -> Awaitable[Generation]:
        # A sample of its own each time, so that neither the seed nor the cache brings the same text again.
        return llm.agenerate(messages, sample_index=number)

    def again(reading: tuple[str, bool | None]) -> list[Message] | None:
        said, decision = reading
        return correction(prompt, said, _PROBLEM, _FORM) if decision is None else None

    outcome = await ask_until(ask, prompt, _read, again)
    if outcome.error is not None:
        raise outcome.error
    decision = outcome.reading and outcome.reading[1]
    return "undecided" if decision is None else "right" if decision else "wrong"


def _read(generation: Generation) -> tuple[str, bool | None]:
    """What a model said after its thinking, and the decision in it."""
    try:
        trace = Trace.from_message(generation.message, finish_reason=generation.finish_reason)
    except InvalidTraceError:  # an empty message
        return "", None
    said = "" if trace.truncated else trace.response or ""
    return said, read_yes_or_no(said)


def read_yes_or_no(said: str) -> bool | None:
    """The decision at the end of a verifier's answer.

    Args:
        said: what it said after its thinking. The last line that begins with "Final Decision" counts.

    Returns:
        True for yes, False for no, None where there is no clear decision.
    """
    line = None
    for line in _DECISION_LINE.finditer(said):  # noqa: B007 - the last one is wanted
        pass
    value = _YES_OR_NO.match(line[1]) if line else None
    return None if value is None else value[1].lower() == "yes"


def verify_answer(
    response: str | Trace | dict[str, Any],
    reference: str | float,
    *,
    question: Question | None = None,
    model: Model | LLM | None = None,
    budget: Budget | None = None,
    cache: bool | str | Path | None = None,
) -> Verification:
    r"""Check the final answer of a response against a reference (paper §5.4).

    The answers are first read as values: numbers with their units, choices, times, lists, intervals, formulas,
    words. If the values do not decide, math-verify does. If that does not find them equal and there is a
    ``model``, the model is given question, reference and answer, and decides whether they mean the same. It never
    sees the reasoning. An answer longer than ``LENGTH_FACTOR`` (4) times the reference plus ``LENGTH_SLACK`` (100)
    characters is wrong without asking.

    Args:
        response: a completion as text, a `Trace`, or an assistant message. Its answer is what
            `Trace.answer` finds, or the whole response if that is one short line. If there is neither, a model
            is shown the last paragraph.
        reference: the right answer, as text or as a number.
        question: what was asked, for the model; by default the trace's own question.
        model: the verifier, as for `LLM`: a LiteLLM model string ("hosted_vllm/TIGER-Lab/general-verifier",
            with its endpoint in ``LLM(…, api_base=…)``), a list, a ``litellm.Router``, a callable, or an `LLM`.
            To check many answers pass one `LLM`, whose limits then hold for all of them. None asks no model.
        budget: a `Budget` for the model.
        cache: True or a folder keeps the model's answers on disk.

    Returns:
        A `Verification`, true only if right. The outcome is "undecided" if the response states no answer, the
        two cannot be compared, or three answers of the model could not be read. Without math-verify
        (``pip install math-verify``) formulas that their values do not show to be equal count as different.

    Raises:
        ConfigurationError: the reference is empty, or a setting cannot work.
        InvalidTraceError: the response is not text, a trace or a message.
        GenerationError: the call of the model failed for good.
        BudgetExceeded: the budget has no room for the call.

    Example:
        ```python
        from me2sdk import verify_answer

        print(verify_answer("So there are \\boxed{42} jars.", "42").outcome)  # right
        print(verify_answer("The answer is 1 1/2 cups.", "3/2").outcome)  # right
        print(verify_answer("It is not 42.", 42).outcome)  # wrong
        ```
    """
    return run_sync(
        averify_answer(response, reference, question=question, model=model, budget=budget, cache=cache)
    )
