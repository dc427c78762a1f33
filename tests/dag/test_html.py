from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from support.sample_dags import DAGS, HOSTILE, dag, long_dag

from me2sdk._choices import Dimension
from me2sdk.dag import AnnotationError, DAGBuilder, ReasoningDAG
from me2sdk.dag.html import to_html
from me2sdk.judge import DimensionVerdict, PairVerdict, compare_html
from me2sdk.page import printable
from me2sdk.schema import Step, question_text

Show = Callable[[str], Any]
ARROW_DOWN, ARROW_UP, ARROW_RIGHT, ARROW_LEFT, END, HOME = (
    "\ue015",
    "\ue013",
    "\ue014",
    "\ue012",
    "\ue010",
    "\ue011",
)
TREE = dag(
    "Begin.",
    "Dead end.",
    ("Another way.", "backtrack", 0),
    ("Both.", "merge", 1, 2),
    "Done.",
    ("No.", "backtrack", 2),
)


def verdict(
    first: ReasoningDAG | None, second: ReasoningDAG | None, rationale: str = "a is terse."
) -> PairVerdict:
    said = {
        dimension: DimensionVerdict(
            preference=preference, agreement=0.5, rationale=f"{dimension}: {rationale}", votes=()
        )
        for dimension, preference in zip(Dimension, ("a", "b", "tie", "failed"), strict=True)
    }
    return PairVerdict(
        preference="a",
        agreement=1.0,
        consistent=True,
        rationale=rationale,
        dimensions=said,
        aggregate=(),
        dag_a=first,
        dag_b=second,
    )


def hostile_dag() -> ReasoningDAG:
    builder = DAGBuilder()
    for text in HOSTILE:
        builder.add(Step(text, "\n\n"), "continue", (), text)
    errors = [AnnotationError(step=1, message=HOSTILE[1])]
    return builder.build(question=HOSTILE[0], annotator=HOSTILE[0], errors=errors)


def selected(page: Any) -> str:
    (card,) = page.all(".node[aria-selected=true]")
    return str(card.get_attribute("data-node"))


class Tags(HTMLParser):
    """Every tag of a page and every attribute."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.update(name for name, _ in attrs)


@given(DAGS)
@settings(deadline=None, max_examples=40)
def test_text_opens_no_tag_and_nothing_is_loaded(grown: ReasoningDAG) -> None:
    made = Tags(to_html(grown, HOSTILE[1]))
    plain = Tags(to_html(dag("x", "y"), "z"))
    assert made.tags["script"] == 2  # ours: the data and the code
    assert made.tags.keys() <= plain.tags.keys()
    assert made.attributes <= plain.attributes
    assert not made.attributes & {"src", "href", "srcset", "action", "style", "onclick", "onload", "onerror"}


def test_question_text() -> None:
    assert question_text(None) == ""
    assert question_text("Why?") == "Why?"
    assert question_text([{"role": "user", "content": "Why?"}]) == "Why?"
    parts = [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": "x"}}]
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}, {"role": "tool"}]
    assert question_text(asked) == "system: Be brief.\n\nuser: Look:"


def test_the_page_draws_the_dag_without_errors_or_requests(show: Show) -> None:
    page = show(to_html(TREE))
    assert page.driver.title == "Reasoning DAG"
    assert len(page.all(".node")) == 6
    assert len(page.all(".edge")) == 6
    assert all(card.is_displayed() and card.size["width"] > 100 for card in page.all(".node"))
    assert "6 steps · 2 branches · 1 merge · depth 3" in page.one(".facts").text
    assert page.problems() == []
    assert page.requests() == []


def test_the_dominant_path_stands_out(show: Show) -> None:
    page = show(to_html(dag("a", "b", ("c", "backtrack", 0))))
    on, off = page.one(".edge.on"), page.one(".edge:not(.on)")
    assert on.value_of_css_property("stroke") != off.value_of_css_property("stroke")
    assert off.value_of_css_property("stroke-dasharray") != "none"
    assert page.one("[data-node='1'] .words").value_of_css_property("fill") != page.one(
        "[data-node='2'] .words"
    ).value_of_css_property("fill")


def test_a_click_shows_the_step_and_why_it_stands_there(show: Show) -> None:
    builder = DAGBuilder()
    for text in ("Begin.", "Go on."):
        builder.add(Step(text, "\n\n"), "continue", (), f"why {text}")
    builder.add(Step("Other\n  way.", "\n\n"), "backtrack", (0,), "It says so.")
    page = show(to_html(builder.build(errors=[AnnotationError(step=1, message="no answer")])))
    assert selected(page) == "0"
    page.one("[data-node='2']").click()
    assert selected(page) == "2"
    assert page.one(".panel h3").text == "2 · backtrack"
    assert page.one(".panel .why").text == "It says so."
    assert page.one(".panel pre").get_property("textContent") == "Other\n  way."
    assert page.all(".panel .error") == []
    page.one("[data-node='1']").click()
    assert "no answer" in page.one(".panel .error").text
    assert "Leads nowhere" in page.one(".panel").text
    page.one(".panel button").click()  # its parent
    assert selected(page) == "0"
    assert page.problems() == []


def test_keys_walk_the_graph(show: Show) -> None:
    page = show(to_html(TREE))
    page.one("[data-node='0']").click()
    for key, node in (
        (ARROW_DOWN, "2"),  # along the dominant path
        (ARROW_DOWN, "5"),
        (ARROW_UP, "2"),
        (ARROW_LEFT, "1"),
        (ARROW_LEFT, "0"),
        (ARROW_LEFT, "0"),
        (END, "5"),
        (ARROW_RIGHT, "5"),
        (HOME, "0"),
        (ARROW_RIGHT, "1"),
    ):
        page.press(key)
        assert selected(page) == node
        assert page.run("return document.activeElement.dataset.node") == node
    assert len(page.all(".node[tabindex='0']")) == 1
    before = page.one(".scene").get_attribute("transform")
    page.press("+")
    assert page.one(".scene").get_attribute("transform") != before


def scene(page: Any) -> tuple[float, float, float]:
    x, y, scale = map(
        float, re.findall(r"-?[\d.]+(?:e-?\d+)?", page.one(".scene").get_attribute("transform"))
    )
    return x, y, scale


def test_pan_and_zoom(show: Show) -> None:
    from selenium.webdriver import ActionChains

    page = show(to_html(long_dag(60)))
    canvas = page.one(".canvas")
    x, y, scale = scene(page)
    ActionChains(page.driver).move_to_element_with_offset(canvas, -300, 250).click_and_hold().move_by_offset(
        -40, -30
    ).move_by_offset(-40, -30).release().perform()
    assert scene(page) == pytest.approx((x - 80, y - 60, scale))
    assert selected(page) == "0"  # a drag chooses nothing
    page.run(
        "arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: 50, bubbles: true, cancelable: true}))",
        canvas,
    )
    assert scene(page) == pytest.approx((x - 80, y - 110, scale))
    page.run(
        "arguments[0].dispatchEvent(new WheelEvent('wheel', "
        "{deltaY: -100, ctrlKey: true, clientX: 300, clientY: 300, bubbles: true, cancelable: true}))",
        canvas,
    )
    assert scene(page)[2] > scale
    page.one("[data-do=read]").click()
    assert scene(page)[2] == 1
    page.one("[data-do=fit]").click()
    width, height = page.run("return [arguments[0].clientWidth, arguments[0].clientHeight]", canvas)
    whole = page.run(
        "const b = arguments[0].getBoundingClientRect(), c = arguments[1].getBoundingClientRect();"
        "return [b.left - c.left, b.top - c.top, b.right - c.left, b.bottom - c.top]",
        page.one(".scene"),
        canvas,
    )
    assert whole[0] >= 0
    assert whole[1] >= 0
    assert whole[2] <= width
    assert whole[3] <= height
    assert page.problems() == []


def test_the_slider_walks_through_the_trace(show: Show) -> None:
    page = show(to_html(long_dag(60)))
    page.run("const s = document.querySelector('.scrub'); s.value = 59; s.dispatchEvent(new Event('input'))")
    assert selected(page) == "59"
    card, stage = page.one("[data-node='59']").rect, page.one(".stage").rect
    assert stage["x"] <= card["x"] <= stage["x"] + stage["width"] - card["width"]
    assert stage["y"] <= card["y"] <= stage["y"] + stage["height"] - card["height"]


def test_hostile_text_stays_text(show: Show) -> None:
    made = hostile_dag()
    page = show(to_html(made, title=HOSTILE[1]))
    assert page.driver.title.startswith("</script></style>")
    for node in made.nodes:
        page.press(ARROW_RIGHT) if node.id else page.one("[data-node='0']").click()
        assert selected(page) == str(node.id)
        shown = printable(node.text).replace("\r\n", "\n")
        assert page.one(".panel pre").get_property("textContent") == shown
    assert not page.run("return document.title").startswith("run")
    assert page.all("img, iframe, .panel script, header script") == []
    assert page.problems() == []
    assert page.requests() == []


def test_the_policy_refuses_scripts_that_are_not_ours(show: Show) -> None:
    page = show(to_html(TREE).replace("<main>", "<main><script>document.title = 'run'</script>"))
    assert page.driver.title == "Reasoning DAG"
    assert any("Content Security Policy" in entry["message"] for entry in page.problems())


@pytest.mark.parametrize(("count", "limit"), [(500, 5), (1000, 10)])
def test_long_traces_open_and_answer_quickly(show: Show, count: int, limit: float) -> None:
    html = to_html(long_dag(count))
    began = time.perf_counter()
    page = show(html)
    page.one("[data-do=fit]").click()
    page.one("[data-do=read]").click()
    page.one("[data-node='0']").click()
    page.press(END)
    assert selected(page) == str(count - 1)
    assert time.perf_counter() - began < limit
    assert page.problems() == []


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_in_both_schemes(show: Show, scheme: str) -> None:
    page = show(compare_html(verdict(TREE, TREE)))
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    card = page.one(".dag").value_of_css_property("background-color")
    assert (luminance(card) > 0.5) == (scheme == "light")
    for text, ground in (
        (".node.on .words", ".node.on rect"),
        (".node:not(.on) .words", ".node:not(.on) rect"),
        (".node.backtrack .kind", ".node.backtrack rect"),
        (".node.merge .kind", ".node.merge rect"),
    ):
        colours = [page.one(selector).value_of_css_property("fill") for selector in (text, ground)]
        assert contrast(*colours) >= 4.5, text
    for text in (".facts", ".panel p", ".panel pre", ".badge.tie", "td", "button", ".hint"):
        assert contrast(page.one(text).value_of_css_property("color"), card) >= 4.5, text
    for line in (".edge.on", ".edge:not(.on)"):
        assert contrast(page.one(line).value_of_css_property("stroke"), card) >= 3, line


def test_compare_shows_both_traces_and_what_was_said(show: Show) -> None:
    page = show(compare_html(verdict(TREE, hostile_dag(), HOSTILE[0]), title="Two"))
    assert [row.text for row in page.all("tbody th, tfoot th")] == [
        "Macro efficiency",
        "Macro effectiveness",
        "Micro efficiency",
        "Micro effectiveness",
        "Overall",
    ]
    assert [badge.text for badge in page.all(".badge")] == [
        "Trace A",
        "Trace B",
        "Tie",
        "No verdict",
        "Trace A",
    ]
    assert page.one("tfoot td:last-child").text == HOSTILE[0]
    assert [heading.text for heading in page.all("h2")] == ["Trace A", "Trace B"]
    left, right = page.all(".dag")
    assert left.rect["x"] + left.rect["width"] <= right.rect["x"]
    assert left.rect["y"] == right.rect["y"]
    right.find_element("css selector", "[data-node='2']").click()
    assert right.find_element("css selector", ".panel h3").text == "2 · continue"
    assert left.find_element("css selector", ".panel h3").text == "0 · root"
    ids = [element.get_attribute("id") for element in page.all("[id]")]
    assert len(ids) == len(set(ids))
    assert page.problems() == []
    assert page.requests() == []


@pytest.mark.parametrize(
    "made", [to_html(TREE, "T" * 300), compare_html(verdict(TREE, hostile_dag(), HOSTILE[8]))]
)
def test_nothing_is_wider_than_a_narrow_window(show: Show, made: str) -> None:
    page = show(made, 400)
    assert page.overflow() == 0
    assert page.one(".panel").rect["y"] > page.one(".stage").rect["y"]


def test_formulas_of_a_step_and_of_a_judge_are_set(show: Show) -> None:
    page = show(compare_html(verdict(dag(r"So \(x^2 = 4\)."), None, r"\(x\) is $\pm 2$.")))
    assert len(page.all("tfoot math")) == 2
    assert len(page.all(".panel math")) == 1
    assert page.problems() == []


def test_compare_without_structure(show: Show) -> None:
    page = show(compare_html(verdict(None, None)))
    assert page.driver.title == "Two traces compared"
    assert len(page.all(".dag.none")) == 2
    assert page.problems() == []


def test_compare_names_the_question() -> None:
    built = DAGBuilder()
    built.add(Step("a"), "continue")
    page = compare_html(verdict(None, built.build(question="Why <b>?")))
    assert "<title>Why &lt;b&gt;?</title>" in page
