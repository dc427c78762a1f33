"""What is shown of a candidate once it is opened: its text, its graph, and what its reward is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from me2sdk.annotate import parse_dag
from me2sdk.dag import excerpt, figure
from me2sdk.errors import ME2Error
from me2sdk.page import data_block, escaped, fill, percent, read_file, typeset, typeset_answer
from me2sdk.schema import Candidate, Usage

__all__ = ["ShownCandidate", "answer_html", "badges", "card_data", "usage_facts"]

_LONGEST = (
    200_000  # characters of a text that are shown; of a longer one, the first and the last half of them
)
_LONGEST_DRAWN = 200_000  # characters of a trace that is drawn
_MANY_STEPS = 60  # beyond it, what follows in a line is drawn as one node
_MOST_NODES = 600
_LONG_ANSWER = 300
_MOST_PARTS = 15


class ShownCandidate(NamedTuple):
    """A candidate, and what is said of it."""

    rank: int
    candidate: Candidate
    why: str
    parts: Mapping[str, float]


def card_data(shown: ShownCandidate) -> list[str]:
    """What is shown of a candidate once it is opened, and once its graph is looked at."""
    rank, one = shown.rank, shown.candidate
    text, explained = _text(one), _explained(shown)
    views = {"text": ("Text", text), "graph": ("Graph", ""), "made": ("Reward", explained)}
    chosen = {name: view for name, view in views.items() if view[1] or name == "graph"}
    tabs, panels = [], []
    for name, (label, inside) in chosen.items():
        first = name == "text"
        tabs.append(
            f'<button type="button" role="tab" id="tab-{name}-{rank}" aria-controls="{name}-{rank}"'
            f' aria-selected="{str(first).lower()}" tabindex="{0 if first else -1}">{label}</button>'
        )
        waiting = f' data-stored="graph-data-{rank}"' if name == "graph" else ""
        panels.append(
            f'<div class="view {name}" id="{name}-{rank}" role="tabpanel" aria-labelledby="tab-{name}-{rank}"'
            f' tabindex="0"{waiting}{"" if first else " hidden"}>{inside}</div>'
        )
    has_formulas = 'class="tex' in text
    card = fill(
        read_file("me2sdk.sampling", "card.html"),
        rank=str(rank),
        answer=answer_html(one.answer) if one.answer is not None else "no answer",
        facts=escaped(" · ".join(_facts(one))),
        why=escaped(shown.why),
        tabs="\n".join(tabs),
        source='<button type="button" class="source" aria-pressed="false">LaTeX</button>'
        if has_formulas
        else "",
        panels="\n".join(panels),
    )
    return [data_block(card, f"candidate-{rank}"), data_block(_graph(one, rank), f"graph-data-{rank}")]


def _facts(candidate: Candidate) -> list[str]:
    usage, certainty = candidate.usage, candidate.trace.certainty
    return [
        f"number {candidate.index + 1} in the order asked for",
        *([candidate.model] if candidate.model else []),
        *([f"reward {candidate.score:+.3f}"] if candidate.score is not None else []),
        *([f"confidence {percent(candidate.confidence)}"] if candidate.confidence is not None else []),
        *([f"{usage.prompt_tokens:,} tokens read"] if usage and usage.prompt_tokens is not None else []),
        *usage_facts(usage),
        *([f"finish reason {candidate.finish_reason}"] if candidate.finish_reason else []),
        *([f"mean log-probability {certainty.mean_logprob:.3f}"] if certainty else []),
        *([f"the scorer left out {candidate.score_truncated:,} tokens"] if candidate.score_truncated else []),
    ]


def _text(candidate: Candidate) -> str:
    """Reasoning and response, or one of them where they are the same."""
    trace = candidate.trace
    parts = {"Refusal": candidate.refusal, "Reasoning": trace.reasoning, "Response": trace.response}
    if trace.response == trace.reasoning:
        parts = {"Refusal": candidate.refusal, "Response": trace.response}
    found = {name: text for name, text in parts.items() if text and text.strip()}
    return "".join(
        (f"<h3>{name}</h3>" if len(found) > 1 else "") + f'<div class="prose" dir="auto">{_prose(text)}</div>'
        for name, text in found.items()
    )


def _prose(text: str) -> str:
    if len(text) <= _LONGEST:
        return typeset(text)
    half = _LONGEST // 2
    gap = f'</div><p class="note">{len(text) - _LONGEST:,} characters are left out here.</p>'
    return typeset(text[:half]) + gap + '<div class="prose" dir="auto">' + typeset(text[-half:])


def _explained(shown: ShownCandidate) -> str:
    """What the reward is made of, as tables; empty where nobody says."""
    one = shown.candidate
    tables = []
    if shown.parts:
        ordered = sorted(shown.parts.items(), key=lambda part: -abs(part[1]))
        first = [(name.replace("_", " "), value) for name, value in ordered[:_MOST_PARTS]]
        if rest := ordered[_MOST_PARTS:]:
            first.append((f"{len(rest)} others", math.fsum(value for _, value in rest)))
        most = max((abs(value) for _, value in first), default=0.0) or 1.0
        rows = [
            f'<tr><th scope="row">{escaped(name)}</th><td class="share">{_signed(value / most)}'
            f"<span>{value:+.3f}</span></td></tr>"
            for name, value in first
        ]
        tables.append(
            f"<p>What adds up to the reward {one.score:+.3f}; 0 is what is usual.</p><table>{''.join(rows)}</table>"
        )
    if one.scores:
        rows = [
            f'<tr><th scope="row">{escaped(name)}</th><td>{value:+.3f}</td></tr>'
            for name, value in one.scores.items()
        ]
        tables.append(f"<p>What each scorer gave, on its own scale.</p><table>{''.join(rows)}</table>")
    return "".join(tables)


def _signed(share: float) -> str:
    """A bar from the middle to the left or to the right."""
    width = 50 * min(1.0, abs(share))
    start, kind = (50 - width, "less") if share < 0 else (50.0, "more")
    return (
        '<svg class="meter signed" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rest" width="100" height="8"/>'
        f'<rect class="{kind}" x="{start:.1f}" width="{width:.1f}" height="8"/>'
        '<rect class="zero" x="49.8" width="0.4" height="8"/></svg>'
    )


def _graph(candidate: Candidate, rank: int) -> str:
    """The DAG of a trace by the local rules, or why there is none."""
    if len(candidate.trace.reasoning) > _LONGEST_DRAWN:
        return _note("The trace is too long to draw it here. Draw it with parse_dag(trace).to_html().")
    try:
        dag = parse_dag(candidate.trace)
        if len(dag.nodes) > _MANY_STEPS:
            dag = dag.collapse()
        if len(dag.nodes) > _MOST_NODES:
            return _note(f"The graph has {len(dag.nodes):,} nodes: draw it with parse_dag(trace).to_html().")
        return figure(dag, f"dag-{rank}", "")
    except ME2Error as error:
        return _note(f"There is no graph: {error}")


def _note(text: str) -> str:
    return f'<p class="note">{escaped(text)}</p>'


def answer_html(text: str) -> str:
    """An answer as HTML; only the beginning of a long one."""
    return typeset_answer(text) if len(text) <= _LONG_ANSWER else escaped(excerpt(text, _LONG_ANSWER))


def badges(candidate: Candidate) -> str:
    """What is wrong with a candidate."""
    names = [
        *(["refused"] if candidate.refusal is not None else []),
        *(["cut off"] if candidate.trace.truncated else []),
        *(["no answer"] if candidate.answer is None and candidate.refusal is None else []),
    ]
    found = "".join(f'<span class="badge warning">{name}</span>' for name in names)
    return f'<span class="badges">{found}</span>' if found else ""


def usage_facts(usage: Usage | None) -> list[str]:
    """Tokens and cost, as far as they are known."""
    if usage is None:
        return []
    tokens = usage.completion_tokens
    facts = [] if tokens is None else [f"{tokens:,} tokens written"]
    if usage.cost is not None:
        digits = f"{usage.cost:.6f}".rstrip("0")
        facts.append("$" + (digits if len(digits) > len("0.00") else f"{usage.cost:.2f}"))
    return facts
