from __future__ import annotations

import importlib.util
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from me2sdk import ConfigurationError, Trace, averify_answer, verify_answer
from me2sdk.verify import _Worker, group_answers, normalize_answer

needs_math_verify = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None, reason="math-verify is not installed"
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000", "1000"),
        ("$18.00", "18"),
        ("\\$18", "$18$"),
        ("0.5", "1/2"),
        ("\\dfrac{1}{2}", "\\frac{2}{4}"),
        ("\\text{Tuesday}", "tuesday."),
        ("-3", "−3".replace("−", "-")),
        (" 7 ", "**7**"),
    ],
)
def test_equal_after_normalisation(one: str, other: str) -> None:
    assert normalize_answer(one) == normalize_answer(other)


@pytest.mark.parametrize(
    ("one", "other"), [("1", "2"), ("1,2", "12"), ("1.5", "15"), ("x", "y"), ("1/0", "0"), ("10%", "10")]
)
def test_different_after_normalisation(one: str, other: str) -> None:
    assert normalize_answer(one) != normalize_answer(other)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_normalisation_takes_any_text_and_is_stable(text: str) -> None:
    once = normalize_answer(text)
    assert group_answers([text, text]) == [0, 0]
    assert isinstance(once, str)


def test_normalising_a_megabyte_is_quick() -> None:
    started = time.process_time()
    for piece in ("\\text{", "$", " ", "9", "\\left", "1,"):
        normalize_answer(piece * (1_000_000 // len(piece)))
    assert time.process_time() - started < 1


def test_groups_count_from_zero_in_order_of_appearance() -> None:
    assert group_answers(["4", None, "5", "4.0", "five", "5"]) == [0, None, 1, 0, 2, 1]
    assert group_answers([]) == []


@needs_math_verify
def test_groups_by_mathematical_equality() -> None:
    assert group_answers([r"\sqrt{2}", "2^{1/2}", "x+1", "1+x", "1.41"]) == [0, 0, 1, 1, 2]


def test_without_math_verify_text_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert group_answers([r"\sqrt{2}", "2^{1/2}", "4", "4.0"]) == [0, 1, 2, 2]
    assert verify_answer(r"\boxed{4.0}", "4").method == "text"


@pytest.mark.parametrize(
    ("response", "reference", "outcome", "method"),
    [
        (r"so \boxed{42}", "42", "right", "text"),
        ("#### 41", "42", "wrong", "text"),
        ("42", "42", "right", "text"),
        ("Tuesday", "tuesday", "right", "text"),
        ("yes", "no", "wrong", "text"),
        ("It could be\nmany things", "42", "undecided", "none"),
    ],
)
def test_verify(response: str, reference: str, outcome: str, method: str) -> None:
    verification = verify_answer(response, reference)
    assert (verification.outcome, verification.method) == (outcome, method)
    assert bool(verification) == (outcome == "right")


async def test_verify_reads_traces_and_messages() -> None:
    assert await averify_answer(Trace(reasoning="x", response="#### 3"), "3")
    assert await averify_answer({"content": "#### 3"}, "3")
    with pytest.raises(ConfigurationError, match="reference"):
        await averify_answer("3", " ")


@needs_math_verify
def test_mathematics_that_cannot_be_judged_is_undecided() -> None:
    worker = _Worker(seconds=30)
    assert worker.equal("\\frac{1}{3}", "2/6") is True
    assert worker.equal("1", "2") is False
    assert worker.equal("}{", "1") is None


def test_a_worker_that_hangs_is_killed_and_started_anew() -> None:
    worker = _Worker(seconds=0.001)  # no process starts that fast
    assert worker.equal("x+1", "1+x") is None
    if importlib.util.find_spec("math_verify") is not None:
        worker.seconds = 30
        assert worker.equal("x+1", "1+x") is True
