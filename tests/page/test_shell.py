from __future__ import annotations

import json
import re

from me2sdk.page import bar, data_block, escaped, fill, page, question_block

HOSTILE = ["</script><script>x</script>", "<!-- <script>", "a\x00\x1b", "\u2028\u202e", "\"'&<>"]


def test_data_comes_back_and_cannot_end_its_element() -> None:
    made = data_block(HOSTILE, "data")
    inside = re.fullmatch(r'<script type="application/json" id="data">(.*)</script>', made, re.DOTALL)[1]  # type: ignore[index]
    assert json.loads(inside) == HOSTILE
    assert not re.search(r"</|<!", inside)


def test_a_value_that_looks_like_a_place_stays_as_it_is() -> None:
    assert fill("{{a}} {{b}}", a="{{b}}", b="x") == "{{b}} x"


def test_what_cannot_be_printed_is_replaced() -> None:
    assert escaped("<a\x00b\x1b>") == "&lt;a\ufffdb\ufffd&gt;"


def test_the_policy_allows_what_the_page_brings_and_nothing_else() -> None:
    plain = page("T<", "kind", "<p>x</p>")
    assert "<title>T&lt;</title>" in plain
    assert "script-src" not in plain
    assert "img-src" not in plain
    assert "<script" not in plain
    full = page("T", "kind", "", ["one();", "two();"], images=True)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', full)[1]  # type: ignore[index]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert len(rules["script-src"].split()) == 2
    assert "unsafe" not in policy


def test_a_bar_stays_inside_its_width() -> None:
    assert 'class="full" width="25.0"' in bar(0.25)
    assert 'class="full" width="100.0"' in bar(7)
    assert 'class="full" width="0.0"' in bar(-1)


def test_a_short_question_may_stand_unfolded() -> None:
    assert question_block(" ") == ""
    assert '<details class="question" open>' in question_block("Why <b>?", unfolded=True)
    assert "Why &lt;b&gt;?" in question_block("Why <b>?")
    assert " open" not in question_block("Why? " * 500, unfolded=True)
