from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from support.browser import chromium, show
from support.sample_dags import HOSTILE

from me2sdk.schema import Trace
from me2sdk.scorers import open_scorer
from me2sdk.train import BestOfNReport, CandidateQuestion, evaluate_best_of_n

pytest.importorskip("matplotlib", reason="needs the extra [train]")
__all__ = ["chromium", "show"]

Show = Callable[..., Any]


@pytest.fixture(scope="module")
def report() -> BestOfNReport:
    questions = [
        CandidateQuestion(
            question=f"q{number}",
            candidates=tuple(Trace.from_text(f"It is {one}.\n#### {one}") for one in (4, 4, number, number)),
            correct=(number % 2 == 0, number % 2 == 0, False, False),
            models=("A", HOSTILE[1]) * 2,
        )
        for number in range(4)
    ]
    return evaluate_best_of_n(questions, {"mini": open_scorer("mini")})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_curves_and_numbers_stand_in_a_page(
    show: Show, report: BestOfNReport, width: int, scheme: Any
) -> None:
    page = show(report.to_html("Some set"), width=width)
    page.scheme(scheme)
    assert page.driver.title == page.one("h1").text == "Some set"
    assert "4 questions with 4 candidates each" in page.one("header").text
    first, second = page.all(".group")[0].find_elements("css selector", "img")
    drawn = "return arguments[0].decode().then(() => [arguments[0].naturalWidth, arguments[0].currentSrc])"
    for picture in (first, second):
        pixels, source = page.run(drawn, picture)
        assert pixels > 300
        light, dark = re.findall(
            r'data:[^"]+', picture.find_element("xpath", "..").get_attribute("innerHTML")
        )[::-1]
        assert source == (dark if scheme == "dark" else light) != (light if scheme == "dark" else dark)
    below = second.rect["y"] > first.rect["y"]
    assert below == (width == 400)
    rows = page.all(".group")[0].find_elements("css selector", "tbody tr")
    assert [row.text.split(" 0.")[0] for row in rows][:3] == ["random", "shortest", "majority vote"]
    assert page.overflow() == 0
    assert page.problems() == []


def test_models_are_folded_and_their_names_are_text(show: Show, report: BestOfNReport) -> None:
    page = show(report.to_html(), width=1400)
    groups = page.all(".group")
    assert [group.get_attribute("open") for group in groups] == ["true", None, None, None]
    assert groups[1].text == "Within each model, mean over the models"
    assert groups[3].text == f"Candidates of {HOSTILE[1]}"
    groups[2].find_element("css selector", "summary").click()
    assert groups[2].find_elements("css selector", "table")
    assert page.driver.title == "Best of N"
    assert page.problems() == []
