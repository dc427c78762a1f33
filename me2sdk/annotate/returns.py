"""To which step a backtrack returns, and which branch a merge brings back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from me2sdk.annotate.terms import numbers, terms
from me2sdk.annotate.turns import Turn
from me2sdk.dag import AttachmentPool, DAGNode

__all__ = ["merged_leaf", "return_step"]

_HEAD = 200  # characters at the start of a step that say what it sets out to do
_FIRST_WORDS = 60  # characters within which an alternative is itself a computation
_SHORT = 120  # characters of a step that only says that something failed
_RECENT = 6  # steps within which another alternative replaces the last one
_LOOK_BACK = 10  # steps among which the first is looked for that set out on the way given up as a whole
_BRANCH_END = 3  # last steps of a branch, which say what it came to
_REFERRING = 2000  # characters in which an earlier result may be named

_BACK_TO = re.compile(
    r"\b(?:go|going|get|getting|come|coming) back to\b|\b(?:return|returning|revisit|revisiting) (?:to )?"
    r"(?:the|our|my|that|this)\b",
    re.IGNORECASE,
)
_COMPUTATION = re.compile(
    r"\d\)?\s*(?:[-+*/×÷·^x]|\\times|\\cdot|plus|minus|times)\s*[($\\]*-?\d", re.IGNORECASE
)
_PROPOSES = re.compile(
    r"\b(?:maybe|perhaps) (?:we|i|using|use|there|express|set|the (?:best|first))|"
    r"\blet(?:'s|’s| me| us) (?:try|use|set up|start by|think of)|\bone (?:approach|way)|\bwhat if\b|##|"
    r"\b(?:we|i) (?:can|could|might) (?:use|try|set|express|find)\b",
    re.IGNORECASE,
)
_SETS_OUT = re.compile(
    r"##|\b(?:maybe|perhaps) (?:we|i|using|use|there)|\bhow (?:do|can|to|should) (?:we|i)\b|\bsounds like\b|"
    r"\bone (?:approach|way)|\blet(?:'s|’s| me| us) (?:try|use|set up|start by|think of|correct|attempt)",
    re.IGNORECASE,
)
_FAILS = re.compile(
    r"\W*(?:(?:so|but|wait|hmm|no|that|this|it)\W+)*(?:\w+\W+){0,4}?(?:dead end|no way|(?:doesn't|does not) "
    r"(?:work|fit|help|lead)|not (?:work|help|lead)\w*|can't be|cannot be|is not what|(?:isn't|is not) right|is wrong|"
    r"not correct|incorrect|impossible|contradiction|stuck)\b",
    re.IGNORECASE,
)
_BRINGS_TOGETHER = re.compile(
    r"\b(?:combining|putting (?:\w+ ){0,2}together|taken together|together with|adding (?:both|these|the two)|"
    r"both (?:results|cases|branches|parts|counts|values|totals|answers)|all (?:\w+ )?cases)\b",
    re.IGNORECASE,
)
_REFERS = re.compile(
    r"\b(?:(?:as|like) (?:before|earlier)|(?:which|case|as|what) (?:we|i) (?:already )?(?:found|considered|saw|derived|"
    r"had|did|computed)|(?:considered|found|derived|computed|did|saw|mentioned) (?:earlier|before|above)|"
    r"from (?:earlier|before|above)|recap)\b",
    re.IGNORECASE,
)
_WEIGHS_UP = re.compile(
    r"\b(?:both (?:methods|approaches|ways|sides|points|arguments)|after considering|leaning|weighing|on balance|"
    r"all (?:the |these )?(?:equations|points|arguments|considerations))\b",
    re.IGNORECASE,
)


def return_step(text: str, turn: Turn | None, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> int:
    """The step of the main path, before its last, that a backtracking step with this text returns to.

    - A step that names what it goes back to returns to the step that shares the most rare terms with it.
    - One that begins with a computation returns to the first step at which all of its numbers are known.
    - Any other returns to where the idea that it replaces began. That is the last alternative, if it is recent or the
      step gives up a way as a whole; or, for such a step, the first of the last steps that set out on the way; or else
      the last step, and with it the one before if it only says that that failed.

    Args:
        text: text of the step.
        turn: how it turns, if that is known.
        pool: what it may be attached to; the main path has at least two steps.
        nodes: the nodes so far, by id.
    """
    path = pool.main_path
    head = " ".join(text[:_HEAD].split())
    if _BACK_TO.search(head):
        return _named(text, path, nodes)
    if _COMPUTATION.search(head, 0, _FIRST_WORDS):
        known = _where_known(numbers(head[:_FIRST_WORDS]), path, nodes)
        if known is not None:
            return known
    return path[-1 - _given_up(turn is not None and turn.whole, path, nodes)]


def _named(text: str, path: Sequence[int], nodes: Sequence[DAGNode]) -> int:
    own = terms(text)
    held = {number: own & terms(nodes[number].text) for number in path[:-1]}
    count = Counter(term for found in held.values() for term in found)
    shared = {number: sum(1 / count[term] for term in found) for number, found in held.items()}
    return max(shared, key=lambda number: (shared[number], number))


def _where_known(used: frozenset[str], path: Sequence[int], nodes: Sequence[DAGNode]) -> int | None:
    """The first step up to which most of the numbers have occurred; None if hardly any has."""
    known: set[str] = set()
    found = []
    for number in path[:-1]:
        known |= used & numbers(nodes[number].text)
        found.append(len(known))
    most = found[-1]
    return path[found.index(most)] if most >= min(2, len(used)) else None


def _given_up(whole: bool, path: Sequence[int], nodes: Sequence[DAGNode]) -> int:
    """How many of the last steps of the path are given up."""
    first = 0
    for count in range(1, len(path)):
        node = nodes[path[-count]]
        if node.action == "backtrack" and node.parents[0] in path:
            if whole or count <= _RECENT:
                return count
            break
        if whole and 1 < count <= _LOOK_BACK and _SETS_OUT.search(node.text, 0, 2 * _HEAD):
            first = count
        if not whole and count == 1 and _PROPOSES.search(node.text, 0, _HEAD):
            return count
    if first:
        return first
    last = nodes[path[-1]].text
    return 2 if len(path) > 2 and len(last) < _SHORT and _FAILS.match(last) else 1


def merged_leaf(text: str, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> int | None:
    """The end of the branch that a step with this text brings together with the main path, or None.

    The step must say that it brings lines together, weighs them up, or uses what was found before, and must hold terms
    that a branch ended with and the main path does not have.

    Args:
        text: text of the step.
        pool: what it may be attached to.
        nodes: the nodes so far, by id.
    """
    if not pool.leaves:
        return None
    together = bool(_BRINGS_TOGETHER.search(text, 0, _HEAD))
    # Just after a turn, what was left is still what the text is about.
    settled = nodes[-1].action != "backtrack"
    refers = settled and bool(_REFERS.search(text, 0, _REFERRING))
    weighs = settled and bool(_WEIGHS_UP.search(text, 0, _REFERRING))
    if not (together or refers or weighs):
        return None
    path = set(pool.main_path)
    own = terms(text).difference(*(terms(nodes[number].text) for number in pool.main_path))
    best, most = None, (0, 0)
    for leaf in reversed(pool.leaves):
        shared = own & _branch_terms(leaf, path, nodes)
        digits = sum(term[0].isdigit() for term in shared)
        words = len(shared) - digits
        enough = (
            (refers and bool(shared))
            or (together and (digits >= 1 or words >= 2))
            or (weighs and len(shared) >= 3)
        )
        if enough and (digits, words) > most:
            best, most = leaf, (digits, words)
    return best


def _branch_terms(leaf: int, path: set[int], nodes: Sequence[DAGNode]) -> set[str]:
    found: set[str] = set()
    at = leaf
    for _ in range(_BRANCH_END):
        found |= terms(nodes[at].text)
        parents = nodes[at].parents  # none where only some of the steps are known
        if not parents or parents[-1] in path:
            break
        at = parents[-1]
    return found
