"""Cutting a trace into steps (paper §4.1, App. D).

A trace is split on blank lines; a new step starts only where a block's first word is one of a small set of
prefix words ("so", "wait", "alternatively", …), and other blocks join the step before them. The sets differ by
model family; for another family they can be counted from your own traces.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from me2sdk._choices import PREFIX_SETS
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Step, Trace

__all__ = ["PREFIX_SETS", "PrefixCounts", "count_prefixes", "guess_prefixes", "split_steps"]

# What may come before a block's first word: white space, Markdown, quotes, a list number. Bounded and atomic.
_LEAD = r"(?>(?:[^\S\n]|[*_#>\-•–\"'“‘(\[]){0,12}(?:\d{1,3}[.)][^\S\n]{1,4}[*_]{0,3})?)"
# Because of the look-behind each run of white space is tried once, at its start, so that time stays linear.
_GAP = r"(?<!\s)(?>[^\S\n]*\n\s*\n)"
_FIRST_WORD = re.compile(_LEAD + r"([^\W\d_]{1,24}(?:['’]s\b)?)")
_BLOCK = re.compile(rf"{_GAP}|\Z")
# Words that say nothing about what a block does: however frequent, they never start a step.
_FUNCTION_WORDS = frozenset(
    "a an and are as at be by can do each for from has have he her his i in is it its my of on or our she that the "
    "their there they this to was we were when where which while who with you your".split()
)


def split_steps(trace: Trace | str, prefixes: str | Iterable[str] | Path = "auto") -> list[Step]:
    r"""Cut a trace into steps.

    Args:
        trace: a trace (its reasoning is cut) or plain text.
        prefixes: one of `PREFIX_SETS`; "auto" guesses one from the text; a collection of prefix words,
            upper or lower case; or a `pathlib.Path` to a file that `PrefixCounts.write` made.

    Returns:
        The steps in order. ``"".join(step.text + step.separator for step in steps)`` equals the input,
        whatever it holds. Empty text has no steps. Time is linear in the text.

    Raises:
        ConfigurationError: there is no such prefix set.
        InvalidTraceError: ``trace`` is neither a `Trace` nor a string.

    Example:
        ```python
        from me2sdk import split_steps

        steps = split_steps("2 + 2 = 5.\n\nWait, that is wrong.\n\nSo it is 4.")
        print([step.text for step in steps])  # ['2 + 2 = 5.', 'Wait, that is wrong.', 'So it is 4.']
        ```
    """
    text = _text(trace)
    if not text:
        return []
    parts = _boundary(_resolve(prefixes, text)).split(text)
    if len(parts) > 1 and not parts[0].strip():  # blank lines at the very start belong to the first step
        parts[:3] = ["".join(parts[:3])]
    if stripped := parts[-1].rstrip():
        tail = parts[-1][len(stripped) :]
        parts[-1:] = [stripped, tail] if tail.count("\n") > 1 else [parts[-1], ""]
    else:
        parts.append("")
    return list(map(Step._make, zip(parts[::2], parts[1::2], strict=True)))


@functools.lru_cache(maxsize=64)
def _boundary(words: frozenset[str]) -> re.Pattern[str]:
    """Matches (and captures) the blank lines before a block that starts with one of ``words``."""
    choice = "|".join(re.escape(word).replace("'", "['’]") for word in sorted(words, reverse=True)) or r"(?!)"
    return re.compile(rf"({_GAP})(?={_LEAD}(?:{choice})(?!['’]s\b|[^\W\d_]))", re.IGNORECASE)


def _text(trace: Trace | str) -> str:
    if isinstance(trace, Trace):
        return trace.reasoning
    if isinstance(trace, str):
        return trace
    raise InvalidTraceError(f"Steps are cut from a Trace or a string, not from {type(trace).__name__}.")


def _first_words(text: str) -> Iterator[str | None]:
    """The first word of each block, in lower case; None for a block that starts otherwise."""
    start = 0
    for gap in _BLOCK.finditer(text):
        if gap.start() > start:
            word = _FIRST_WORD.match(text, start)
            yield word[1].lower().replace("’", "'") if word else None
        start = gap.end()


@functools.cache
def _shipped() -> dict[str, frozenset[str]]:
    data = json.loads((resources.files("me2sdk") / "data" / "prefixes.json").read_text("utf-8"))
    return {name: frozenset(entry["prefixes"]) for name, entry in data.items()}


def _resolve(prefixes: str | Iterable[str] | Path, text: str) -> frozenset[str]:
    if isinstance(prefixes, Path):
        try:
            return frozenset(json.loads(prefixes.read_text("utf-8-sig"))["prefixes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"Cannot read a prefix set from {prefixes} ({error}). "
                "Write one with count_prefixes(traces).write(path)."
            ) from None
    if isinstance(prefixes, str):
        name = guess_prefixes(text) if prefixes == "auto" else prefixes
        if name not in PREFIX_SETS:
            raise ConfigurationError(
                f"No prefix set is called {name!r}. "
                f"Choose one of {', '.join(('auto', *PREFIX_SETS))}, or pass the words."
            )
        return _shipped()[name]
    return frozenset(word.lower() for word in prefixes)


_TERSE = frozenset({"need", "thus", "compute", "hence", "ok"})
_CHATTY = frozenset({"wait", "hmm", "alternatively", "okay", "alright"})
_OPENING_SO = re.compile(r"\s{0,8}(?:okay|ok|alright|first),? (?:so|i)\b", re.IGNORECASE)
_OPENING_OKAY = re.compile(r"\s{0,8}(?:okay|alright)\b", re.IGNORECASE)


def guess_prefixes(trace: Trace | str) -> str:
    """Guess which prefix set fits a trace.

    GPT-OSS is terse ("Need …", "Thus …"); Qwen3 and DeepSeek-R1-Distill think aloud ("Wait", "Hmm",
    "Alternatively") and differ in how they begin ("Okay, let's see", "Okay, so I need to"). Only the first
    200 blocks are read.

    Args:
        trace: a trace or plain text.

    Returns:
        One of `PREFIX_SETS`: "general" if there is no sign of a model family.
    """
    text = _text(trace)
    words = Counter(itertools.islice(_first_words(text), 200))
    terse = sum(words[word] for word in _TERSE)
    chatty = sum(words[word] for word in _CHATTY)
    enough = max(2, words.total() // 20)
    if terse > chatty and terse >= enough:
        return "gpt-oss"
    if _OPENING_OKAY.match(text) or chatty >= enough:
        return "deepseek-r1-distill" if _OPENING_SO.match(text) else "qwen3"
    return "general"


class PrefixCounts(BaseModel):
    r"""How often each word starts a block in a corpus of traces.

    Attributes:
        traces: traces counted.
        blocks: blocks (runs of text between blank lines) counted.
        counts: blocks that start with each word, most frequent first.

    Example:
        ```python
        from me2sdk import count_prefixes

        counts = count_prefixes(["Wait, no.\n\nWait, yes.\n\nThus 4."])
        print(counts.counts)  # {'wait': 2, 'thus': 1}
        ```
    """

    model_config = ConfigDict(frozen=True)

    traces: int
    blocks: int
    counts: dict[str, int]

    def select(self, min_share: float = 0.005) -> frozenset[str]:
        """Words that start at least ``min_share`` of the blocks, without articles, pronouns and the like."""
        least = max(1.0, min_share * self.blocks)
        return frozenset(w for w, count in self.counts.items() if count >= least and w not in _FUNCTION_WORDS)

    def write(self, path: str | Path, min_share: float = 0.005) -> None:
        """Write the selected set as JSON, to edit by hand and pass to `split_steps` as ``Path(path)``."""
        chosen = self.select(min_share)
        entry = {
            "prefixes": sorted(chosen),
            "traces": self.traces,
            "blocks": self.blocks,
            "counts": {word: count for word, count in self.counts.items() if word in chosen},
        }
        Path(path).write_text(json.dumps(entry, indent=1, ensure_ascii=False) + "\n", "utf-8")


def count_prefixes(traces: Iterable[Trace | str]) -> PrefixCounts:
    r"""Count the first words of blocks in a corpus, to find the prefix words of a model family (App. D).

    Args:
        traces: traces or plain texts; read one at a time, so a generator over a large file works.

    Returns:
        The counts; ``.select()`` picks a set and ``.write(path)`` saves it.

    Example:
        ```python
        from me2sdk import count_prefixes, split_steps

        counts = count_prefixes(["2 + 2 = 5.\n\nWait, no.\n\nThus 4."])
        print(counts.blocks, sorted(counts.select()))  # 3 ['thus', 'wait']
        steps = split_steps("Thus 4.\n\nWait, 5.", prefixes=counts.select())
        ```
    """
    counts: Counter[str] = Counter()
    n_traces = n_blocks = 0
    for trace in traces:
        n_traces += 1
        for word in _first_words(_text(trace)):
            n_blocks += 1
            if word:
                counts[word] += 1
    return PrefixCounts(traces=n_traces, blocks=n_blocks, counts=dict(counts.most_common()))
