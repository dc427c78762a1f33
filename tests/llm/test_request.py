from __future__ import annotations

import asyncio
import inspect
import re
from typing import Any

import pytest

import me2sdk
from me2sdk.errors import ConfigurationError
from me2sdk.llm import check_options, load_litellm
from me2sdk.llm.request import answer_limit, check_params, generation_error, read_messages
from me2sdk.llm.retry import Attempts


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
    attempts = Attempts(0, 1.0, None)  # type: ignore[arg-type]
    attempts.made = 2
    made = generation_error(error, "openai/x", attempts, frozenset())
    assert str(made).startswith("openai/x failed after 2 attempts in 0.0 s (")
    assert advice in str(made)
    assert (made.attempts, made.error_type) == (2, type(error).__name__)


def judge(
    question: str, *, repeats: int = 3, early_stop: bool = False, cache: Any = None, **params: Any
) -> None:
    """A verb with options."""


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("repeat", "repeats"), ("earlystop", "early_stop"), ("caches", "cache"), ("Repeats", "repeats")],
)
def test_a_parameter_that_is_nearly_an_option(wrong: str, right: str) -> None:
    message = f"judge takes no '{wrong}'. Did you mean '{right}'?"
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        check_options(judge, {"temperature": 1, wrong: 5})


VERBS = {
    "best_of_n": ("q",),
    "completion": ("openai/x", [{"role": "user", "content": "q"}]),
    "judge_pair": ("q", "a", "b"),
    "rank_traces": ("q", ["a", "b"]),
    "parse_dag": ("One.",),
    "rerank": ("q", ["a"]),
    "verify_answer": ("1", "1"),
}


@pytest.mark.parametrize(
    ("verb", "wrong", "right"),
    [
        ("best_of_n", "n_candidates", "min_candidates"),
        ("best_of_n", "concurrency", "max_concurrency"),
        ("completion", "best_of_n", "best_of"),
        ("completion", "selection", "select"),
        ("judge_pair", "repeat", "repeats"),
        ("rank_traces", "early_stopping", "early_stop"),
        ("parse_dag", "windw", "window"),
        ("parse_dag", "n_samples", "samples"),
    ],
)
async def test_verbs_refuse_what_is_nearly_an_option(verb: str, wrong: str, right: str) -> None:
    def model(messages: Any, **params: Any) -> str:
        raise AssertionError("nothing is sent")

    options: dict[str, Any] = {wrong: 5} if verb == "completion" else {"model": model, wrong: 5}
    message = f"^{verb} takes no '{wrong}'. Did you mean '{right}'\\?$"
    with pytest.raises(ConfigurationError, match=message):
        await asyncio.to_thread(getattr(me2sdk, verb), *VERBS[verb], **options)
    with pytest.raises(ConfigurationError, match=message):
        await getattr(me2sdk, f"a{verb}")(*VERBS[verb], **options)
    if verb not in ("completion", "rank_traces"):
        with pytest.raises(ConfigurationError, match=message):
            me2sdk.estimate_cost(verb, ("a", "b") if verb == "judge_pair" else "a", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("verb", "wrong"), [("rerank", "selct"), ("verify_answer", "modl")])
async def test_verbs_that_send_no_parameters_take_none(verb: str, wrong: str) -> None:
    for name in (verb, f"a{verb}"):
        with pytest.raises(TypeError, match=wrong):
            await getattr(me2sdk, name)(*VERBS[verb], **{wrong: 5})


def test_no_parameter_of_litellm_or_of_a_provider_is_refused() -> None:
    litellm = load_litellm()
    known = {*litellm.OPENAI_CHAT_COMPLETION_PARAMS, *litellm.types.utils.all_litellm_params}
    assert {"temperature", "top_p", "n", "seed", "stop", "tools", "timeout", "api_base"} <= known
    assert {"reasoning_effort", "thinking", "num_retries", "max_tokens"} <= known
    # OpenRouter, vLLM, SGLang, llama.cpp, Ollama, Anthropic, Gemini
    known |= set(
        "extra_body models transforms route provider top_k min_p repetition_penalty min_tokens stop_token_ids "
        "best_of use_beam_search guided_json chat_template_kwargs num_ctx num_predict repeat_penalty repeat_last_n "
        "cache_prompt cache_control cached_content thinking_budget budget_tokens candidate_count safety_settings "
        "do_sample num_beams max_new_tokens nobody_knows_this".split()
    )
    for verb in VERBS:
        function = getattr(me2sdk, verb)
        for name in known - inspect.signature(function).parameters.keys():
            check_options(function, {name: 1})
