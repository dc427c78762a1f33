"""Whether a step leaves its line of thought, read from how it begins.

A change of plan is announced by a word for another way ("Alternatively") **and** says what to do next ("we could use
…", "parametrizing …"). Where such a word brings in a fact or a guess about the same plan instead ("Alternatively, note
that …", "Alternatively, perhaps the maximum is …"), or a check of what was found, the line goes on.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Turn", "find_turn"]

_READ = 320  # characters of a step that are looked at
_EARLY = 200  # characters within which a way is given up
_AT_ONCE = 40  # characters within which a restart is announced


class Turn(NamedTuple):
    """How a step leaves its line of thought.

    Attributes:
        reason: why, for the explanation of the annotation.
        whole: whether it gives the line up as a whole, not only its last idea.
    """

    reason: str
    whole: bool


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_WE = r"(?:we|i|you|one)"
_BEFORE = (  # what may stand before the word that turns
    r"\W*(?:(?:but|or|and|hmm|so|okay|ok|wait|now|then|well|oh|maybe|perhaps|yet)\W+){0,4}"
)
_BETTER = r"(?:better|simpler|easier|smarter|different|another|other|new)"
_HARD = (
    r"(?:messy|complicated|convoluted|complex|confusing|tedious|time-consuming|vague|unwieldy|intensive|circular|"
    r"cumbersome|ugly|nowhere)"
)
_DO = (  # what one does to a problem
    r"(?:use|apply|express|set|substitute|parametri[sz]e|parameteri[sz]e|assign|take|think|look|solve|compute|calculate|"
    r"find|go|count|rearrange|rationali[sz]e|model|work|start|approach|draw|split|write|define|expand|eliminate|"
    r"introduce|combine|add|treat|search|enumerate|place|consider|view|rewrite|convert|reduce|divide|multiply|subtract|"
    r"integrate|differentiate|square|plug|replace|simplify|compare|focus|choose|build|construct|make|do|get|change|"
    r"transform|relate)"
)

_ALTERNATIVE = _pattern(
    _BEFORE + r"(?:alternatively|as an alternative|alternative(?= ?:)|or else|"
    r"or(?=,? (?:perhaps |maybe )?(?:use|try|we|let)\b))\b\W*"
)
_ALTERNATIVE_AFTER_ALL = _pattern(  # "Hmm, not helpful. Alternatively, …"
    r"\W*(?:wait|hmm|but|no|okay|well)\b[^.?!]{0,90}[.?!]\W+alternatively\b\W*"
)
_ANOTHER_WAY = _pattern(
    _BEFORE
    + r"(?:(?:let(?:'s| me| us) )?(?:try|consider|use|take|find) )?(?:here(?:'s| is) |there(?:'s| is) )?(?:an? )?"
    + rf"(?:alternative|{_BETTER}) (?:way|approach|method|idea|option|strategy|route)\b"
)
_SINCE = _pattern(  # "since x is even, perhaps …"
    r"(?:since|because|given|as|in|from|with) [^.:;]{1,140}?, (?=(?:so |but )?(?:perhaps|maybe))"
)
_HEDGE = _pattern(r"(?:(?:so|and|but|then|perhaps|maybe|just|instead)\W+)*")
_HEDGED = _pattern(r"\b(?:perhaps|maybe)\b")
_LET = _pattern(
    r"(?:let me|let us|let's) (?:just |first |now )?(?:think|consider(?! that)|compute|use|express|set|approach|look|"
    r"parametri[sz]e|start|count|define|go)\b"
)
_PLAN = _pattern(
    rf"(?:{_WE} (?:can|could|might|may|should|need to use|will) (?:\w+ly |also |just |instead )*"
    rf"(?!assume|suppose|note|see|say|conclude|have)\w+|{_DO}\b|(?!considering that)\w{{2,}}ing\b|what if {_WE}\b|"
    r"there(?:'s| is| are) (?:another\b|an? (?:\w+ ){0,2}"
    r"(?:formula|way|method|approach|trick|identity|theorem|symmetry)\b)|"
    r"it(?:'s| is| would be| might be) (?:better|easier|simpler|best)|better to\b|easier to\b)"
)
_SAME_THING = _pattern(  # "we can think of it as …": other words for the same plan
    r"[^.?!]{0,40}\b(?:think(?:ing)? of|consider|view|treat|see|regard) (?:it|this|that|the \w+)(?: \w+){0,2} as\b|"
    r"[^.?!]{0,30}\bconsider that\b"
)
_COMPUTES = _pattern(r"(?:let (?:me|us) )?comput")
_GIVES_RESULT = re.compile(r"[^.?!]*?[:=]")
_GIVES_RESULT_OF_USE = _pattern(r"[^.?!]*?\b(?:use|set)[^.?!]{0,40}[:=]")
_FORMULA = re.compile(r"[-(\\$]*\d+\s*[-+*/×·÷^(]")
_USING = _pattern(r"\W*(?:perhaps|maybe) (?:us|try)ing (?:the |an? )?\w+")

_NEW_WAY = _pattern(
    rf"\b(?<!the )(?<!no )(?<!see ){_BETTER} "
    r"(?:approach|way|method|idea|strategy|route|path|technique|perspective|substitution)\b|"
    r"\b(?:think|thinking|parametri[sz]e|proceed|approach|do|look at|see|view)(?: \w+){0,3} differently\b|"
    r"\b(?:perhaps|maybe) (?:it's |it is |it would be )?(?:better|easier|simpler) to\b|"
    r"\b(?:would|might) be (?:better|easier|simpler)\b|\bmore systematically\b"
)
_TOO_HARD = _pattern(
    rf"\b(?:getting|becoming) (?:\w+ ){{0,3}}?{_HARD}\b[^.?!]{{0,40}}[.!]\W+"
    r"(?:maybe|perhaps|let(?:'s| us| me) (?:try|find|think))"
)
_FAILED = _pattern(  # what does not work, and the heading of what is tried next
    r"[^#]{0,140}?\b(?:not sure how|can't|cannot|can not|stuck|too \w+|dead end|doesn't work|not working)\b"
    r"[^#]{0,120}##"
)
_NEW_WAY_WORDS = (  # one of them is in whatever `_NEW_WAY` finds; looking for them first saves most of the time
    *(
        "way",
        "approach",
        "method",
        "idea",
        "strategy",
        "route",
        "path",
        "technique",
        "perspective",
        "substitution",
    ),
    *("differently", "better", "easier", "simpler", "systematically"),
)
_RESTART = _pattern(
    r"\b(?:(?:start|starting|begin|beginning) (?:over|again|afresh)|from scratch|restart|retry|try again|"
    r"let (?:me|us) redo|let(?:'s| me| us) go back to|going back to|back to the beginning)\b"
)
_INSTEAD = _pattern(
    _BEFORE
    + rf"(?:instead(?: of [^.,:]{{1,60}})?, (?:let(?:'s| me| us)\b|{_WE} (?:can|could)\b|{_DO}\b)|what if {_WE}\b|"
    rf"{_WE} could also\b|on second thought\b|scrap (?:that|this)\b|"
    rf"(?:actually\W+)?(?:let(?:'s| me| us)|perhaps|maybe|{_WE} (?:can|could|should))\b[^.?!:=]{{3,80}}\binstead[.!:])"
)
_TRIES_AFTER_FAILURE = _pattern(  # "That does not work. Let's try …"
    r"[^.?!]{0,100}\b(?:(?:doesn't|does not|didn't|did not|won't|will not) (?:seem to )?(?:work|help|lead anywhere)|"
    r"not working|fails|failed|is a dead end|(?:getting|got) nowhere|(?:getting|going) in circles|"
    r"(?:am|i'm|we're) stuck)\b[^.?!]{0,40}[.!]\W+(?:so |okay |then )?"
    rf"(?:let(?:'s| me| us)|perhaps|maybe|try|instead|what if|{_WE} (?:can|could|should))\b"
)
_NUMBERED_WAY = _pattern(
    r"\W*(?:(?:method|approach|strategy|attempt|option|way) (?:[2-9]|ii+|two|three|b|c)\b|"
    r"(?:second|third) (?:method|approach|strategy|attempt|option|way)\b)"
)
_CHECKS = _pattern(
    r"\b(?:check|checking|verify|verifying|confirm|make sure|to be sure|ensure|thorough|double-check|sanity)\b"
)
_SENTENCE_END = re.compile(r"[.?!](?=\s)")


def find_turn(text: str) -> Turn | None:
    """How a step with this text leaves the line of thought before it, or None if it goes on with it.

    Args:
        text: the step; only its first 320 characters are read.
    """
    head = " ".join(text[:_READ].replace("’", "'").split())
    if "##" in head and _FAILED.match(head):
        return Turn("says that a way fails, and takes another", whole=True)
    alternative = _ALTERNATIVE.match(head) or _ALTERNATIVE_AFTER_ALL.match(head)
    if alternative:
        if not _checks(head, alternative) and _is_plan(head[alternative.end() :]):
            return Turn("weighs another way", whole=False)
    elif (named := _ANOTHER_WAY.match(head)) and not _checks(head, named):
        return Turn("names another way", whole=True)
    early = head[:_EARLY].lower()
    new = any(word in early for word in _NEW_WAY_WORDS) and _NEW_WAY.search(early)
    if (new and not _checks(head, new)) or _TOO_HARD.search(head, 0, _EARLY):
        return Turn("gives up a way", whole=True)
    if _RESTART.search(head, 0, _AT_ONCE):
        return Turn("starts over", whole=True)
    if _TRIES_AFTER_FAILURE.match(head):
        return Turn("says that a way fails, and takes another", whole=True)
    if _NUMBERED_WAY.match(head) or _INSTEAD.match(head) or _USING.match(head):
        return Turn("takes another way instead", whole=False)
    return None


def _is_plan(rest: str) -> bool:
    """Whether what follows "Alternatively," is something to do."""
    given = _SINCE.match(rest)
    rest = rest[given.end() :] if given else rest
    hedge = _HEDGE.match(rest)
    lead = hedge[0] if hedge else ""
    hedged = bool(given) or bool(_HEDGED.search(lead))
    rest = rest[len(lead) :]
    if _SAME_THING.match(rest):
        return False
    if _LET.match(rest):
        return hedged or not _GIVES_RESULT_OF_USE.match(rest)
    if _PLAN.match(rest):  # unless it is done already: "using the formula: A = 6"
        return hedged or bool(_COMPUTES.match(rest)) or not _GIVES_RESULT.match(rest)
    return bool(_FORMULA.match(rest))


def _checks(head: str, found: re.Match[str]) -> bool:
    """Whether the sentence around what was found is about checking."""
    ends = [end.end() for end in _SENTENCE_END.finditer(head, 0, found.start())]
    after = _SENTENCE_END.search(head, found.end())
    return bool(_CHECKS.search(head, ends[-1] if ends else 0, after.start() if after else len(head)))
