from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.sample_dags import HOSTILE

from me2sdk import BestOfNResult, Candidate, Failure, RerankResult, Trace, Usage, rerank
from me2sdk.page import printable
from me2sdk.schema import Certainty

Show = Callable[..., Any]
QUESTION = r"Let \(x^2 = 16\) and \[x > 0.\] What is $x$?"
RIGHT = "First, x could be 4.\n\nSo x^2 = \\(4 \\cdot 4 = 16\\).\n\nAlternatively, x = 2 + 2.\n\nSo x = \\boxed{4}."
ESCAPE, ARROW_DOWN, ARROW_RIGHT, END, ENTER = "\ue00c", "\ue015", "\ue014", "\ue010", "\ue007"


def ranked() -> RerankResult:
    texts = [
        RIGHT,
        RIGHT.replace("First", "At first"),
        "It is \\boxed{\\frac{16}{4}}.",
        "5 * 5 = 16.\n\nThe answer is 5.",
    ]
    return rerank(
        QUESTION, [*texts, "I do not know.", {"role": "assistant", "content": None, "refusal": "No."}]
    )


def sampled() -> BestOfNResult:
    """A result with everything that one can hold."""
    parts = ranked().model_dump()
    first = parts["candidates"][0]
    certainty = Certainty.from_logprobs([{"logprob": -0.25}])
    first["trace"]["certainty"] = certainty and certainty.model_dump()
    first |= {
        "model": "openai/small",
        "finish_reason": "stop",
        "score_truncated": 7,
        "scores": {"mini": 1.5, "shortest": -20.0},
        "usage": Usage(calls=1, prompt_tokens=30, completion_tokens=1200, cost=0.00125).model_dump(),
    }
    failures = [
        Failure(
            index=3, stage="generate", error="Timeout", message=HOSTILE[0], model="m", status=408, attempts=3
        ),
        Failure(index=None, stage="select", error="NoVote", message="None."),
    ]
    return BestOfNResult.model_validate(
        {
            **parts,
            "failures": failures,
            "abstained": True,
            "stopped_early": True,
            "escalated": True,
            "asked": 7,
            "usage": Usage(calls=7, prompt_tokens=210, completion_tokens=None, cost=None),
        }
    )


def hostile() -> RerankResult:
    """Text that tries to break out, wherever a model or a user can put some."""
    candidates = tuple(
        Candidate(
            index=place,
            trace=Trace(reasoning=f"{text}\n\nSo {text}", response=text, question=HOSTILE[1]),
            answer=text,
            model=text,
            finish_reason=text,
            refusal=text if place == 1 else None,
            scores={text: 1.0},
            score=float(-place),
        )
        for place, text in enumerate(HOSTILE)
    )
    failure = Failure(index=0, stage="generate", error=HOSTILE[1], message=HOSTILE[1], model=HOSTILE[0])
    return RerankResult(
        candidates=candidates, failures=(failure,), select="best", chosen_by="reward", scorer=HOSTILE[1]
    )


class Tags(HTMLParser):
    """Every tag of a page, every attribute, and what stands in its data blocks."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)
        for block in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL):
            value = json.loads(block)
            if isinstance(value, str):
                self.feed(value)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)


def test_the_page_shows_question_answers_and_candidates(show: Show) -> None:
    result = ranked()
    page = show(result.to_html(), width=1400)
    assert page.driver.title.startswith("Let ")
    assert page.one("h1").text == "6 candidates"
    assert page.one(".question").get_attribute("open")
    assert len(page.all(".question math")) == 3
    rows = page.all(".answers tbody tr")
    assert len(rows) == len(result.answers) + 1
    assert "3" in rows[0].text
    assert "none of these" in rows[-1].text
    assert page.one(".sure strong").text == rows[0].find_elements("css selector", "td")[1].text
    listed = page.all(".candidates .row")
    assert len(listed) == 6
    assert "Most votes: 3 of 4 votes." in listed[0].text
    assert "refused" in listed[-1].text
    assert all(row.size["width"] > 250 for row in listed)
    assert page.problems() == []
    assert page.requests() == []


def test_the_best_is_open_and_others_open_beside_it(show: Show) -> None:
    page = show(ranked().to_html(), width=1400)
    (card,) = page.all(".card")
    assert card.find_element("css selector", "h2").text.startswith("#1")
    assert len(card.find_elements("css selector", ".text math")) == 2
    page.all(".candidates .row")[3].click()
    page.all(".candidates .row")[1].click()
    assert [one.get_attribute("data-rank") for one in page.all(".card")] == ["1", "2", "4"]
    left, right = page.all(".card")[:2]
    assert left.rect["x"] + left.rect["width"] <= right.rect["x"]
    assert left.rect["y"] == right.rect["y"]
    page.all(".candidates .row")[1].click()
    page.one("[data-rank='4'] .close").click()
    assert [one.get_attribute("data-rank") for one in page.all(".card")] == ["1"]
    expanded = [row.get_attribute("aria-expanded") for row in page.all(".candidates .row")]
    assert expanded == ["true", *["false"] * 5]
    page.all("[data-read]")[1].click()
    assert page.run("return document.activeElement.id") == "card-4"
    assert page.problems() == []


def test_a_graph_is_drawn_when_it_is_looked_at(show: Show) -> None:
    page = show(ranked().to_html(), width=1400)
    assert page.all("svg.canvas") == []
    page.one("#tab-graph-1").click()
    assert len(page.all("svg.canvas .node")) == 4
    assert page.one(".view.text").get_attribute("hidden")
    page.one("[data-node='1']").click()
    assert "4 ⋅ 4 = 16" in page.one(".panel pre").get_property("textContent").replace("4⋅4=16", "4 ⋅ 4 = 16")
    page.all(".candidates .row")[1].click()
    page.one("#tab-graph-2").click()
    for rank in (1, 2):  # both fit although the first has less room than it was drawn in
        stage, cards = page.one(f"#graph-{rank} .stage").rect, page.all(f"#graph-{rank} .node")
        assert stage["x"] <= cards[0].rect["x"] <= stage["x"] + stage["width"] - cards[0].rect["width"]
    ids = [element.get_attribute("id") for element in page.all("[id]")]
    assert len(ids) == len(set(ids))
    assert page.problems() == []


def test_what_a_reward_is_made_of_adds_up(show: Show) -> None:
    result = ranked()
    page = show(result.to_html(), width=1400)
    page.one("#tab-made-1").click()
    parts = [float(cell.text) for cell in page.all("#made-1 td span")]
    assert sum(parts) == pytest.approx(result.best.score, abs=0.01)
    assert sorted(map(abs, parts[:-1]), reverse=True) == list(map(abs, parts[:-1]))


def test_who_explains_a_reward() -> None:
    class Own:
        name = "own"

        def explanations(self, question: Any, traces: Any) -> list[dict[str, float]]:
            assert question == QUESTION
            return [{"my_part": 1.0} for _ in traces]

    candidates = tuple(
        Candidate(index=i, trace=Trace(reasoning=f"r{i}", question=QUESTION), score=score)
        for i, score in enumerate((1.0, 2.0, None))
    )
    result = RerankResult(candidates=candidates, scorer="own")
    assert "my part" not in result.to_html()
    made = result.to_html(scorer=Own())
    assert made.count("my part") == 1  # the other reward is not what the scorer gives now
    assert "shared results" in ranked().to_html()
    assert "shared results" not in ranked().model_copy(update={"scorer": "other"}).to_html()


def test_keys_walk_the_page(show: Show) -> None:
    page = show(ranked().to_html(), width=1400)
    page.run("document.querySelector('.row').focus()")
    for key, rank in ((ARROW_DOWN, "2"), (ARROW_DOWN, "3"), (END, "6"), (ARROW_DOWN, "6")):
        page.press(key)
        assert page.run("return document.activeElement.dataset.rank") == rank
    page.press(ENTER)
    assert len(page.all(".card")) == 2
    page.run("document.querySelector('#tab-text-6').focus()")
    page.press(ARROW_RIGHT)
    assert page.run("return document.activeElement.id") == "tab-graph-6"
    assert page.one("#tab-graph-6").get_attribute("aria-selected") == "true"
    page.press(ESCAPE)
    assert len(page.all(".card")) == 1
    assert page.run("return document.activeElement.dataset.rank") == "6"


def test_formulas_can_be_read_as_they_were_written(show: Show) -> None:
    page = show(ranked().to_html(), width=1400)
    page.one(".source").click()
    shown = page.one(".view.text").get_property("textContent")
    assert shown == RIGHT
    assert page.all(".view.text math") == []
    page.one(".source").click()
    assert len(page.all(".view.text math")) == 2


def test_everything_that_is_known_is_told(show: Show) -> None:
    page = show(sampled().to_html("A title"), width=1400)
    assert page.driver.title == page.one("h1").text == "A title"
    head = page.one(".verdict").text
    for fact in (
        "abstained",
        "7 asked for (stopped early)",
        "stronger model asked",
        "7 calls",
        "scorer mini",
    ):
        assert fact in head
    assert "tokens" not in head  # not known, and never counted as 0
    row = page.one(".row").text
    assert "1,200 tokens written" in row
    assert "$0.00125" in row
    assert "openai/small" in row
    facts = page.one(".card .facts").text
    for fact in ("finish reason stop", "mean log-probability -0.250", "left out 7 tokens", "30 tokens read"):
        assert fact in facts
    page.one("#tab-made-1").click()
    assert "-20.000" in page.one("#made-1").text
    first, second = page.all(".failures li")
    assert first.text.splitlines() == [
        "number 4: Timeout generate · m · HTTP 408 · tried 3 times",
        HOSTILE[0],
    ]
    assert second.text.startswith("all: NoVote")
    assert page.problems() == []


def test_hostile_text_stays_text(show: Show) -> None:
    page = show(hostile().to_html(title=HOSTILE[1]), width=1400)
    for rank in range(1, len(HOSTILE) + 1):
        if rank > 1:
            page.run("document.querySelectorAll('.row')[arguments[0]].click()", rank - 1)
        for tab in ("graph", "made", "text"):
            page.run("document.querySelector(arguments[0]).click()", f"#tab-{tab}-{rank}")
        place = hostile().candidates[rank - 1].index
        blocks = page.all(f"#text-{rank} .prose")
        assert blocks[-1].get_property("textContent") == printable(HOSTILE[place]).replace("\r\n", "\n")
    assert page.driver.title.startswith("</script></style>")
    assert page.all("img, iframe, object, embed, a, form, .card script:not([type='application/json'])") == []
    assert page.problems() == []
    assert page.requests() == []


@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30)), min_size=1, max_size=5))
@settings(deadline=None, max_examples=25)
def test_text_opens_no_tag(texts: list[str]) -> None:
    candidates = tuple(
        Candidate(index=place, trace=Trace(reasoning=text or "x", question=texts[0]), answer=text, model=text)
        for place, text in enumerate(texts)
    )
    found = Tags(RerankResult(candidates=candidates).to_html())
    plain = Tags(hostile().to_html() + sampled().to_html())
    assert {tag for tag in found.tags if not tag.startswith("m")} <= set(plain.tags)
    assert not set(found.tags) & {"img", "iframe", "a", "form", "object", "embed"}
    assert not {
        name for name in found.attributes if name.startswith("on") or name in ("src", "href", "style")
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_narrow_and_wide_light_and_dark(show: Show, width: int, scheme: str) -> None:
    page = show(sampled().to_html(), width=width)
    page.scheme(scheme)
    page.one("#tab-graph-1").click()
    assert page.overflow() == 0
    ground = page.run("return getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", ground)[:3])) > 3 * 128
    assert light == (scheme == "light")
    card, row = page.one(".card").rect, page.one(".row").rect
    assert card["width"] > 360 - 32
    assert (card["y"] > row["y"]) == (width == 400)


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_their_ground(show: Show, scheme: str) -> None:
    page = show(sampled().to_html(), width=1400)
    page.scheme(scheme)
    ground = """
        let at = arguments[0], found;
        do { found = getComputedStyle(at).backgroundColor; at = at.parentElement } while (found === "rgba(0, 0, 0, 0)");
        return found"""
    for selector in (
        ".verdict .facts",
        ".badge",
        ".row .why",
        ".row .facts",
        ".card .facts",
        "[role=tab]",
        ".failures strong",
    ):
        element = page.one(selector)
        colours = luminance(element.value_of_css_property("color")), luminance(page.run(ground, element))
        assert (max(colours) + 0.05) / (min(colours) + 0.05) >= 4.5, selector


def test_nothing_but_failures(show: Show) -> None:
    failure = Failure(index=0, stage="read", error="InvalidTraceError", message="empty")
    page = show(RerankResult(candidates=(), failures=(failure,)).to_html())
    assert page.one("h1").text == "0 candidates"
    assert "empty" in page.one(".failures").text
    assert page.all(".card") == []
    assert page.problems() == []


def test_long_traces_are_shown_in_part_and_not_drawn() -> None:
    long = Trace(reasoning="word " * 50_000)
    made = RerankResult(candidates=(Candidate(index=0, trace=long),)).to_html()
    assert "50,000 characters are left out here" in made
    assert "too long to draw it here" in made
    steps = "\n\n".join(f"So step {i} gives {i}." for i in range(200))
    drawn = RerankResult(candidates=(Candidate(index=0, trace=Trace(reasoning=steps)),)).to_html()
    assert "200 steps" in drawn


def test_sixty_four_long_candidates_open(show: Show) -> None:
    draw = random.Random(0)
    texts = []
    for _ in range(64):
        lines = [
            f"So \\({draw.randint(2, 9)} \\cdot x = {draw.randint(10, 99)}\\) holds here." for _ in range(900)
        ]
        texts.append("\n\n".join([*lines, f"The answer is \\boxed{{{draw.choice([1, 1, 2])}}}."]))
    assert min(map(len, texts)) > 30_000
    page = show(rerank("How many?", texts).to_html(), width=1400)
    assert len(page.all(".row")) == 64
    assert len(page.all(".card math")) == 901
    page.run("document.querySelectorAll('.row')[63].click()")
    page.run("document.querySelector('#tab-graph-64').click()")
    assert len(page.all("#card-64 .node")) > 0
    assert (
        page.run("return document.querySelectorAll('*').length") < 40_000
    )  # the others are not in the document
    assert page.problems() == []
