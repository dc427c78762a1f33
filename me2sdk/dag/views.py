"""The two views of a DAG that the judge compares (paper App. J.2, J.3), and the path that the answer rests on.

Pure functions over values; `ReasoningDAG` offers them as methods.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from me2sdk.dag.graph import ReasoningDAG
from me2sdk.traces import last_answer

__all__ = ["dominant_path", "extractive_summary", "header", "macro_view", "micro_view", "roles"]

EXTRACT_MARK = "[extract]"
"""Marks a sentence taken from the step itself, where no model has summarised it."""

_CONCLUSION = re.compile(
    r"\b(?:therefore|thus|hence|consequently|finally|overall|boxed|in\W+conclusion|to\W+conclude|we\W+conclude|final\W+answer"
    r"|(?:the\W+|our\W+)?answer\W+is|our\W+answer|in\W+summary|as\W+a\W+result)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_LIMIT = 240
_TAIL = 200
_WRAPPER = re.compile(r"\\(?:text|mathrm|mathbf|textbf|left|right)\b|\\[,;! ]|[\s{}$*`]")
# Nothing else may begin like a header, or a step could pretend to be another node.
_FORGED = re.compile(r"<(?=\s*(?:Root|Branch|Merge|Leaf|Node)\b)", re.IGNORECASE)


def roles(dag: ReasoningDAG, node: int) -> tuple[str, ...]:
    """The roles of a node: "Root", "Branch" (several children), "Merge" (several parents), "Leaf" (no children).

    A node with none of them, an inner node with one parent and one child, is a "Node".
    """
    children, parents = dag.children[node], dag.nodes[node].parents
    held = {"Root": node == 0, "Branch": len(children) > 1, "Merge": len(parents) > 1, "Leaf": not children}
    return tuple(role for role, holds in held.items() if holds) or ("Node",)


def header(dag: ReasoningDAG, node: int) -> str:
    """The line above a node in the macro view, such as ``<Leaf id=3 depth=2 parents=[2] children=[]>``."""
    parents, children = list(dag.nodes[node].parents), list(dag.children[node])
    return f"<{' & '.join(roles(dag, node))} id={node} depth={dag.depths[node]} parents={parents} children={children}>"


def macro_view(dag: ReasoningDAG, summaries: Mapping[int, str] | None = None) -> str:
    """The structure of a trace: its super-nodes in emission order, each a header and one sentence (App. J.2).

    Args:
        dag: a DAG of steps or of super-nodes; the former is collapsed first.
        summaries: one sentence per super-node, by its id in ``dag.collapse()``. One that is missing or blank is
            replaced by a sentence of the node's own text, marked ``[extract]``.

    Returns:
        Headers (see `header`), each with its sentence on the next line, separated by blank lines.
    """
    dag = dag.collapse()
    blocks = []
    for node in dag.nodes:
        summary = " ".join((summaries or {}).get(node.id, "").split())
        summary = summary or f"{EXTRACT_MARK} {extractive_summary(node.text)}".strip()
        blocks.append(f"{header(dag, node.id)}\n{_FORGED.sub('‹', summary)}")
    return "\n\n".join(blocks)


def extractive_summary(text: str) -> str:
    """The sentence of ``text`` that says most about its result, on one line of at most 240 characters.

    This is the last sentence that draws a conclusion ("the answer is", "therefore"), among the last 200; otherwise the
    first with four words or more; otherwise the first. Empty for text without sentences.
    """
    sentences = [line for part in _SENTENCE_END.split(text) if (line := " ".join(part.split()))]
    concluding = next((s for s in reversed(sentences[-_TAIL:]) if _CONCLUSION.search(s)), None)
    chosen = concluding or next(
        (s for s in sentences if s.count(" ") >= 3), sentences[0] if sentences else ""
    )
    return chosen if len(chosen) <= _LIMIT else chosen[: _LIMIT - 1].rstrip() + "…"


def dominant_path(dag: ReasoningDAG, answer: str | None = None) -> tuple[int, ...]:
    """The nodes that the final answer rests on: the leaves that state it, and all their ancestors (App. J.3).

    Args:
        dag: a DAG of steps or of super-nodes.
        answer: the final answer, such as ``trace.answer``; by default the last one that the trace itself marks.

    Returns:
        Ids, ascending. A leaf states the answer if its chain of steps marks it. If none does, the latest leaf counts
        that mentions it and either draws a conclusion or ends the trace; otherwise the last step, whatever it says.
    """
    chains = dag.collapse()
    answer = answer or last_answer("\n\n".join(node.text for node in dag.nodes))
    ends = _stating(chains, answer) if answer else ()
    last_step = {chain.steps[-1] for chain in chains.nodes if chain.id in ends} or {
        chains.nodes[-1].steps[-1]
    }
    path = {node.id for node in dag.nodes if node.steps[-1] in last_step}
    for node in reversed(dag.nodes):  # parents come before their children, so one pass finds all ancestors
        if node.id in path:
            path.update(node.parents)
    return tuple(sorted(path))


def _stating(chains: ReasoningDAG, answer: str) -> tuple[int, ...]:
    """Leaves of a collapsed DAG that state ``answer``; none if no leaf does."""
    wanted = _plain(answer)
    texts = {leaf: chains.nodes[leaf].text for leaf in chains.leaves}
    marked = tuple(
        leaf for leaf, text in texts.items() if (own := last_answer(text)) and _plain(own) == wanted
    )
    if marked:
        return marked
    if len(answer) > _LIMIT:  # too long to be looked for at every place of the text
        return ()
    # A bare mention says little: abandoned branches mention the same numbers.
    final = max(texts)
    mention = re.compile(rf"(?<![\w.]){re.escape(answer.strip())}(?!\w|\.\d)")
    mentioning = (leaf for leaf, text in texts.items() if mention.search(text))
    return tuple([leaf for leaf in mentioning if leaf == final or _CONCLUSION.search(texts[leaf])][-1:])


def _plain(answer: str) -> str:
    """An answer without what only typesets it, so that ``$\\text{ 12 }$`` equals ``12``."""
    return _WRAPPER.sub("", answer).rstrip(".").casefold()


def micro_view(dag: ReasoningDAG, answer: str | None = None) -> str:
    """The steps of the dominant path as they were written, in emission order (App. J.3), without side branches.

    Args:
        dag: a DAG of steps or of super-nodes; both give the same text.
        answer: the final answer; see `dominant_path`.

    Returns:
        The text.
    """
    return join_nodes(dag, dag.dominant_path(answer))


def join_nodes(dag: ReasoningDAG, nodes: Iterable[int]) -> str:
    """The texts of ``nodes`` with the blank lines that follow each, or one where none is recorded."""
    parts = [part for node in nodes for part in (dag.nodes[node].text, dag.nodes[node].separator or "\n\n")]
    return "".join(parts[:-1])
