"""Version 1 of the local annotator, kept to measure later ones against: see annotate.py."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence

from cues import Cue, count_cues, cue_words, opening_cue

from me2sdk.annotate.types import Annotation
from me2sdk.dag import AttachmentPool, DAGNode
from me2sdk.schema import Step

__all__ = ["FirstAnnotator"]

_HEAD = 200  # characters at the start of a step that say what it sets out to do
_OPENING = 60
_COMPARED = 2000  # characters of a step whose words are compared with those of others
_RECENT = 3  # steps within which another alternative replaces the last one
_MERGE_SHARE = 0.35  # share of a merge's new words that must come from one other branch

_TERM = re.compile(r"[^\W\d_]{4,}|\d{2,}")
_ALTERNATIVE = re.compile(
    r"\W*(?:\w+\W+){0,3}?(?:alternatively|alternative|another (?:way|approach|method|idea|angle|option|thought)|"
    r"(?:what if|or maybe|we could also|one could also)\b)",
    re.IGNORECASE,
)
# A plan is considered ("perhaps use …"), a result is stated ("since …", "note that …").
_CONSIDERED = re.compile(
    r"\b(?:maybe|perhaps|might|could|can|use|using|consider|think|approach|method|way|try|option|angle)\b",
    re.IGNORECASE,
)
_STATED = re.compile(
    r"\W*(?:but |or |and )?alternatively,? (?:since|note|if|when|for|in|the|as|from|given|recall|let)\b",
    re.IGNORECASE,
)
_GIVES_UP = re.compile(
    r"\b(?:better|different|another|other|smarter|easier|simpler|alternative|new) "
    r"(?:approach|way|method|idea|strategy|route|path|technique|perspective)\b|"
    r"\b(?:think|thinking|parametri[sz]e|proceed|approach (?:this|it)) differently\b|"
    r"\b(?:dead end|going nowhere|not getting anywhere|getting (?:\w+ )?(?:messy|complicated|convoluted))\b",
    re.IGNORECASE,
)

_RETURNS = re.compile(
    r"\b(?:go|going|get|getting|come|coming) back to\b|\b(?:start|starting|begin) (?:over|again)\b|"
    r"\b(?:return|returning|revisit|revisiting) (?:to )?(?:the|our|my|that|this)\b",
    re.IGNORECASE,
)


class FirstAnnotator:
    """Turns by cue words; returns to the nearest earlier step, or where the last alternative began."""

    name = "local 1"

    def annotate(self, step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Annotation:
        """Say how to attach the next step; see `me2sdk.annotate.Annotator`."""
        head = step.text[:_HEAD]
        if len(pool.main_path) > 1 and (reason := self._turn(head)):
            parent = self.return_to(step.text, pool, nodes)
            return Annotation("backtrack", (parent,), f"{reason}; returns to step {parent}")
        if pool.leaves and count_cues(cue_words(head))[Cue.MERGE]:
            leaf = self._merges(step.text, pool, nodes)
            if leaf is not None:
                parents = (leaf, pool.main_path[-1])
                return Annotation("merge", parents, f"brings branch {leaf} and the main path together")
        return Annotation("continue")

    def _turn(self, head: str) -> str | None:
        """Why a step that begins with ``head`` leaves the line of thought, or None if it does not."""
        if _ALTERNATIVE.match(head) and _CONSIDERED.search(head[:_OPENING]) and not _STATED.match(head):
            return "weighs another way"
        if _GIVES_UP.search(head):
            return "gives up a way"
        if opening_cue(head) is Cue.RESTART:
            return "starts over"
        return None

    def return_to(self, text: str, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> int:
        """The step of the main path, before its last, that a backtracking step with this text returns to."""
        earlier = pool.main_path[:-1]
        if _RETURNS.search(text[:_HEAD]):  # "back to the equation from before": the words tell which one
            terms = _terms(text)
            sets = {number: _terms(nodes[number].text) for number in earlier}
            count = Counter(term for found in sets.values() for term in found)
            shared = {n: sum(1 / count[term] for term in terms & found) for n, found in sets.items()}
            return max(earlier, key=lambda number: (shared[number], number))
        # A second alternative soon after a first returns to where that one began. Otherwise the nearest earlier step.
        for number in reversed(pool.main_path[-_RECENT:]):
            if nodes[number].action == "backtrack" and nodes[number].parents[0] in earlier:
                return nodes[number].parents[0]
        return earlier[-1]

    def _merges(self, text: str, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> int | None:
        known = set[str]().union(*(_terms(nodes[number].text) for number in pool.main_path))
        new = _terms(text) - known
        best = max(pool.leaves, key=lambda leaf: (len(new & _terms(nodes[leaf].text)), leaf))
        taken = new & _terms(nodes[best].text)
        return best if new and len(taken) >= max(2, _MERGE_SHARE * len(new)) else None


@functools.lru_cache(maxsize=2048)
def _terms(text: str) -> frozenset[str]:
    return frozenset(_TERM.findall(text[:_COMPARED].lower()))
