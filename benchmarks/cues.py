"""Cue words of version 1 of the local annotator: what a step's wording says about its role in a trace.

The cues are those by which people and the paper's prompts (§4.2, App. J.1) recognise a turn in a line of thought:
a doubt, a new start, another approach, a check, lines brought together, a conclusion; and two that say that a step
does little work (hedging, filler). A cue is evidence, not proof: a contrastive word alone does not make a backtrack.

Pure functions over words. Each word is looked up once, so the cost is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

__all__ = ["Cue", "count_cues", "cue_words", "opening_cue"]

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_OPENING_WORDS = 6
_OPENING_CHARACTERS = 200


class Cue(StrEnum):
    """What a phrase signals."""

    REFLECTION = "reflection"
    RESTART = "restart"
    ALTERNATIVE = "alternative"
    CHECK = "check"
    MERGE = "merge"
    CONCLUSION = "conclusion"
    HEDGING = "hedging"
    FILLER = "filler"


_PHRASES: dict[Cue, str] = {
    Cue.REFLECTION: (
        "wait, hmm, hm, oops, hold on, actually, on second thought, i made a mistake, i made an error, "
        "that's not right, that is not right, that's wrong, that is wrong, that can't be, that cannot be, "
        "let me reconsider, let me rethink, reconsider, rethink"
    ),
    Cue.RESTART: (
        "start over, start again, starting over, from scratch, begin again, restart, try again, retry, "
        "go back to, going back to, back to the beginning, let me redo, redo"
    ),
    Cue.ALTERNATIVE: (
        "alternatively, another way, another approach, another method, another idea, a different approach, "
        "a different way, a different method, different approach, other approach, instead of that, "
        "we could also, one could also, or maybe, what if, on the other hand, let me try, let's try, try another"
    ),
    Cue.CHECK: (
        "check, checking, recheck, double-check, double check, verify, verifying, verification, confirm, confirms, "
        "confirming, make sure, sanity check, plug back, plugging back, substitute back, substituting back, "
        "let me see if, test this"
    ),
    Cue.MERGE: (
        "combining, combine, combined with, putting together, put together, putting it all together, "
        "putting this together, putting everything together, taken together, from both, both cases, "
        "both results, bringing together"
    ),
    Cue.CONCLUSION: (
        "therefore, thus, hence, consequently, in conclusion, to conclude, we conclude, final answer, "
        "the answer is, answer is, our answer, finally, in summary, overall, as a result, boxed"
    ),
    Cue.HEDGING: (
        "maybe, perhaps, probably, presumably, possibly, likely, might, seems, seem, apparently, i think, "
        "i guess, i believe, i suppose, i assume, not sure, unsure, not certain, could be, may be, "
        "roughly speaking, more or less, kind of, sort of"
    ),
    Cue.FILLER: (
        "okay, ok, alright, all right, well, let's see, let me see, let me think, let's think, "
        "let me think about this, basically, essentially, obviously, clearly, of course, needless to say, "
        "as we know, as mentioned, as stated, as we said, as noted, in other words, to put it differently, "
        "it is important to, it's important to, it is worth, note that, interesting, step by step, "
        "let's break this down, let's break it down, before we proceed, moving on, as we can see, "
        "for clarity, to be clear, it goes without saying, take a moment, simply put"
    ),
}


def _index() -> dict[str, list[tuple[tuple[str, ...], Cue]]]:
    """Phrases by their first word, longest first, so that the most specific one wins."""
    index: dict[str, list[tuple[tuple[str, ...], Cue]]] = {}
    for cue, phrases in _PHRASES.items():
        for phrase in phrases.split(","):
            words = tuple(phrase.replace("-", " ").split())
            index.setdefault(words[0], []).append((words, cue))
    for entries in index.values():
        entries.sort(key=lambda entry: -len(entry[0]))
    return index


_INDEX = _index()


def cue_words(text: str) -> list[str]:
    """The words of ``text`` as the cues know them: lower case, with straight apostrophes, without digits."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def _at(words: Sequence[str], position: int) -> tuple[int, Cue] | None:
    """The cue whose phrase starts at ``position``, with the phrase's number of words."""
    for phrase, cue in _INDEX.get(words[position], ()):
        size = len(phrase)
        if size == 1 or tuple(words[position : position + size]) == phrase:
            return size, cue
    return None


def count_cues(words: str | Sequence[str]) -> dict[Cue, int]:
    """Count each cue's phrases.

    Args:
        words: a text, or the words that `cue_words` makes of it.

    Returns:
        A count for every `Cue`. Phrases do not overlap: "let me think about this" is one cue.
    """
    if isinstance(words, str):
        words = cue_words(words)
    counts = dict.fromkeys(Cue, 0)
    position = 0
    while position < len(words):
        found = _at(words, position)
        if found:
            counts[found[1]] += 1
        position += found[0] if found else 1
    return counts


def opening_cue(step: str) -> Cue | None:
    """The cue with which a step opens.

    Only the first six words are read, since a cue that turns the line of thought comes first ("But wait, …"). Of
    several, a turn (reflection, restart, alternative, check, merge, conclusion) wins over hedging and filler, and an
    earlier one wins over a later one.

    Args:
        step: a step's text.

    Returns:
        The cue, or None if there is none.
    """
    words = cue_words(step[:_OPENING_CHARACTERS])
    weak: Cue | None = None
    for position in range(min(len(words), _OPENING_WORDS)):
        found = _at(words, position)
        if found is None:
            continue
        if found[1] not in (Cue.HEDGING, Cue.FILLER):
            return found[1]
        weak = weak or found[1]
    return weak
