from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from me2sdk import ConfigurationError, Trace, best_of_n, rerank
from me2sdk.sampling import answer_reader, answers
from me2sdk.sampling.answers import AnswerGroups
from me2sdk.verify import group_answers


def read(key: Any, text: str, message: Any = None) -> str | None:
    return answer_reader(key).read(Trace.from_text(text), message)


def calling(*calls: tuple[str, str]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "tool_calls": [{"function": {"name": name, "arguments": arguments}} for name, arguments in calls],
    }


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("auto", "2 + 2 = 4. The answer is 4.", "4"),
        ("auto", "Clouds are white.", None),
        ("text", "  Two\n Words ", "two words"),
        ("text", "<think>Hm.</think>Two words", "two words"),
        ("json", 'Here: {"b": [1.0, 2], "a": "x"}', '{"a": "x", "b": [1, 2]}'),
        ("json", '{"a": 1} and then {"a": 2}', '{"a": 2}'),
        ("json", '```json\n{"a": 1}\n```\nHope this {helps}', '{"a": 1}'),
        ("json", "[1, 2] is the list", "[1, 2]"),
        ("json", "no braces", None),
        ("json", '{"a": ', None),
        ("json:city", '{"city": "Rome"}', "Rome"),
        ("json:where.1.city", '{"where": [0, {"city": "Oslo"}]}', "Oslo"),
        ("json:where.-1", '{"where": [0, 7.0]}', "7"),
        ("json:where.5", '{"where": [0]}', None),
        ("json:city", '{"town": "Rome"}', None),
        ("json:city", '{"city": null}', None),
        ("json:city.name", '{"city": "Rome"}', None),
        ("json:ok", '{"ok": true}', "true"),
        (r"Total: (\d+)", "Total: 4. No, Total: 5.", "5"),
        (re.compile(r"v\d+", re.IGNORECASE), "V1 then v2", "v2"),
        (r"Total: (\d+)", "nothing", None),
        (lambda trace: trace.reasoning[0], "xyz", "x"),
        (lambda trace: 7, "xyz", "7"),
        (lambda trace: None, "xyz", None),
        (lambda trace: " ", "xyz", None),
        ("similar", "xyz", None),
        (None, "The answer is 4.", None),
    ],
)  # fmt: skip
def test_an_answer_is_read_as_the_caller_says(key: Any, text: str, expected: str | None) -> None:
    assert read(key, text) == expected


def test_tool_calls_are_compared_by_name_and_arguments() -> None:
    first = calling(("find", '{"b": 1.0, "a": "x"}'))
    assert read("tool_calls", "t", first) == read("tool_calls", "t", calling(("find", '{"a":"x","b":1}')))
    assert read("tool_calls", "t", first) != read("tool_calls", "t", calling(("find", '{"a": "y", "b": 1}')))
    assert read("tool_calls:name", "t", first) == '["find"]'
    assert read("tool_calls", "t", calling(("shell", " ls -l "))) == '[["shell", "ls -l"]]'
    assert read("tool_calls", "t", {"role": "assistant", "content": "t"}) is None
    assert read("tool_calls", "t") is None


@pytest.mark.parametrize("key", ["jsn", "tool-calls", "json:", "tool_calls:arguments", "(", "", 4, ["auto"]])
def test_a_key_that_stands_for_nothing_is_refused(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="answer"):
        answer_reader(key)


async def test_numbers_are_compared_as_values_and_texts_as_texts() -> None:
    assert await AnswerGroups("value").of(["1/2", "0.5", None, "2"]) == [0, 0, None, 1]
    assert await AnswerGroups("text").of(["1/2", "0.5", None, "1/2"]) == [0, 1, None, 0]


async def test_answers_are_compared_again_only_where_a_new_one_came(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[list[str]] = []

    async def counting(answers: list[str]) -> list[int | None]:
        compared.append(answers)
        return group_answers(answers)

    monkeypatch.setattr(answers, "agroup_answers", counting)
    groups = AnswerGroups("value")
    assert await groups.of(["5", "5 m", None]) == [0, 0, None]
    assert await groups.of(["5 m", "5", "5"]) == [0, 0, 0]
    assert await groups.of(["5 m", "5", "5 cm"]) == [0, 1, 2]  # a new one may part what was together
    assert compared == [["5", "5 m"], ["5 m", "5", "5 cm"]]


def test_reading_an_answer_does_not_hold_up_others() -> None:
    places = []

    def where(trace: Trace) -> str:
        places.append(threading.current_thread().name)
        return "4"

    best_of_n("q", model=lambda messages, **params: "It is 4.", n=2, scorer=None, answer=where)
    rerank("q", ["It is 4."], scorer=None, answer=where)
    assert len(places) == 3
    assert "me2sdk" not in places  # the thread of the event loop


def test_votes_over_json_fields() -> None:
    outputs = ['{"city": "Rome", "why": "old"}', '{"city": "Oslo"}', '{"why": "new", "city": "Rome"}']
    result = rerank("Where?", outputs, scorer=None, answer="json:city")
    assert [(answer.text, answer.votes) for answer in result.answers] == [("Rome", 2), ("Oslo", 1)]
    assert result.best.answer == "Rome"
    assert result.confidence is not None
    assert rerank("Where?", outputs, scorer=None, answer="json").answers[0].text.startswith("{")


def test_votes_over_tool_calls() -> None:
    outputs = [calling(("find", '{"q": 1}')), calling(("stop", "{}")), calling(("find", '{ "q": 1.0 }'))]
    result = rerank("Next?", outputs, scorer="shortest", answer="tool_calls")
    assert [answer.votes for answer in result.answers] == [2, 1]
    assert result.best.index == 0


def test_a_function_that_fails_costs_the_vote_of_its_candidate_alone() -> None:
    def city(trace: Trace) -> str:
        return {"a": "Rome", "b": "Rome", "d": "Oslo"}[trace.reasoning]

    result = rerank("Where?", ["d", "a", "c", "b"], scorer=None, answer=city)
    assert result.best.answer == "Rome"
    assert [(failure.index, failure.stage, failure.error) for failure in result.failures] == [
        (2, "select", "KeyError")
    ]
    assert len(result.candidates) == 4


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 50_000, "{" * 200 + '{"a": 1}', "[" + "9" * 100_000 + "]"]
)
def test_hostile_json_is_no_answer(text: str) -> None:
    result = rerank("q", [text, '{"a": 2}', '{"a": 2}'], scorer=None, answer="json")
    assert result.best.answer == '{"a": 2}'


def test_with_nothing_to_compare_the_reward_decides() -> None:
    outputs = ["The answer is 4.", "The answer is 4.", "5"]
    result = rerank("q", outputs, scorer="shortest", answer=None)
    assert (result.best.index, result.chosen_by, result.confidence, result.answers) == (2, "reward", None, ())
    assert result.best.answer is None
