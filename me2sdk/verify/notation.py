r"""One notation for what means the same: Unicode signs, LaTeX dressing and Markdown become a small plain LaTeX.

Nothing here may change a meaning: a space between two numbers stays, ``\leftarrow`` is not ``\left`` and
``arrow``, and ``1½`` is one and a half.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["FUNCTIONS", "LONGEST", "WORD", "plain", "to_latex"]

LONGEST = 1000
"""Characters of an answer that is read as mathematics; a longer one is only compared as text."""

FUNCTIONS = "arcsin arccos arctan sinh cosh tanh sin cos tan sec csc cot ln log lg exp sqrt max min gcd lcm det".split()

_GREEK = "alpha beta gamma delta theta lambda mu rho sigma tau phi chi psi omega".split()

WORD = re.compile(r"(?<![\\a-zA-Z])[^\W\d_]{1,60}")
"""A run of letters that is no LaTeX command."""

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]{1,40}")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]{1,40}")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_WIDE = re.compile("[\u3000\uff01-\uff5e\U0001d400-\U0001d7ff]")
_VULGAR = re.compile("[¼-¾⅐-⅞↉]")
_SIGNS: dict[str, str] = {
    "−": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": "/", "⁄": "/", "∕": "/",
    "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\neq ",
    "≈": r"\approx ", "≃": r"\approx ", "≅": r"\cong ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ",
    "∩": r"\cap ", "∈": r"\in ", "→": r"\to ", "⟶": r"\to ", "←": r"\leftarrow ", "⇒": r"\Rightarrow ",
    "⇔": r"\Leftrightarrow ", "↔": r"\leftrightarrow ", "∅": r"\emptyset ", "Ø": r"\emptyset ", "º": "°",
    "“": '"', "”": '"', "’": "'", "‘": "'", "′": "'", "，": ",", "₀": "_0",
}  # fmt: skip
_SIGN_TABLE = str.maketrans(
    _SIGNS | {letter: f"\\{name} " for letter, name in zip("αβγδθλμρστφχψω", _GREEK, strict=True)}
)
_ROOT = re.compile(
    r"(?:√|(?<![\\a-zA-Z])sqrt)\s?(?:(\d{1,40}(?:\.\d{1,40})?|[a-zA-Z])(?![\w.])|\(([^()]{1,200})\))"
)
_THIN_GROUP = re.compile(r"(?<=\d)(?:\\[,!;: ]|[\u00a0\u202f\u2009~]|\{,\}|\\,)(?=\d{3}(?!\d))")
_TEXT = re.compile(
    r"\\(?:text(?:bf|rm|it|sf|tt|normal)?|math(?:rm|bf|it|sf|tt)|mbox|operatorname\*?|bm)\s?\{([^{}]*)\}"
)
_RENAMED = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "leq": "le", "leqslant": "le", "geq": "ge",
    "geqslant": "ge", "ne": "neq", "varnothing": "emptyset", "rightarrow": "to", "longrightarrow": "to",
    "implies": "Rightarrow", "iff": "Leftrightarrow", "lvert": "vert", "rvert": "vert", "infin": "infty",
    "sim": "approx", "simeq": "approx", "lor": "or ", "lt": "<", "gt": ">", "div": "/", "colon": ":",
    "lbrace": "{", "rbrace": "}", "land": "and ", "degree": "°",
}  # fmt: skip
_DROPPED = {
    "left", "right", "displaystyle", "textstyle", "limits", "bigl", "bigr", "Bigl", "Bigr", "big", "Big",
    "biggl", "biggr", "bigg", "Bigg", "quad", "qquad", "boxed", "fbox", "rm", "bf", "mathstrut",
}  # fmt: skip
_COMMAND = re.compile(r"\\([a-zA-Z]{1,30})\s?")
_SPACING = re.compile(r"\\[,;:! ]|[~\u00a0\u2009\u202f]")
_SHORT_FRACTIONS = (
    (re.compile(r"\\frac\s?([\da-zA-Z])\s?([\da-zA-Z])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s?([\da-zA-Z])\s?(?=\{)"), r"\\frac{\1}"),
    (re.compile(r"\\frac\s?(\{[^{}]{1,200}\})\s?([\da-zA-Z])"), r"\\frac\1{\2}"),
    (re.compile(r"\\frac\s(?=\{)"), r"\\frac"),
)
_WRAPPED = (
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("`", "`"),
    ("**", "**"),
    ("*", "*"),
    ("__", "__"),
    ('"', '"'),
)


def plain(answer: str) -> str:
    r"""An answer in the one notation; case and the order of things stay.

    ``½`` and ``\dfrac12`` become ``\frac{1}{2}``, ``x²`` becomes ``x^{2}``, ``\text{jars}`` becomes ``jars``,
    ``90^\circ`` becomes ``90°``, ``10{,}000`` becomes ``10,000``; delimiters of mathematics and of Markdown go.
    """
    text = answer[: 10 * LONGEST]
    if not text.isascii():
        text = _from_unicode(text)
    text = _unwrap(text.strip())
    if "\\" in text or "√" in text or "sqrt" in text or "{" in text:
        text = _from_latex(text)
    if "->" in text:
        text = text.replace("->", "\\to ")
    text = _currency(text)
    text = " ".join(text.split())
    return _unwrap(_without_stop(_unwrap(text)))


def _from_unicode(text: str) -> str:
    text = _INVISIBLE.sub("", text)
    text = _THIN_GROUP.sub("", text)
    text = _WIDE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = _SUPERSCRIPT.sub(lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT.sub(lambda match: "_{" + unicodedata.normalize("NFKC", match[0]) + "}", text)
    text = _VULGAR.sub(_vulgar, text)
    text = re.sub(
        r"^\s{0,9}[–‐‑‒]\s?(?=[\d.(\\a-zA-Z])", "-", text
    )  # a dash in front is a minus; in between, a range
    return text.translate(_SIGN_TABLE)


def _vulgar(match: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", match[0]).partition("⁄")
    return f"\\frac{{{top}}}{{{bottom}}}"


def _from_latex(text: str) -> str:
    text = _THIN_GROUP.sub("", text.replace("\\\\", " "))
    text = text.replace("{,}", ",").replace("\\$", "\ue000").replace("\\%", "%").replace("\\_", "_")
    text = (
        text.replace("\\#", "#").replace("\\&", "&").replace("\\not=", "\\neq ").replace("\\not =", "\\neq ")
    )
    for _ in range(3):  # \text{a \textbf{b}}
        text, found = _TEXT.subn(r" \1 ", text)
        if not found:
            break
    text = _COMMAND.sub(_command, text)
    text = re.sub(r"\^\s?\{\s?\\circ\s?\}|\^\s?\\circ(?![a-zA-Z])\s?", "°", text)
    text = _SPACING.sub(" ", text)
    text = _ROOT.sub(lambda match: f"\\sqrt{{{match[1] or match[2]}}}", text)
    for pattern, replacement in _SHORT_FRACTIONS:
        text = pattern.sub(replacement, text)
    return text.replace("√", "\\sqrt")


def _command(match: re.Match[str]) -> str:
    name = match[1]
    if name in _DROPPED:
        return " " if name.endswith("quad") else ""
    renamed = _RENAMED.get(name)
    if renamed is None:
        return f"\\{name} "
    return f"\\{renamed} " if renamed.isalpha() and renamed not in ("or", "and") else f" {renamed}"


def _currency(text: str) -> str:
    """Dollar signs that delimit mathematics go; one that is an amount of money stays."""
    if "$" in text and (text.count("$") % 2 == 0 or not re.search(r"\$\s?[\d.]", text)):
        text = text.replace("$", "")
    return text.replace("\ue000", "$")


def _unwrap(text: str) -> str:
    for _ in range(4):
        before = text
        for start, end in _WRAPPED:
            if len(text) > len(start) + len(end) and text.startswith(start) and text.endswith(end):
                inner = text[len(start) : -len(end)]
                if start not in inner:
                    text = inner.strip()
        if text == before:
            break
    return text.strip("*`").strip() if "*" in text[:2] + text[-2:] or "`" in text[:1] + text[-1:] else text


def _without_stop(text: str) -> str:
    return text if text.endswith("..") else text.rstrip(".;,").rstrip() or text


_FUNCTION = re.compile(rf"(?<![\\a-zA-Z])({'|'.join(FUNCTIONS)})(?![a-zA-Z])")


def to_latex(text: str) -> str:
    r"""Plain notation as math-verify reads it: ``sin(x)`` as ``\sin(x)``, ``%`` escaped, ``°`` gone."""
    text = _FUNCTION.sub(r"\\\1 ", text)
    text = re.sub(r"(?<![\\a-zA-Z])pi(?![a-zA-Z])", r"\\pi ", text).replace("**", "^").replace("°", "")
    text = re.sub(r"\^(-?\d{2,40}|-\d)", r"^{\1}", text)
    return text.replace("%", "\\%").replace("\\or", "or")
