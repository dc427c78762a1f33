r"""Text with LaTeX in it as HTML, in which formulas are MathML, that browsers draw without a script.

What is taken for a formula stands between ``\( \)``, ``\[ \]``, ``$$ $$`` or ``$ $``, in an environment such as
``align``, or in ``\boxed{}``, and in no code. A formula that cannot be read stays as it was written.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from me2sdk.page.shell import escaped, printable
from me2sdk.traces import Code

if TYPE_CHECKING:
    from math_core import LatexToMathML

__all__ = ["typeset", "typeset_answer"]

_ENVIRONMENTS = r"\{(?:align|alignat|equation|gather|multline|eqnarray)\*?\}"
# No alternative goes on past where another one of its kind begins, so that text with nothing but beginnings is read in
# linear time. The white space behind a displayed formula goes with it, since it has lines of its own.
_FORMULA = re.compile(
    rf"""
      (?<!\\)\$\$ (?P<dollars> (?:[^$\\]|\\.)++ ) \$\$ [ \t]*\n?
    | (?<!\\)\\\[ (?P<square> (?:[^\\]|\\[^()\[\]])*+ ) \\\] [ \t]*\n?
    | (?P<environment> \\begin{_ENVIRONMENTS} (?:[^\\]|\\(?!(?:begin|end){_ENVIRONMENTS}))*+ \\end{_ENVIRONMENTS} )
      [ \t]*\n?
    | (?<!\\)\\\( (?P<round> (?:[^\\]|\\[^()\[\]])*+ ) \\\)
    | (?<![\\$\w])\$ (?=\S) (?P<dollar> (?:[^$\\\n`]|\\.)++ ) (?<=\S)\$ (?![\d$])
    | (?P<boxed> \\(?:boxed|fbox)\s*\{{ (?:[^{{}}]|\{{(?:[^{{}}]|\{{[^{{}}]*+\}})*+\}})*+ \}} )
    """,
    re.DOTALL | re.VERBOSE,
)
_DISPLAYED = ("dollars", "square", "environment")
_LATEX = re.compile(r"\\\S|\^")
_LONGEST_ANSWER = 400

# math-core reads recursively, and with some 1.7 KB of stack for each of these a deep formula would end the process. So
# no formula has more of them than a small stack holds (one real formula in 31,000 has over 100), and none may define
# commands, which would multiply them.
_OPENERS = re.compile(r"[\\{^_\[]")
_MOST_OPENERS = 200
_LONGEST = 10_000
_DEFINES = re.compile(r"\\(?:[egx]?def|let|(?:re)?newcommand|providecommand|Declare|newenvironment)")

# What math-core writes, and what may stand in our pages; anything else, such as an id, is not typeset.
_STYLE = re.compile(r'(<m[a-z]+(?: [a-z]+="[^"<>]*")*?) style="([^"<>]*)"')
_TAG = re.compile(
    r"</?(?:math|m(?:i|n|o|s|text|space|row|frac|sqrt|root|style|error|padded|phantom|enclose|sub|sup|subsup|under|over"
    r"|underover|multiscripts|prescripts|table|tr|td))"
    r"(?: (?:class|display|displaystyle|scriptlevel|mathvariant|stretchy|symmetric|largeop|movablelimits|form|fence"
    r"|separator|lspace|rspace|minsize|maxsize|accent|accentunder|linethickness|notation|width|height|depth|voffset"
    r'|columnalign|rowspacing|columnspacing)="[^"<>]*")* ?/?>'
)


def typeset(text: str) -> str:
    """``text`` as HTML: escaped, with formulas as MathML.

    Each formula keeps what was written in ``data-tex`` of the element around it.
    """
    if "\\" not in text and "$" not in text:
        return escaped(text)
    code, parts, end = Code(text), [], 0
    for found in _FORMULA.finditer(text):
        if code.holds(*found.span()) or (made := _formula(found)) is None:
            continue
        parts += [escaped(text[end : found.start()]), made]
        end = found.end()
    return "".join([*parts, escaped(text[end:])])


def typeset_answer(text: str) -> str:
    r"""A final answer as HTML. It may be LaTeX without anything around it, such as ``\frac{1}{2}``."""
    bare = "$" not in text and len(text) <= _LONGEST_ANSWER and _LATEX.search(text) is not None
    made = _mathml(text, displayed=False) if bare else None
    return typeset(text) if made is None else _wrapped(made, text, "tex")


def _formula(found: re.Match[str]) -> str | None:
    kind = found.lastgroup or ""
    displayed = kind in _DISPLAYED
    made = _mathml(found[kind], displayed=displayed)
    return made and _wrapped(made, found[0], "tex display" if displayed else "tex")


def _wrapped(made: str, written: str, kind: str) -> str:
    return f'<span class="{kind}" data-tex="{escaped(written)}">{made}</span>'


@functools.cache
def _converter() -> LatexToMathML:
    from math_core import LatexToMathML

    return LatexToMathML(fancy_error=False, max_expansions=200)


def _mathml(latex: str, *, displayed: bool) -> str | None:
    """A formula as MathML, or None where it cannot be read."""
    from math_core import LatexError

    if (
        not latex.strip()
        or len(latex) > _LONGEST
        or len(_OPENERS.findall(latex)) > _MOST_OPENERS
        or _DEFINES.search(latex)
        or printable(latex) != latex
    ):
        return None
    try:
        made = _converter().convert_with_local_state(latex, displaystyle=displayed)
    except LatexError:
        return None
    made = _STYLE.sub(_without_style, made)  # which the policy forbids
    return None if "<" in _TAG.sub("", made) else made


def _without_style(tag: re.Match[str]) -> str:
    side = re.search(r"text-align: (left|right)", tag[2])
    return f'{tag[1]} class="{side[1]}"' if side else tag[1]
