"""Parts that several pages have."""

from __future__ import annotations

from me2sdk.page.mathematics import typeset

__all__ = ["bar", "percent", "question_block"]

_SHORT = 600  # characters of a question that is shown unfolded


def bar(share: float, kind: str = "") -> str:
    """A bar that fills ``share``, in [0, 1], of its width. The number itself belongs beside it."""
    width = 100 * min(1.0, max(0.0, share))
    return (
        f'<svg class="{f"meter {kind}".strip()}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rest" width="100" height="8"/><rect class="full" width="{width:.1f}" height="8"/></svg>'
    )


def percent(share: float | None) -> str:
    """A chance as text; one that is not quite 0 or 1 does not read as if it were."""
    if share is None:
        return "–"
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def question_block(question: str, *, unfolded: bool = False) -> str:
    """The question, folded unless it is short and ``unfolded``; empty if there is none."""
    if not question.strip():
        return ""
    state = " open" if unfolded and len(question) <= _SHORT else ""
    words = f'<p dir="auto">{typeset(question)}</p>'
    return f'<details class="question"{state}><summary>Question</summary>{words}</details>'
