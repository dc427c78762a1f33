r"""Which final answer a text states.

An answer is taken where the text says that it is one, never where it merely mentions a value. Every pattern
is bounded, so that hostile text costs no more than prose.
"""

from __future__ import annotations

import re

from me2sdk.traces.boxes import boxed_answers
from me2sdk.traces.sentences import (
    affirms,
    concluded_number,
    mentions_number,
    single_number,
    supposes_nothing,
)

__all__ = ["final_answer", "last_answer"]

_LEAD = r"(?:^|(?<=[.!?])[ \t])[ \t>#*_\"'-]{0,8}"
_PHRASES = (
    # Final answer: 42. / Final answer is 42
    re.compile(
        r"\bfinal[ \t]+answer\b[*_`\"']{0,4}[ \t]{0,4}(?::|=|\bis\b:?)[*_ \t]{0,8}(?:\n\s{0,8})?([^\n]+)",
        re.IGNORECASE,
    ),
    # Answer: 42, at the start of a line or sentence
    re.compile(
        rf"{_LEAD}(?:the[ \t]|my[ \t]|correct[ \t]){{0,2}}(?:answer|ans\.?)[*_`]{{0,3}}[ \t]{{0,4}}[:=][*_ \t]{{0,8}}"
        r"(?:\n\s{0,8})?([^\n]+)",
        re.IGNORECASE | re.MULTILINE,
    ),
    # A heading "Final answer", and the answer below it
    re.compile(
        r"^[ \t>#*_]{1,8}(?:the[ \t])?(?:final[ \t])?answer[*_:]{0,6}[ \t]{0,8}\n\s{0,8}([^\n]{1,200})$",
        re.IGNORECASE | re.MULTILINE,
    ),
    # The answer is 42. / The answer to the question is 42. / The correct option is B.
    re.compile(
        r"\b(?:answer|(?:correct|right|best)[ \t](?:option|choice))[*_`]{0,3}[ \t]"
        r"(?:(?:to|for|of)[ \t][^\n.:;]{1,80}?[ \t])?"
        r"(?:is|must[ \t]be|would[ \t]be|will[ \t]be|=)\b:?[ \t]{1,4}"
        r"(?:(?:therefore|thus|then|simply|hence|clearly|just|indeed)[ \t])?([^\n]+)",
        re.IGNORECASE,
    ),
)
_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_HASHES = re.compile(r"(?:^|(?<=\s))####(?!#)[ \t]*([^\n#]+)", re.MULTILINE)
_NUMERAL = re.compile(r"[-+]?[$€£]?\s?-?\d[\d,.]{0,40}(?:/\d{1,20})?\s?%?")
_HEADING = re.compile(
    r"(?:step|part|case|section|solution|conclusion|summary|answer|final answer|result|check|verification|note"
    r"|approach|explanation|method|analysis|problem|question|chapter|example)\b|\d{1,3}[.)]\s",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"(?:yes|no|true|false|\(?[A-J]\)?)[.!]?|[-+]?[$€£]?\d[\d,.]{0,40}(?:/\d{1,20})?\s?%?\.?", re.IGNORECASE
)
# St. Louis and B. Forty-two go on; "42. I hope" does not.
_SENTENCE_END = re.compile(r"(?<!\b[A-Z])(?<!\b[A-Z][a-z])[.!](?:\*\*|[$\")])?[ \t]{1,4}(?=[A-Z*\"(])")
_CLAUSE = re.compile(
    r"(?:,[ \t](?:as|which|so|but|not|and not|where|given)|,?[ \t](?:because|since))\b.*", re.IGNORECASE
)
_DENIED = re.compile(r"(?:not|never|n't|no longer|neither)\b", re.IGNORECASE)
_FILLERS = frozenset(
    "so it is done that this the answer above see ok okay i have solved here you are".split()
)
_PLACEHOLDERS = frozenset(
    "|answer|your answer|final answer|your final answer|the answer|the final answer|answer here|your answer here|ans"
    "|result|number|expression|final result|value|letter|option|…|...|..|\\ldots|\\dots|\\cdots|?|_|__|___|[answer]"
    "|<answer>|[your answer]|{answer}|insert answer here|see above|as above|below|as follows|the following".split(
        "|"
    )
)


def last_answer(text: str) -> str | None:
    r"""The final answer that ``text`` marks as such, or None.

    Looked for in this order: ``<answer>…</answer>`` behind the last box, the last ``\boxed{…}`` (several in one
    breath are one answer: ``\boxed{2} and \boxed{3}`` is "2, 3"), then the last of "Final answer: …",
    "Answer: …", "The answer is …" and ``#### …``. A Markdown heading is no answer, nor is a placeholder such
    as ``\boxed{answer}``, nor what a sentence denies, asks or supposes ("I doubt that the answer is 42").
    """
    place, boxed = boxed_answers(text, _is_placeholder)
    tag = _last_tag(text)
    if tag is not None and (boxed is None or place < tag[1]):
        inside = boxed_answers(tag[2], _is_placeholder)[1] or _cleaned(tag[2])
        if inside and "\n\n" not in inside:
            return _marked(inside) or inside
    if boxed is not None:
        return boxed
    return _marked(text)


def final_answer(reasoning: str, response: str | None, truncated: bool) -> str | None:
    """The answer of a completion: the response decides, before the reasoning.

    Where the response marks no answer, it is all that the response says where that is one value: "There are 42
    jars." says 42; "It is not 42." and "41 or 42" say nothing that could be taken for an answer. Else it is the
    one number of a last sentence that concludes: "Therefore, there are 42 jars.". The reasoning counts only
    where it was finished and the response says nothing that could differ from it.
    """
    said = (response or "").strip()
    answer = last_answer(said) or _whole(said)
    if answer is not None or truncated:
        return answer
    if response == reasoning:
        return None
    thought = last_answer(reasoning)
    if thought is None or not said:
        return thought
    return thought if _agrees(said, thought) else None


def _agrees(said: str, thought: str) -> bool:
    """Whether a response that marks no answer leaves room for the one of the reasoning."""
    place = None
    if len(thought) <= 200:
        for place in re.finditer(rf"(?<![\w.]){re.escape(thought)}(?!\w|\.\d)", said, re.IGNORECASE):  # noqa: B007
            pass
    if place is not None:
        start = max(said.rfind(". ", 0, place.start()), said.rfind("\n", 0, place.start())) + 1
        return affirms(re.split(r"[.!?\n](?:\s|$)", said[start : place.end() + 200])[0])
    if re.search(r"\d", thought):
        return not mentions_number(said)
    return all(word in _FILLERS for word in re.findall(r"\w+", said[:200].casefold()))


def _whole(said: str) -> str | None:
    bare = said.strip("*_` \t") if len(said) <= 60 else ""
    if len(bare) > 2 and bare[0] == bare[-1] == "$":
        bare = bare[1:-1].strip()
    if _BARE.fullmatch(bare):
        return bare.rstrip(".!")
    return single_number(said) or concluded_number(said)


def _marked(text: str) -> str | None:
    best: tuple[int, str] | None = None
    for pattern in _PHRASES:
        for match in pattern.finditer(text):
            if best is not None and match.start(1) <= best[0]:
                continue
            if (answer := _stated(text, match)) is not None:
                best = (match.start(1), answer)
    for match in _HASHES.finditer(text):
        if best is not None and match.start(1) <= best[0]:
            continue
        answer = _cleaned(match[1])
        if answer and not _is_heading(text, match, answer):
            best = (match.start(1), answer)
    return best[1] if best else None


def _stated(text: str, match: re.Match[str]) -> str | None:
    before = text[max(0, match.start() - 80) : match.start()]
    if not supposes_nothing(re.split(r"[.!?;\n]|\bbut\b", before)[-1]):
        return None
    said = match[1][:2000]
    for pattern in _PHRASES:  # Final answer: The final answer is 42.
        if inner := pattern.search(said):
            said = inner[1]
    cut = _SENTENCE_END.search(said)
    said = _CLAUSE.sub("", said[: cut.start()] if cut else said)
    if said.rstrip().endswith("?") or _DENIED.match(said):
        return None
    return boxed_answers(said, _is_placeholder)[1] or _cleaned(said)


def _is_heading(text: str, match: re.Match[str], answer: str) -> bool:
    if _NUMERAL.fullmatch(answer):
        return False
    alone = not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
    is_last = not text[match.end() :].strip()
    return not (alone and is_last) or answer.endswith(":") or _HEADING.match(answer) is not None


def _last_tag(text: str) -> tuple[int, int, str] | None:
    """Start, end and content of the last closed ``<answer>``."""
    found: tuple[int, int, str] | None = None
    opened: re.Match[str] | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            opened = tag
        elif opened is not None:
            found = (opened.start(), tag.end(), text[opened.end() : tag.start()].strip())
            opened = None
    return found


def _cleaned(answer: str) -> str | None:
    answer = answer.strip().strip("*_` \t").removesuffix(".").strip().strip("*_` ")
    return None if _is_placeholder(answer) else answer


def _is_placeholder(answer: str) -> bool:
    plain = (
        re.sub(r"\\(?:text|mathrm|textbf|mathbf)\s?\{([^{}]{0,60})\}", r"\1", answer[:100])
        if "\\" in answer[:100]
        else answer[:100]
    )
    return plain.strip(" .*_:") == "" or plain.strip().casefold() in _PLACEHOLDERS
