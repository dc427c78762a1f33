from __future__ import annotations

from typing import Any

import pytest

from me2sdk.errors import ConfigurationError
from me2sdk.llm.request import answer_limit, check_params, generation_error, read_messages
from me2sdk.llm.retry import Effort


class Status(Exception):
    def __init__(self, message: str, status_code: int | None) -> None:
        super().__init__(message)
        self.status_code = status_code


@pytest.mark.parametrize(
    "name", ["n", "stream", "model", "messages", "timeout", "max_retries", "num_retries"]
)
def test_parameters_with_a_place_elsewhere(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}' cannot be passed here: "):
        check_params({name: 1})
    check_params({"temperature": 1, "drop_params": True})


def test_messages() -> None:
    class Message:
        def model_dump(self, exclude_none: bool) -> dict[str, Any]:
            return {"role": "assistant", "content": "a"}

    assert read_messages("q") == [{"role": "user", "content": "q"}]
    chat: list[Any] = [{"role": "user", "content": "q"}, Message()]
    assert read_messages(chat) == [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    for wrong in ([], None, ["q"], [1]):
        with pytest.raises(ConfigurationError, match="Messages are"):
            read_messages(wrong)  # type: ignore[arg-type]


def test_answer_limit() -> None:
    assert answer_limit({}) is None
    assert answer_limit({"max_tokens": 5}) == 5
    assert answer_limit({"max_tokens": 5, "max_completion_tokens": 7}) == 7


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Status("x", 401), "API key"),
        (Status("x", 404), "name and api_base"),
        (Status("x", 400), "parameters"),
        (Status("x", 429), "max_concurrency"),
        (Status("x", 408), "Raise timeout"),
        (TimeoutError(), "no message. Raise timeout"),
        (Status("x", 503), "endpoint"),
        (ConnectionError("x"), "endpoint"),
        (ValueError("x"), "model function"),
    ],
)
def test_errors_say_what_to_do(error: Exception, advice: str) -> None:
    effort = Effort(0, 1.0, None)  # type: ignore[arg-type]
    effort.attempts = 2
    made = generation_error(error, "openai/x", effort, frozenset())
    assert str(made).startswith("openai/x failed after 2 attempts in 0.0 s (")
    assert advice in str(made)
    assert (made.attempts, made.error_type) == (2, type(error).__name__)
