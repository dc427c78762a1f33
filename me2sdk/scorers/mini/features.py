"""The features of a trace that the bundled scorer weighs.

Every feature is a finite number read from the question and the trace alone, and rises with what it is named
after. Counts are saturated (``n / (1 + n)``) or shares, so that a long trace is not judged by its length. In
terms of ME² (paper §3): repetition, idle talk and doubts are about efficiency; arithmetic, the origin and the use of
numbers, and the links between sentences about effectiveness.
"""

from __future__ import annotations

import math
import re

from me2sdk.scorers.mini.ledger import follow_numbers
from me2sdk.scorers.mini.question import Asked, read_question
from me2sdk.scorers.mini.reading import Reading

__all__ = ["FEATURES", "MAX_CHARACTERS", "clip", "extract", "read_trace"]

MAX_CHARACTERS = 200_000
"""Characters of a trace that are read. Of a longer one, the first and the last half of this many are."""

FEATURES: dict[str, str] = {
    "equations": "equations that could be read",
    "wrong_equations": "equations that do not hold",
    "unsupported_operands": "numbers computed with that come from nowhere",
    "unsupported_numbers": "other numbers that come from nowhere",
    "implied_numbers": "numbers that one unwritten operation on known numbers gives",
    "used_before_computed": "numbers used before the step that computes them",
    "unused_results": "results, the last one apart, that nothing is computed from",
    "unused_question_numbers": "share of the question's numbers that never turn up",
    "repeated_phrases": "share of runs of four tokens that stood there before",
    "repeated_lines": "share of lines that stood there before",
    "unlinked_sentences": "share of sentences that share no word and no number with what came before",
    "hedging": "words that hedge (perhaps, might, seems, assume)",
    "checking": "words that check (verify, confirm)",
    "mistakes": "words that take something back (wrong, mistake, error)",
    "restarts": "words that begin again (again, redo, alternatively)",
    "approximation": "words that approximate (about, roughly, closest)",
    "denial": "words that deny (not, cannot, impossible)",
    "filler": "words that fill (okay, well, clearly)",
    "late_mistakes": "whether something is taken back in the last fifth",
    "answer_stated": "whether a final answer is stated",
    "breaks_off": "whether the text ends without a full stop, a number or a closing bracket",
    "untidy_answer": "whether the last number has decimals where the question has whole numbers only",
    "after_last_number": "share of the text after the last number that is new",
    "question_words": "share of the question's content words that turn up",
    "asked_for_last": "share of the words of what is asked for that turn up in the last sentence",
}
"""The features by name, with what each counts."""

_WORDS: dict[str, frozenset[str]] = {
    "hedging": frozenset("assume assuming suppose guess likely maybe perhaps probably might seems".split()),
    "checking": frozenset("check checking recheck verify verifying verification confirm confirms".split()),
    "mistakes": frozenset("mistake wrong incorrect error incorrectly misread mistakenly oops".split()),
    "restarts": frozenset(
        "again reconsider redo restart rethink revisit recalculate alternatively another instead".split()
    ),
    "approximation": frozenset("approximately approx about roughly nearly around estimate closest".split()),
    "denial": frozenset("cannot impossible no not contradiction unclear insufficient unable".split()),
    "filler": frozenset(
        "okay ok alright well let's basically essentially obviously clearly interesting see think hmm".split()
    ),
}
_KIND_OF_WORD = {word: kind for kind, words in _WORDS.items() for word in words}
_MARKS = re.compile(r"<<[^<>\n]{0,200}>>")
_ANSWER = re.compile(r"\\boxed\s*\{|(?:answer is|answer:|answer\*\*:?|####)[\s:*$\\(\[{]*[^\n.}$*]")
_ENDS = frozenset(".!?)]}$*`\"'”|…>")


def clip(text: str) -> tuple[str, int]:
    """The part of ``text`` that is read, and how many characters were left out of its middle."""
    if len(text) <= MAX_CHARACTERS:
        return text, 0
    half = MAX_CHARACTERS // 2
    return f"{text[:half]}\n{text[-half:]}", len(text) - MAX_CHARACTERS


def read_trace(text: str) -> Reading:
    """Read a trace, as far as it is read at all."""
    return Reading.of(clip(_MARKS.sub("", text) if "<<" in text else text)[0])


def extract(question: str, trace: str | Reading) -> dict[str, float]:
    """Compute the features of a trace.

    Args:
        question: what was asked, or "".
        trace: the trace, or what `read_trace` makes of it.

    Returns:
        A value for every name of `FEATURES`.
    """
    reading = read_trace(trace) if isinstance(trace, str) else trace
    asked = read_question(clip(question)[0])
    values = dict.fromkeys(FEATURES, 0.0)
    values.update(follow_numbers(reading, asked))
    if reading.tokens:
        _wording(values, reading)
        _repetition(values, reading)
        _links(values, reading, asked)
        _ending(values, reading, asked)
    else:  # no word and no number: nothing was done
        values["unlinked_sentences"] = values["breaks_off"] = 1.0
    return values


def _saturate(count: float) -> float:
    return count / (1.0 + count)


def _wording(values: dict[str, float], reading: Reading) -> None:
    totals = dict.fromkeys(_WORDS, 0)
    counts = reading.counts
    for word in _KIND_OF_WORD.keys() & counts.keys():
        totals[_KIND_OF_WORD[word]] += counts[word]
    per = 2.0 / math.sqrt(1.0 + len(reading.all_tokens) / 20.0)
    for kind, total in totals.items():
        values[kind] = _saturate(per * total)
    if totals["mistakes"]:
        late = reading.all_tokens[-max(1, len(reading.all_tokens) // 5) :]
        values["late_mistakes"] = float(not _WORDS["mistakes"].isdisjoint(late))


def _repetition(values: dict[str, float], reading: Reading) -> None:
    tokens = reading.all_tokens
    if (runs := len(tokens) - 3) > 0:
        seen = set(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))
        values["repeated_phrases"] = 1.0 - len(seen) / runs
    lines = [line for line in reading.sentences if len(line) > 12]
    if lines:
        values["repeated_lines"] = 1.0 - len(set(lines)) / len(lines)


def _links(values: dict[str, float], reading: Reading, asked: Asked) -> None:
    known = set(asked.content)
    known_numbers = set(asked.written)
    unlinked = counted = 0
    for place, (content, numbers) in enumerate(zip(reading.content_of, reading.numbers_of, strict=True)):
        if (content or numbers) and (place or known):
            counted += 1
            unlinked += known.isdisjoint(content) and known_numbers.isdisjoint(numbers)
        known |= content
        known_numbers.update(numbers)
    values["unlinked_sentences"] = unlinked / counted if counted else 0.0
    if asked.content:
        here = set().union(*reading.content_of)
        values["question_words"] = len(asked.content & here) / len(asked.content)


def _ending(values: dict[str, float], reading: Reading, asked: Asked) -> None:
    values["answer_stated"] = float(any(_ANSWER.search(sentence) for sentence in reading.sentences))
    last = reading.sentences[-1][-1]
    values["breaks_off"] = float(last not in _ENDS and not last.isdecimal())
    if asked.asked_for:
        # A bare "The answer is 7." says nothing of what the answer is about.
        words = next((found for found in reversed(reading.content_of) if len(found) > 2), set[str]())
        values["asked_for_last"] = len(asked.asked_for & words) / len(asked.asked_for)
    written = [number for numbers in reading.numbers_of for number in numbers]
    if written:
        values["untidy_answer"] = float(asked.whole and "." in written[-1])
        values["after_last_number"] = 1.0 - _last_new_number(reading) / len(reading.all_tokens)


def _last_new_number(reading: Reading) -> int:
    """How many tokens there are up to the last number that did not stand there before."""
    seen: set[str] = set()
    total = last = 0
    for tokens, numbers in zip(reading.tokens, reading.numbers_of, strict=True):
        total += len(tokens)
        if not seen.issuperset(numbers):
            seen.update(numbers)
            last = total
    return last
