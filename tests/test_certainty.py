"""`Certainty`: every measure against numbers worked out by hand, and what servers really send."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from me2sdk import Trace
from me2sdk.schema import Certainty
from me2sdk.traces import read_choice


def content(*values: Any, tops: list[list[float]] | None = None) -> dict[str, Any]:
    """OpenAI's ``logprobs`` with some log-probabilities."""
    entries: list[dict[str, Any]] = [{"token": "x", "logprob": value} for value in values]
    for entry, top in zip(entries, tops or [], strict=False):
        entry["top_logprobs"] = [{"token": "y", "logprob": value} for value in top]
    return {"content": entries}


def read(logprobs: Any) -> Certainty:
    certainty = Certainty.from_logprobs(logprobs)
    assert certainty is not None
    return certainty


def test_measures_of_the_tokens() -> None:
    certainty = read(content(-1.0, -2.0, -3.0, -2.0))
    assert certainty.tokens == 4
    assert (certainty.mean_logprob, certainty.sum_logprob) == (-2.0, -8.0)
    assert certainty.perplexity == pytest.approx(math.e**2)
    assert certainty.tail == certainty.lowest_window == -2.0  # shorter than either
    assert (certainty.top_k, certainty.self_certainty, certainty.entropy) == (None, None, None)


def test_the_tail_is_the_last_64_tokens_or_the_last_tenth() -> None:
    assert read(content(*[-2.0] * 36, *[-1.0] * 64)).tail == -1.0
    assert read(content(*[-2.0] * 37, *[-1.0] * 63)).tail == -65 / 64
    assert read(content(*[-2.0] * 900, *[-1.0] * 100)).tail == -1.0
    assert read(content(*[-2.0] * 901, *[-1.0] * 100)).tail == -102 / 101  # a tenth, rounded up


def test_the_lowest_window_is_the_worst_32_tokens_in_a_row() -> None:
    assert read(content(*[0.0] * 20, *[-3.0] * 16, *[0.0] * 40)).lowest_window == pytest.approx(-1.5)
    assert read(content(*[-1.0] * 8, *[0.0] * 32)).lowest_window == pytest.approx(-0.25)  # at the start
    assert read(content(*[0.0] * 32, *[-1.0] * 8)).lowest_window == pytest.approx(-0.25)  # at the end


def test_measures_of_the_alternatives() -> None:
    half, quarter = math.log(0.5), math.log(0.25)
    # 1/2 and 1/4 are 2/3 and 1/3 of what is known; two halves are equally likely.
    certainty = read(content(half, half, tops=[[quarter, half], [half, half]]))
    assert certainty.top_k == pytest.approx((1.5 * math.log(2) + math.log(2)) / 2)
    first = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert certainty.entropy == pytest.approx((first + math.log(2)) / 2)
    apart = -math.log(2) - (math.log(2 / 3) + math.log(1 / 3)) / 2
    assert certainty.self_certainty == pytest.approx(apart / 2)


def test_surer_alternatives_count_as_surer() -> None:
    sure = read(content(-0.01, tops=[[-0.01, -5.0, -6.0]]))
    unsure = read(content(-1.1, tops=[[-1.1, -1.1, -1.1]]))
    assert sure.top_k > unsure.top_k  # type: ignore[operator]
    assert sure.self_certainty > unsure.self_certainty == pytest.approx(0)  # type: ignore[operator]
    assert sure.entropy < unsure.entropy == pytest.approx(math.log(3))  # type: ignore[operator]


def test_an_alternative_more_than_asked_for_does_not_count() -> None:
    """vLLM adds the token that was written where it is none of the k."""
    usual, longer = [-0.1, -3.0], [-0.1, -9.0, -3.0]
    with_more = read(content(-0.1, -9.0, -0.1, tops=[usual, longer, usual]))
    assert with_more.top_k == pytest.approx(1.55)


@pytest.mark.parametrize("tops", [[[]], [[-0.5]], None], ids=["none", "one", "no field"])
def test_one_alternative_says_nothing(tops: Any) -> None:
    assert read(content(-0.5, tops=tops)).top_k is None


@pytest.mark.parametrize("least", [-9999.0, float("-inf"), -1e308, -(10**400)])
def test_a_token_without_probability_does_not_outweigh_the_rest(least: float) -> None:
    certainty = read(content(-0.5, least, tops=[[-0.5, least], [-0.5, -0.5]]))
    assert certainty.mean_logprob == -15.25
    assert math.isfinite(certainty.perplexity)
    assert certainty.top_k == pytest.approx((15.25 + 0.5) / 2)
    assert certainty.entropy is not None
    assert math.isfinite(certainty.entropy)


def test_entries_without_a_number_are_left_out() -> None:
    values = [None, float("nan"), "x", True, {}, [], -0.5, -1.5]
    certainty = read(content(*values, tops=[[None, float("nan")], [-1, -2]]))  # type: ignore[list-item]
    assert (certainty.tokens, certainty.mean_logprob) == (2, -1.0)
    assert certainty.top_k == 1.5
    assert read(content(1e-6, -1.0)).mean_logprob == -0.5  # rounding of a server
    assert read(content(10**400, -1.0)).mean_logprob == -0.5


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        {},
        [],
        "text",
        7,
        object(),
        {"content": None},
        {"content": []},
        {"content": "text"},
        {"content": [None, "x", {"token": "y"}]},
        {"token_logprobs": [None], "top_logprobs": [None]},
        {"token_logprobs": [], "top_logprobs": [{"a": -1.0}]},
    ],
)
def test_nothing_comes_of_nothing(nothing: Any) -> None:
    assert Certainty.from_logprobs(nothing) is None


def test_all_forms_are_read_alike() -> None:
    chat = content(-0.5, -1.5, tops=[[-0.5, -2.0], [-1.5, -1.0]])
    entries = [
        SimpleNamespace(
            logprob=one["logprob"], top_logprobs=[SimpleNamespace(**top) for top in one["top_logprobs"]]
        )
        for one in chat["content"]
    ]
    legacy = {
        "tokens": ["", "a", "b"],
        "token_logprobs": [None, -0.5, -1.5],
        "top_logprobs": [None, {"a": -0.5, "c": -2.0}, {"b": -1.5, "d": -1.0}],
        "text_offset": [0, 1, 2],
    }
    expected = read(chat)
    assert expected.top_k is not None
    for other in (chat["content"], SimpleNamespace(content=entries), legacy, SimpleNamespace(**legacy)):
        assert read(other) == expected
    assert read([-0.5, -1.5]).mean_logprob == -1.0
    assert read({"token_logprobs": [-0.5, -1.5]}).mean_logprob == -1.0


def test_it_survives_json() -> None:
    certainty = read(content(-0.1, -9999, tops=[[-0.1, -3.0], [-9999, float("-inf")]]))
    assert Certainty.model_validate_json(certainty.model_dump_json()) == certainty
    trace = Trace(reasoning="x", certainty=certainty)
    assert Trace.model_validate_json(trace.model_dump_json()) == trace
    assert hash(certainty) == hash(certainty.model_copy())


class TestTrace:
    @pytest.mark.parametrize(
        "make", [dict, lambda **fields: SimpleNamespace(**fields)], ids=["dict", "object"]
    )
    def test_a_message_or_a_choice_may_carry_logprobs(self, make: Any) -> None:
        message = {"role": "assistant", "content": "<think>Why?</think>Because."}
        plain = Trace.from_message(make(**message), "Q")
        assert plain.certainty is None
        expected = plain.model_copy(update={"certainty": read(content(-0.5))})
        assert Trace.from_message(make(**message, logprobs=content(-0.5)), "Q") == expected
        choice = make(index=0, message=make(**message), logprobs=content(-0.5), finish_reason="stop")
        assert Trace.from_message(choice, "Q") == expected
        inside = make(message=make(**message, logprobs=content(-0.5)))
        assert Trace.from_message(inside, "Q") == expected

    def test_a_choice_says_why_it_ended(self) -> None:
        choice = {"message": {"content": "Half an", "logprobs": "text"}, "finish_reason": "length"}
        assert Trace.from_message(choice).truncated
        assert Trace.from_message(choice).certainty is None
        assert not Trace.from_message(choice, finish_reason="stop").truncated
        assert read_choice({"message": {"content": "x"}, "finish_reason": 7})[1] is None

    def test_a_message_with_a_field_called_message_is_no_choice(self) -> None:
        assert (
            Trace.from_message({"content": "Outer.", "message": {"content": "Inner."}}).response == "Outer."
        )
