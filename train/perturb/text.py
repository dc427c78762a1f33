"""A trace cut into parts that can be moved, and wording that makes a trace longer without a fault."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from me2sdk.scorers.mini import read_equations
from me2sdk.steps import split_steps
from me2sdk.traces import last_answer
from me2sdk.train.perturb import phrases as say
from me2sdk.verify import normalize_answer

__all__ = [
    "Draft",
    "Equation",
    "Part",
    "equations",
    "lower",
    "numbers",
    "padded",
    "render",
    "sentences",
    "stated",
]

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(rf"(?<![\w.]){NUMBER}(?![\w.]*\w)|(?<![\w.]){NUMBER}(?=%|\b)")
_TERM = rf"\(?\$?(?:{NUMBER})%?\)?(?:[ ]{{1,2}}[A-Za-z]{{1,15}}){{0,2}}"
_SIGN = r"(?:[-+*/x×÷·−–]|\\times|\\cdot|\\div)"
_EQUATION = re.compile(
    rf"(?<![\w.,*/^=+])(?<!- )(?P<left>{_TERM}(?:[ ]{{0,2}}{_SIGN}[ ]{{0,2}}{_TERM}){{1,6}})"
    rf"(?P<equal>[ ]{{0,2}}=[ ]{{0,2}}\$?)(?P<value>{NUMBER})(?![\w/*^]|\.\d|,\d|[ ]?[-+*/x×÷=])"
)
_WORDS_BETWEEN = re.compile(r"(?<=[\d%)]) {1,2}(?!x\b)[A-Za-z]{2,15}(?: [A-Za-z]{2,15})?")
_SYMBOLS = re.compile(r"[\\^_²³√≈⇒→]|\$[A-Za-z]|\blog|[a-z]\(")  # mathematics that is not to be put in words
_NUMBERED = re.compile(r"\s*(?:\d{1,3}[.):]|[-*#•]|[Ss]tep\s)")
_PARAGRAPH = re.compile(r"(\n[^\S\n]*\n\s*)")
_SENTENCE_END = re.compile(r"(?<=[.!?])(\s+)(?=[A-Z\"'“$(\d])")
_END = re.compile(
    r"\s*(?:####|\*{0,2}(?:so|thus|therefore|hence)?,?\s*(?:the|our)?\s*(?:final\s+)?answer\s*(?::|is\b|=)"
    r"|\$?\\boxed\{)[^\n]{0,200}\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Part:
    """A step, line or sentence of a trace.

    Attributes:
        text: its text.
        gap: the white space after it.
        origin: its place in the trace that was handed in, or None if it was put in.
        changed: whether its text was changed.
    """

    text: str
    gap: str
    origin: int | None = None
    changed: bool = False


@dataclass(frozen=True)
class Equation:
    """A written computation of plain numbers that holds.

    Attributes:
        left: what is computed, as written.
        value: the result as written.
        start: where it starts in the text.
        value_start: where the result starts.
        end: where it ends.
    """

    left: str
    value: str
    start: int
    value_start: int
    end: int


@dataclass
class Draft:
    """A trace that is being damaged.

    Attributes:
        parts: what it was cut into, the statement of the answer left out.
        end: the statement of the answer (``#### 72``) that stood alone at the end, or "". It is never touched.
        question: what was asked, as text.
        rng: where all chance comes from.
        other: parts of another question's trace.
        gap: the white space between most parts.
        free: how many parts may be changed: all, or all but the last where that states the answer.
    """

    parts: list[Part]
    end: str
    question: str
    rng: random.Random
    other: Sequence[str] = ()
    gap: str = field(init=False)
    free: int = field(init=False)

    def __post_init__(self) -> None:
        gaps = Counter(part.gap for part in self.parts[:-1])
        self.gap = gaps.most_common(1)[0][0] if gaps else "\n"
        self.free = len(self.parts) if self.end else len(self.parts) - 1

    @property
    def text(self) -> str:
        """The parts as they came."""
        return "".join(part.text + part.gap for part in self.parts)

    @classmethod
    def cut(cls, text: str, question: str, rng: random.Random, other: str = "") -> Draft:
        """Cut a trace into steps where it has paragraphs, else into lines, else into sentences."""
        pieces = _pieces(text)
        end = ""
        if len(pieces) > 1 and _END.fullmatch(pieces[-1][0]) and last_answer(pieces[-1][0]):
            end = "".join(pieces.pop())
        parts = [Part(piece, gap, place) for place, (piece, gap) in enumerate(pieces)]
        return cls(
            parts, end, question, rng, [piece for piece, _ in _pieces(other) if not _END.fullmatch(piece)]
        )

    def inserted(self, place: int, text: str, parts: Sequence[Part] | None = None) -> list[Part]:
        """``parts`` (by default those of the draft) with a new one in front of the one at ``place``."""
        made = list(self.parts if parts is None else parts)
        gap = self.gap
        if place == len(made):  # what was the last part ends as the others do, and the new one as it did
            gap, made[-1] = made[-1].gap, replace(made[-1], gap=self.gap)
        made.insert(place, Part(text, gap))
        return made

    def with_text(self, place: int, text: str, parts: Sequence[Part] | None = None) -> list[Part]:
        """``parts`` (by default those of the draft) with the text of one replaced."""
        made = list(self.parts if parts is None else parts)
        made[place] = replace(made[place], text=text, changed=True)
        return made


def _pieces(text: str) -> list[tuple[str, str]]:
    """Text and following white space; joined they are ``text``."""
    if not text.strip():
        return []
    lead = text[: len(text) - len(text.lstrip())]
    body = text[len(lead) :]
    pieces = [(step.text, step.separator) for step in split_steps(body)] if "\n\n" in body else []
    if len(pieces) < 3:
        for pattern in (_PARAGRAPH, re.compile(r"(\n+)"), _SENTENCE_END):
            cut = pattern.split(body)
            pieces = list(zip(cut[::2], [*cut[1::2], ""], strict=True))
            if len(pieces) > (2 if pattern is _PARAGRAPH else 1):
                break
    if len(pieces) > 1 and not pieces[-1][0].strip():
        last = pieces.pop()
        pieces[-1] = (pieces[-1][0], pieces[-1][1] + "".join(last))
    # An answer on the last line of the last step is stated there, whatever else the step holds.
    head, line, tail = pieces[-1][0].rpartition("\n")
    if line and head.strip() and _END.fullmatch(tail):
        pieces[-1:] = [(head.rstrip(), head[len(head.rstrip()) :] + line), (tail, pieces[-1][1])]
    return [(lead + pieces[0][0], pieces[0][1]), *pieces[1:]]


@lru_cache(maxsize=4096)
def equations(text: str) -> tuple[Equation, ...]:
    """The equations of ``text`` that consist of plain numbers, with units between them, and hold."""
    found = []
    for match in _EQUATION.finditer(text):
        plain = _WORDS_BETWEEN.sub("", match["left"]).replace("%", "")
        read = read_equations(f"{plain} = {match['value']}")
        if len(read) == 1 and read[0].holds:
            start, end = match.span("value")
            found.append(Equation(match["left"], match["value"], match.start(), start, end))
    return tuple(found)


@lru_cache(maxsize=4096)
def numbers(text: str) -> tuple[str, ...]:
    """The numbers of ``text`` as written, without thousands separators."""
    return tuple(match[0].replace(",", "") for match in _NUMBER.finditer(text))


def sentences(text: str) -> list[str]:
    """The sentences and lines of ``text``."""
    return [piece.strip() for piece in re.split(r"(?<=[.!?])\s+|\n+", text) if piece.strip()]


def stated(text: str) -> str | None:
    """The final answer that ``text`` states, normalised: the marked one, else its last number."""
    marked = last_answer(text)
    if marked is None:
        found = numbers(text[-400:])
        marked = found[-1] if found else None
    return None if marked is None else normalize_answer(marked)


def lower(text: str, around: str) -> str:
    """``text`` so that it can follow other words: its first word in lower case, unless it may be a name."""
    word = re.match(r"[A-Z][a-z']*\b", text)
    if not word or word[0] == "I":
        return text
    small = word[0].lower()
    common = small in say.STARTERS or re.search(rf"(?<![\w]){re.escape(small)}\b", around)
    return small + text[len(small) :] if common else text


def render(parts: Sequence[Part], end: str, jobs: Collection[str], question: str, seed: str) -> str:
    """The text of ``parts``, with ``jobs`` of harmless wording done (see `padded`).

    The same job is worded in the same way wherever it is done with the same ``seed``.
    """
    known = frozenset(numbers(question))
    written = []
    for place, part in enumerate(parts):
        text = part.text
        if part.origin is not None and (names := tuple(n for n in _JOBS if f"{n} {part.origin}" in jobs)):
            text = _reworded(text, names, known, part.changed, f"{seed} {part.origin}")
        if "label" in jobs:
            text = f"Step {place + 1}: {text}"
        written.append(text + part.gap)
    gap = parts[0].gap if len(parts) > 1 and parts[0].gap else "\n"
    front = "".join(job.removeprefix("given ") + gap for job in jobs if job.startswith("given "))
    return front + "".join(written) + end


@lru_cache(maxsize=4096)  # the same parts are written again and again while a length is searched for
def _reworded(text: str, names: tuple[str, ...], known: frozenset[str], changed: bool, seed: str) -> str:
    for name in names:
        text = _JOBS[name](text, known, changed, random.Random(f"{seed} {name}"))
    return text


def padded(
    sides: tuple[Sequence[Part], Sequence[Part]], draft: Draft, longer: int, lead: int, shared: float
) -> tuple[str, str] | None:
    """Write both sides so that one is longer than the other by at least ``lead`` characters.

    One list of harmless changes is drawn for the pair, and each side gets its beginning up to some length, so that
    the side with fewer of them has none that the other lacks: signs spelled out, connectives, sums of money in
    words, notes on where a number comes from, numbered steps, what is given put in front.

    Args:
        sides: the parts of the better and the worse side.
        draft: what they were made from.
        longer: which side is to be the longer one, 0 or 1.
        lead: by how many characters at least.
        shared: share of the changes that both sides get, in [0, 1].

    Returns:
        The better and the worse text, or None where wording alone cannot make the side so long.
    """
    jobs = _draw_jobs(draft)
    count = round(shared * len(jobs))
    seed = str(draft.rng.random())

    def write(side: int, count: int) -> str:
        return render(sides[side], draft.end, dict.fromkeys(jobs[:count]), draft.question, seed)

    most = len(write(longer, len(jobs)))
    while most < len(shorter := write(1 - longer, count)) + lead:
        if count == 0:
            return None
        count //= 2
    low, high = count, len(jobs)
    while low < high:  # lengths rise with the count
        middle = (low + high) // 2
        if len(write(longer, middle)) < len(shorter) + lead:
            low = middle + 1
        else:
            high = middle
    texts = (write(longer, low), shorter)
    return texts if longer == 0 else (texts[1], texts[0])


def _draw_jobs(draft: Draft) -> list[str]:
    rng = draft.rng
    symbolic = [bool(_SYMBOLS.search(part.text)) for part in draft.parts]
    jobs: list[str] = []
    for place, part in enumerate(draft.parts):
        if _connectable(part.text):
            jobs.append(f"connect {place}")
        if not symbolic[place]:
            jobs += [f"spell {place}", f"money {place}"]
            if "\n" not in part.text and len(part.text) < 300:
                jobs.append(f"note {place}")
    lines = "\n" in draft.gap
    if lines and 1 < len(draft.parts) < 12 and not any(_NUMBERED.match(part.text) for part in draft.parts):
        jobs.append("label")
    rng.shuffle(jobs)
    facts = [s for s in sentences(draft.question) if s.endswith(".") and 15 < len(s) < 250]
    rng.shuffle(facts)
    for fact in facts[:1]:
        jobs.insert(rng.randint(0, len(jobs)), "given " + rng.choice(say.GIVEN) + fact)
    return [*jobs, *("given " + rng.choice(say.GIVEN) + fact for fact in facts[1:3])]


def _connectable(text: str) -> bool:
    word = re.match(r"[A-Za-z$\d(]+", text)
    return (
        bool(word) and not _NUMBERED.match(text) and text.split()[0].lower().strip(",.:;") not in say.OPENERS
    )


def _connect(text: str, _known: frozenset[str], _changed: bool, draw: random.Random) -> str:
    return draw.choice(say.CONNECTIVES) + lower(text, "")


def _spell(text: str, _known: frozenset[str], _changed: bool, draw: random.Random) -> str:
    number = r"(?=\(?\$?\.?\d)"
    behind = r"(?<=[\d)%])"
    text = re.sub(rf" ?= ?{number}", f" {draw.choice(say.EQUALS)} ", text)
    text = re.sub(rf"{behind} ?\+ ?{number}", " plus ", text)
    text = re.sub(rf"{behind} ?(?:[*×·]|(?<= )x(?= )) ?{number}", f" {draw.choice(say.TIMES)} ", text)
    return re.sub(rf"{behind} [-−–] {number}", " minus ", text)


def _money(text: str, _known: frozenset[str], _changed: bool, _draw: random.Random) -> str:
    text = re.sub(rf"\$({NUMBER})(?![\w/]|\.\d|,\d| ?(?:million|billion|per))", r"\1 dollars", text)
    return re.sub(r"(?<=\d)%", " percent", text)


def _note(text: str, known: frozenset[str], changed: bool, draw: random.Random) -> str:
    # A changed step gets its note, too, or the note would give the better side away.
    computed = [text] if changed else [equation.left for equation in equations(text)]
    given = [number for part in computed for number in numbers(part) if number in known]
    if not given:
        return text
    stop = text[len(text.rstrip(" .")) :]
    return f"{text[: len(text) - len(stop)]} ({draw.choice(say.NOTES).format(draw.choice(given))}){stop}"


_JOBS = {"note": _note, "money": _money, "spell": _spell, "connect": _connect}
