"""Asking for several answers in one call: what a server says that gives one at a time."""

from __future__ import annotations

import re

from me2sdk.errors import GenerationError

__all__ = ["may_be_n", "rejects_n"]

_ANSWERS = r"(?:completion|choice|candidate|generation|sample|sequence|output|response|answer|result)s?\b"
# In words ("Only one completion choice is allowed"), or by the name of the parameter ("'n' must be 1", "n > 1").
_WORDS = re.compile(
    rf"\b(?:only|just|exactly|at most|more than) (?:one|1|a single) (?:\w{{1,20}} )?{_ANSWERS}"
    rf"|\b(?:single|multiple|several|many) (?:\w{{1,20}} )?{_ANSWERS}"
    rf"|\b(?:number|count) of (?:\w{{1,20}} )?{_ANSWERS}"
    r"|\b(?:num_|max_)?(?:return_sequences|completions|candidates|candidate_?count|best_of)\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"""["'`“‘\[(]n["'`”’\])]"""
    r"|(?<![\w\\'’.-])n {0,3}(?:[=<>!≤≥]|(?:must|should|has to|needs to|can|cannot|can't|may|is|isn't|to be|values?"
    r"|parameter|argument|greater|larger|bigger|above|other than)\b)"
    r"|\b(?:parameter|param|argument|field|option|property|keyword|supports?|supported|support for|value of|body\.)"
    r"s?:? {0,3}n(?![\w'’-])",
    re.IGNORECASE,
)
# Statuses of what has nothing to do with ``n``: credentials, quotas, limits on rate and time, a server that is away.
_OTHERS = frozenset((401, 402, 403, 404, 408, 413, 429, 502, 503, 504))
_NAMES_OF_OTHERS = frozenset(("ContextWindowExceededError", "ContentPolicyViolationError"))


def rejects_n(error: BaseException) -> bool:
    """Whether a server says that it does not give several answers to one call.

    The words decide, whatever the status: llama.cpp's server answers 500, others 400, 422 or 501.
    """
    text = str(error)
    return _WORDS.search(text) is not None or _NAME.search(text) is not None


def may_be_n(error: GenerationError) -> bool:
    """Whether a call for several answers may have failed because of that, though the server does not say so."""
    return (
        error.status is not None and error.status not in _OTHERS and error.error_type not in _NAMES_OF_OTHERS
    )
