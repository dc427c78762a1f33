"""What goes into a call, checked, and what its errors mean."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from me2sdk.errors import ConfigurationError, GenerationError
from me2sdk.llm import redaction
from me2sdk.llm.answer import clean_json
from me2sdk.llm.retry import Attempts, EmptyResponse, lacks_key, retry_after, status_of
from me2sdk.schema import Message, Question

_RESERVED = {
    "n": "ask for several answers with asample(messages, n)",
    "stream": "whole answers are needed, so streaming is not supported",
    "messages": "pass the messages as the first argument",
    "model": "pass the model to LLM(...)",
    "timeout": "set it in LLM(timeout=...)",
    "num_retries": "set it in LLM(max_retries=...)",
    "max_retries": "set it in LLM(max_retries=...)",
}
_NEAR = 0.8  # similarity of names, from 0 to 1, from which one is taken for a misspelling of the other
_NOT_MISSPELT = frozenset(("models",))  # parameters of providers that are that near to an option of a verb

_ANSWERS = r"(?:completion|choice|candidate|generation|sample|sequence|output|response|answer|result)s?\b"
# How servers say that they give one answer per call: in words ("Only one completion choice is allowed"), or by the
# name of the parameter ("'n' must be 1", "n > 1").
_N_IN_WORDS = re.compile(
    rf"\b(?:only|just|exactly|at most|more than) (?:one|1|a single) (?:\w{{1,20}} )?{_ANSWERS}"
    rf"|\b(?:single|multiple|several|many) (?:\w{{1,20}} )?{_ANSWERS}"
    rf"|\b(?:number|count) of (?:\w{{1,20}} )?{_ANSWERS}"
    r"|\b(?:num_|max_)?(?:return_sequences|completions|candidates|candidate_?count|best_of)\b",
    re.IGNORECASE,
)
_N_BY_NAME = re.compile(
    r"""["'`“‘\[(]n["'`”’\])]"""
    r"|(?<![\w\\'’.-])n {0,3}(?:[=<>!≤≥]|(?:must|should|has to|needs to|can|cannot|can't|may|is|isn't|to be|values?"
    r"|parameter|argument|greater|larger|bigger|above|other than)\b)"
    r"|\b(?:parameter|param|argument|field|option|property|keyword|supports?|supported|support for|value of|body\.)"
    r"s?:? {0,3}n(?![\w'’-])",
    re.IGNORECASE,
)
# Errors that have nothing to do with ``n``: credentials, quotas, limits on rate and time, a server that is down.
_OTHER_STATUS = frozenset((401, 402, 403, 404, 408, 413, 429, 502, 503, 504))
_OTHER_NAMES = frozenset(("ContextWindowExceededError", "ContentPolicyViolationError"))


def check_params(params: Mapping[str, Any]) -> None:
    """Refuse parameters that are set in another way.

    Raises:
        ConfigurationError: there is one.
    """
    for name, advice in _RESERVED.items():
        if name in params:
            raise ConfigurationError(f"The parameter {name!r} cannot be passed here: {advice}.")


def check_options(verb: Callable[..., Any], params: Mapping[str, Any]) -> None:
    """Refuse a parameter that is nearly an option of a verb: it would go to the provider instead.

    Args:
        verb: the function that was called. Its options are its keyword-only arguments.
        params: the other arguments that it got, which it sends with every call.

    Raises:
        ConfigurationError: a name is nearly that of an option. The message says which.
    """
    arguments = inspect.signature(verb).parameters.values() if params else ()
    options = [one.name for one in arguments if one.kind is inspect.Parameter.KEYWORD_ONLY]
    for name in params:
        if name in options or name in _RESERVED or name in _NOT_MISSPELT:
            continue
        for near in difflib.get_close_matches(name.lower(), options, n=1, cutoff=_NEAR):
            raise ConfigurationError(f"{verb.__name__} takes no {name!r}. Did you mean {near!r}?")


def answer_limit(params: Mapping[str, Any]) -> int | None:
    """The most tokens that an answer may have, or None where the call does not say."""
    limits = (params.get("max_completion_tokens"), params.get("max_tokens"))
    return next((int(limit) for limit in limits if limit is not None), None)


def read_messages(messages: Question) -> list[Message]:
    """Chat messages from a question or from messages, as a copy that is safe to send.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(messages, str):
        return [{"role": "user", "content": clean_json(messages)}]
    dicts = [m.model_dump(exclude_none=True) if hasattr(m, "model_dump") else m for m in messages or ()]
    if not dicts or not all(isinstance(message, dict) for message in dicts):
        raise ConfigurationError(
            "Messages are a string, or a list of at least one dict with 'role' and 'content'."
        )
    return [clean_json(message) for message in dicts]


def generation_error(
    error: Exception, model: str, attempts: Attempts, secrets: frozenset[str]
) -> GenerationError:
    """What to raise for a call that failed for good: what happened, without keys, and what to do next."""
    status = status_of(error)
    if lacks_key(error):
        advice = "Set the provider's API key in the environment (OPENAI_API_KEY, …), or pass api_key=."
    elif status in (401, 403):
        advice = "Check the API key and what it may use."
    elif status == 404:
        advice = "Check the model's name and api_base."
    elif status == 429:
        advice = "Lower max_concurrency, raise total_timeout or max_retries, or check the account's quota."
    elif status == 408 or isinstance(error, TimeoutError):
        advice = "Raise timeout, or ask for shorter answers with max_tokens."
    elif status is not None and status < 500:
        advice = "Check the model's name, the messages and the parameters."
    elif status is not None or isinstance(error, (ConnectionError, EmptyResponse)):
        advice = "Check that the endpoint can be reached and is healthy, then try again."
    else:
        advice = "Check the model function."
    name = type(error).__name__
    tries = "1 attempt" if attempts.made == 1 else f"{attempts.made} attempts"
    code = f", HTTP {status}" if status is not None else ""
    text = redaction.redact(str(error).strip(), secrets) or "no message"
    text += "" if text.endswith((".", "…")) else "."
    return GenerationError(
        f"{model} failed after {tries} in {attempts.seconds:.1f} s ({name}{code}): {text} {advice}",
        error_type=name,
        status=status,
        attempts=attempts.made,
        retry_after=retry_after(error),
    )


def rejects_n(error: BaseException) -> bool:
    """Whether a server says that it gives one answer per call.

    The words decide, whatever the status: llama.cpp's server answers 500, others 400, 422 or 501.
    """
    text = str(error)
    return _N_IN_WORDS.search(text) is not None or _N_BY_NAME.search(text) is not None


def may_be_parameter(error: GenerationError) -> bool:
    """Whether a call may have failed because the server does not know one of its parameters, or its value."""
    # A function without the parameter raises TypeError; some services that route answer 404.
    known = error.status in (400, 404, 422, 501) or error.error_type == "TypeError"
    return known and error.error_type not in _OTHER_NAMES


def may_be_n(error: GenerationError) -> bool:
    """Whether a call may have failed because it asked for several answers, though the server does not say so."""
    return (
        error.status is not None
        and error.status not in _OTHER_STATUS
        and error.error_type not in _OTHER_NAMES
    )
