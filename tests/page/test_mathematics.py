from __future__ import annotations

import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings, strategies as st
from support.sample_dags import HOSTILE

from me2sdk.page import typeset, typeset_answer

# Formulas that nest as deep as the bound on a formula allows, each in the way that needs most stack.
DEEPEST = (
    r"'{' * 200 + 'x' + '}' * 200",
    r"'\\sqrt' * 200 + 'x'",
    r"'\\sqrt^' * 100 + 'x'",
    r"'\\frac1' * 200 + 'x'",
    r"'\\frac{' * 100 + 'x' + '}{y}' * 100",
    r"'x^{' * 100 + 'x' + '}' * 100",
    r"'\\mathbf{' * 100 + 'x' + '}' * 100",
    r"'\\overset{a}{' * 66 + 'x' + '}' * 66",
    r"'\\left(' * 200",
    r"'\\begin{cases}' * 100",
)


class Text(HTMLParser):
    """The text of some HTML, with each formula as it was written."""

    def __init__(self, made: str) -> None:
        super().__init__()
        self.text, self.tags, self._inside = "", set[str](), 0
        self.feed(made)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if self._inside or tag == "span":
            self._inside += tag == "span"
            self.text += dict(attrs).get("data-tex") or ""

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "span"

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.text += data


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        (r"so \(x^2\) and \[ y \]", 2),
        (r"so $x^2$ and $$y$$", 2),
        ("it is\n\\begin{align*}\na &= b \\\\\nc &= d\n\\end{align*}\nso", 1),
        (r"The answer is \boxed{\frac{1}{2}}.", 1),
        (r"\[\begin{aligned} a &= b \\[4pt] c &= d \end{aligned}\]", 1),
        ("It costs $5 or $6.", 0),
        ("between $5-$6", 0),
        ("run `echo $x$` now", 0),
        ("```sh\necho $HOME/$USER$\n```", 0),
        (r"a \\[4pt] b \] c", 0),
        (r"\(unclosed and $ alone", 0),
        (r"\(\nosuchcommand{x}\)", 0),
        (r"\(}{\)", 0),
        (r"\(\def\a{\a\a}\a\)", 0),
        (r"\(a\x07b\)", 0),
    ],
)
def test_formulas_are_found(text: str, formulas: int) -> None:
    made = typeset(text)
    assert made.count("<math") == formulas
    assert Text(made).text == text


@pytest.mark.parametrize(
    ("answer", "formula"),
    [(r"\frac{1}{2}", True), ("x^2", True), ("42", False), ('{"a": "b\\n"}', False), ("3 < 4", False)],
)
def test_an_answer_needs_no_delimiters(answer: str, formula: bool) -> None:
    made = typeset_answer(answer)
    assert ("<math" in made) == formula
    assert Text(made).text == answer


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    *HOSTILE[:7],
                    "$",
                    "$$",
                    r"\(",
                    r"\)",
                    r"\[",
                    r"\]",
                    "{",
                    "}",
                    "\\",
                    "`",
                    "```",
                    "\n",
                    "^",
                    "&",
                ]
            ),
            st.sampled_from(
                [r"\text{<b>}", r"\frac", r"\href{javascript:x}{y}", r"\label{a}", r"\boxed{", "x"]
            ),
            st.text(max_size=8),
        ),
        max_size=20,
    ).map("".join)
)
@settings(deadline=None)
def test_text_never_becomes_markup(text: str) -> None:
    read = Text(typeset(text))
    assert read.tags <= {"span", "math"} | {tag for tag in read.tags if tag.startswith("m")}
    assert not read.tags & {"marquee", "menu", "meta", "main", "map", "mark", "meter"}
    assert len(read.text) == len(text)


def test_what_a_formula_may_bring_into_a_page_is_listed() -> None:
    assert typeset(r"\(\href{javascript:alert(1)}{x}\)").count("<") == 0
    assert typeset(r"\(\label{a} x\)").count("id=") == 0
    assert " style=" not in typeset(r"\(\begin{aligned} a &= b \end{aligned}\) \(\color{red} x\)")
    assert "&lt;script&gt;" in typeset(r"\(\text{<script>}\)")


@pytest.mark.parametrize("formula", DEEPEST)
def test_deep_formulas_do_not_end_the_process(formula: str) -> None:
    code = (
        "import threading; from me2sdk.page import typeset; threading.stack_size(512 * 1024);"
        f"thread = threading.Thread(target=lambda: print(len(typeset('$$' + {formula} + '$$'))));"
        "thread.start(); thread.join()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip().isdecimal()) == (0, True), done.stderr[-500:]


@pytest.mark.parametrize(
    "beginning", [r"\(", r"\[", "$$", "$ ", "$x", r"\begin{align}", r"\boxed{", r"\(\sqrt", "`$"]
)
def test_a_megabyte_of_beginnings_is_read_in_linear_time(beginning: str) -> None:
    def seconds(count: int) -> float:
        began = time.process_time()
        typeset(beginning * count)
        return time.process_time() - began

    count = 100_000 // len(beginning)
    small = min(seconds(count) for _ in range(3))
    assert seconds(8 * count) < 8 * 4 * small + 0.5
