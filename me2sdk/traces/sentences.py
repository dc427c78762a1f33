"""What one sentence affirms: the single number of "There are 42 jars.", and nothing of "It is not 42."."""

from __future__ import annotations

import re

__all__ = ["affirms", "concluded_number", "mentions_number", "single_number", "supposes_nothing"]

_LONGEST = 160
_NUMBER = re.compile(
    r"(?<![\w.,/^:-])([-+]?[$€£]?\d{1,3}(?:,\d{3}){1,9}(?:\.\d{1,20})?|[-+]?[$€£]?\d{1,40}(?:\.\d{1,20}|/\d{1,20})?)(\s?%)?(?![\w^:]|[.,/]\d)"
)
_DOUBT = re.compile(
    r"\b(?:not|no|never|none|neither|nor|cannot|without|wrong|incorrect|false|isn|aren|wasn|don|doesn|didn|won|can't|n't"
    r"|maybe|perhaps|possibly|probably|might|may|could|would|should|unsure|uncertain|unclear|guess|guessing|think so"
    r"|doubt|if|unless|whether|suppose|supposing|assume|assuming|either|or|instead|except|but|rather)\b|n['’]t\b",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:not|never|cannot|doubt|unsure|uncertain|guess|if|whether|unless|suppose|assume|assuming|could|might|maybe|perhaps"
    r"|possibly|why|how)\b|n['’]t\b",
    re.IGNORECASE,
)
_GUESSED = re.compile(
    r"\b(?:think|believe|seems?|appears?|likely|suspect|hope|nobody|nothing|hardly|barely|scarcely|used to|before"
    r"|started|began|initially|originally|first)\b",
    re.IGNORECASE,
)
_NUMBER_WORD = re.compile(
    r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|million)\b",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"\b(?:between|from|more|less|fewer|greater|smaller|larger|least|most|over|under|above|below|up to|than|about"
    r"|around|approximately|roughly|nearly|almost|some|range|every|each|per|of the|out of|half|twice|double|dozen|third"
    r"|quarter|hundred|thousand|million|billion|trillion|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty"
    r"|questions?|steps?|chapter|page|figure|room|number|option|equation|line|try|attempt|method|ways to|digits?)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")
_CONCLUSION = re.compile(
    r"[*_ ]{0,4}(?:(?:therefore|thus|hence|consequently|accordingly|altogether|overall|finally"
    r"|in (?:total|all|conclusion|summary)|as a result|to conclude)\b,?|(?:so|then),)[ \t]",
    re.IGNORECASE,
)
_UNSETTLED = re.compile(
    r"\b(?:not|no|never|none|neither|nor|cannot|wrong|incorrect|false|maybe|perhaps|possibly|probably|might|(?-i:may)"
    r"|could|should|unsure|uncertain|unclear|guess|doubt|whether|either|or|between [^.]{0,12}\d"
    r"|(?:at|the) (?:least|most)|up to|within"
    r"|(?:more|less|fewer|greater|smaller|larger|higher|lower|bigger|rather|other) than [^.]{0,20}\d"
    r"|likely|seems?|appears?|suppose|assume|assuming|i|me|my|let|try|tried|check|verify"
    r"|(?:we|you|one) (?:must|need to|have to)|step|equation|option|question|problem)\b|n['’]t\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<!\bM[rs])(?<!\bMrs)(?<!\b[DS][rt])(?<!\bProf)[.!:;]\s+(?=[A-Z*])")
_MARKED_NUMBER = re.compile(rf"(?:\*\*|\\\()\s?({_NUMBER.pattern})[^*\\\n]{{0,40}}(?:\*\*|\\\))")


def affirms(text: str) -> bool:
    """Whether nothing in these words denies, doubts, asks or supposes."""
    return _DOUBT.search(text) is None


def supposes_nothing(text: str) -> bool:
    """Whether these words in front of "the answer is" leave it standing: "No, the answer is …", not "if …"."""
    return _SUPPOSED.search(text) is None


def mentions_number(text: str) -> bool:
    """Whether a text mentions a number, in digits or in words."""
    return _NUMBER_WORD.search(text) is not None


def single_number(text: str) -> str | None:
    """The number that one short sentence states, as it is written, or None.

    Only a sentence that affirms it and holds no other number counts, since any other number could be a part
    of the question, a bound, or a guess.
    """
    text = text.strip().strip("*_ \t")
    if len(text) > _LONGEST or "\n" in text or "?" in text:
        return None
    text = re.sub(r"\\[()\[\]]|\*\*|(?<!\w)\$(?=\S{1,40}\$)|(?<=\d)\$(?!\d)", "", text)
    found = list(_NUMBER.finditer(text))
    if len(found) != 1 or sum(map(str.isdigit, text)) != sum(map(str.isdigit, found[0][0])):
        return None
    number = found[0]
    before, after = text[: number.start()], text[number.end() :].rstrip()
    words = _WORD.findall(before) + _WORD.findall(after)
    if (
        len(words) < (2 if before.strip() else 1)
        or re.search(r"[.!:;]\s", before + " " + after.lstrip(".!"))
        or re.search(r"[\\=<>^*{}~≈≠]", text)
    ):
        return None
    if not affirms(text) or _BOUND.search(text) or _GUESSED.search(text):
        return None
    label = re.search(r"(?<=\s)[A-Z]\w*\s?$|^\w+\s?$", before)  # on March 7; Room 7
    if label and not label[0].strip().islower() and len(words) < 4:
        return None
    if label and re.search(r"\s[A-Z]\w*\s?$", before):
        return None
    return (number[1] + (number[2] or "").strip()).strip()


def concluded_number(text: str) -> str | None:
    """The number that the last sentence of a solution concludes with, as it is written, or None.

    "Therefore, Miss Maria has 30 students." concludes with 30. The sentence must say that it concludes, leave nothing
    open, and hold one number, or one that is set in bold or as a formula.
    """
    line = text.rstrip()[-400:].rpartition("\n")[2].strip()
    start = max((match.end() for match in _SENTENCE.finditer(line)), default=0)
    sentence = line[start:]
    if len(sentence) > 2 * _LONGEST or _CONCLUSION.match(sentence) is None:
        return None
    if not sentence.rstrip("*_$) ").endswith((".", "!")) or "?" in sentence or _UNSETTLED.search(sentence):
        return None
    if any(not re.search(r"\d", bold) for bold in re.findall(r"\*\*([^*]{1,80})\*\*", sentence[3:])):
        return None  # what it sets in bold is no number
    marked = [match[1] for match in _MARKED_NUMBER.finditer(sentence.replace("\\$", ""))]
    plain = re.sub(r"\\[()\[\]]|\*\*|\\(?=[$%])", "", sentence)
    if re.search(r"[\\=<>^{}~≈≠]", plain):
        return None
    found = [match[0].strip() for match in _NUMBER.finditer(plain)]
    for numbers in (found, marked):
        if len(set(numbers)) == 1:
            return numbers[0]
    return None
