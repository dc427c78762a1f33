"""Check the answer of a response against a reference, and ask a model where mathematics and text do not decide."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.llm import LLM, Budget, open_llm
from me2sdk.prompts import fence, load, new_nonce
from me2sdk.schema import Message, Question, Trace, Verification, question_text
from me2sdk.verify.equality import Outcome, equal_answers

__all__ = ["LENGTH_FACTOR", "LENGTH_SLACK", "averify_answer", "read_decision", "verify_answer"]

LENGTH_FACTOR, LENGTH_SLACK = 4, 100
"""An answer with more characters than factor × reference + slack is wrong, and no model is asked about it."""

_MAX_ASKS = 3  # how often a model is asked before an unreadable answer counts as undecided
_DECISION_WORDS = re.compile(r"\b(final)[\W_]{1,4}(decision)\b", re.IGNORECASE)
_DECISION_LINE = re.compile(
    r"^[\W_]{0,12}(?:(?:so|thus|therefore|my|the)[,: \t]{1,3}){0,3}final[ \t]{1,4}decision\b(.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_YES_OR_NO = re.compile(
    # "Yes or No", "Yes/No": the instructions repeated.
    r"(?:\\[a-z]{1,8}\{|is\b|[\W_]){0,8}(yes|no)(?![^\W_])(?![\W_]{0,4}(?:or|and)?[\W_]{0,4}(?:yes|no)\b)",
    re.IGNORECASE,
)


async def averify_answer(
    response: str | Trace | dict[str, Any],
    reference: str | float,
    *,
    question: Question | None = None,
    model: Any = None,
    budget: Budget | None = None,
    cache: bool | str | Path | None = None,
) -> Verification:
    """Check the final answer of a response against a reference; see `verify_answer`."""
    if isinstance(reference, (int, float)) and not isinstance(reference, bool):
        reference = _numeral(reference)
    if not isinstance(reference, str) or not reference.strip():
        raise ConfigurationError(
            "verify_answer needs a reference answer: a number, or a string that is not empty."
        )
    if model is None and (budget is not None or cache):
        raise ConfigurationError(
            "budget and cache are for calls of a model. Give verify_answer a model, too."
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
        # A "final answer" that is an essay is a way to talk a verifier round, so it is not shown to one.
        return result.model_copy(update={"outcome": "wrong", "method": "length", "answer": answer})
    llm = open_llm(model, verb="verify_answer", budget=budget, cache=cache)
    asked = question_text(trace.question if question is None else question)
    outcome = await _ask(llm, asked, reference, answer)
    return result.model_copy(
        update={"outcome": outcome, "method": "model", "answer": answer, "usage": llm.usage}
    )


def _numeral(reference: float) -> str:
    return str(int(reference)) if isinstance(reference, float) and reference.is_integer() else str(reference)


async def _ask(llm: LLM, question: str, reference: str, answer: str) -> Outcome:
    """What a model says; it is asked again where that cannot be read."""
    # One line that cannot pass for a decision, should the model repeat it.
    shown = _DECISION_WORDS.sub(r"\1 (\2)", " ".join(answer.split()))
    nonce = new_nonce(question, reference, shown)
    prompt = load("verify").fill(
        nonce=nonce,
        question=fence(question or "(not known)", nonce, "question"),
        reference=fence(reference, nonce, "reference answer"),
        answer=fence(shown, nonce, "student answer"),
    )
    messages: list[Message] = [{"role": "user", "content": prompt}]
    for asked in range(_MAX_ASKS):
        # Its own sample each time, so that neither the seed nor the cache brings the same text again.
        generation = await llm.agenerate(messages, sample_index=asked)
        try:
            trace = Trace.from_message(generation.message, finish_reason=generation.finish_reason)
        except InvalidTraceError:  # an empty message
            said, decision = "", None
        else:
            said = "" if trace.truncated else trace.response or ""
            decision = read_decision(said)
        if decision is not None:
            return "right" if decision else "wrong"
        again = (
            "Your answer does not end with one clear decision. Answer again: one sentence, then one line that "
            "is exactly Final Decision: Yes or exactly Final Decision: No, and nothing after it."
        )
        messages = [
            messages[0],
            {"role": "assistant", "content": said[-4000:] or "(no answer)"},  # some refuse empty messages
            {"role": "user", "content": again},
        ]
    return "undecided"


def read_decision(said: str) -> bool | None:
    """The decision that a verifier's own words end with, or None where there is no clear one.

    Args:
        said: what it said after its thinking. The last line that begins with "Final Decision" counts.
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
    model: Any = None,
    budget: Budget | None = None,
    cache: bool | str | Path | None = None,
) -> Verification:
    r"""Check the final answer of a response against a reference (paper §5.4).

    The answers are read as values first: numbers with their units, choices, times, lists, intervals, formulas,
    words. What these do not decide, math-verify does. Where that does not find them equal and a ``model`` is
    given, the model is told question, reference and answer, and decides whether they mean the same. It never
    sees the reasoning. An answer of more than ``LENGTH_FACTOR`` (4) times the length of the reference and
    ``LENGTH_SLACK`` (100) characters is wrong without asking.

    Args:
        response: a completion as text, a `Trace`, or an assistant message. Its answer is what
            `Trace.answer` finds, or the whole response where that is one short line. A model is shown the
            last paragraph where there is neither.
        reference: the right answer, as text or as a number.
        question: what was asked, for the model; by default that of the trace.
        model: the verifier, as for `LLM`: a LiteLLM model string ("hosted_vllm/TIGER-Lab/general-verifier",
            with its endpoint in ``LLM(…, api_base=…)``), a list, a ``litellm.Router``, a callable, or an `LLM`.
            To check many answers pass one `LLM`, whose limits then hold for all of them. None asks no model.
        budget: a `Budget` for the model.
        cache: True or a folder keeps the model's answers on disk.

    Returns:
        A `Verification`, true only if right. The outcome is "undecided" where the response states no answer,
        the two cannot be compared, or three answers of the model could not be read. Without math-verify
        (``pip install math-verify``) formulas that their values do not show to be equal count as different.

    Examples:
        >>> verify_answer("So there are \\boxed{42} jars.", "42").outcome
        'right'
        >>> verify_answer("The answer is 1 1/2 cups.", "3/2").outcome
        'right'
        >>> verify_answer("It is not 42.", 42).outcome
        'wrong'

    Raises:
        ConfigurationError: the reference is empty, or a setting cannot work.
        InvalidTraceError: the response is not text, a trace or a message.
        GenerationError: the call of the model failed for good.
        BudgetExceeded: the budget has no room for the call.
    """
    return run_sync(
        averify_answer(response, reference, question=question, model=model, budget=budget, cache=cache)
    )
