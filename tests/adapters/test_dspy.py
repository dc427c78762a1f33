from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or DSPy downloads prices

import dspy
import pytest
from dspy import lm15
from dspy.streaming import StreamListener, StreamResponse
from support.fake_provider import Behaviour, OpenAIServer, Reply, error

from me2sdk.adapters.dspy import BestOfNLM, results, thinking_reward
from me2sdk.errors import ConfigurationError, GenerationError, InvalidTraceError, ScoringError

GOOD, BAD = "12 * 13 = 120 + 36 = 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm."
Q = "12 * 13?"


def said(reasoning: str, answer: Any) -> str:
    """A completion as DSPy's chat adapter asks for it."""
    return f"[[ ## reasoning ## ]]\n{reasoning}\n\n[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]"


opened: list[dspy.LM] = []


@pytest.fixture(autouse=True)
async def clean_up() -> AsyncIterator[None]:
    """DSPy's cache, empty and without its folder; and no connection stays open."""
    before = dspy.cache
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    yield
    dspy.cache = before
    while opened:
        await opened.pop().aclose()


@pytest.fixture
def mixed() -> Iterator[OpenAIServer]:
    """Of each three answers the second fails and the third is the best."""
    texts: list[Behaviour] = [said(BAD, 146), error(500), said(GOOD, 156)]
    with OpenAIServer(lambda request: texts[request.number % 3]) as server:
        yield server


def model(server: OpenAIServer, **settings: Any) -> dspy.LM:
    given = {"num_retries": 0, "temperature": 1.0, **settings}
    lm = dspy.LM("openai/gpt-4o-mini", api_base=server.url, api_key="sk-secret", **given)
    opened.append(lm)
    return lm


def solver() -> dspy.Module:
    return dspy.ChainOfThought("question -> answer")


def test_a_program_gets_the_best_answer_and_says_how_it_was_chosen(mixed: OpenAIServer) -> None:
    solve, lm = solver(), BestOfNLM(model(mixed), n=3)
    with dspy.context(lm=lm, track_usage=True):
        prediction = solve(question=Q)
    assert (prediction.reasoning, prediction.answer) == (GOOD, "156")
    (result,) = results(solve)
    assert results(lm) == [result]
    assert [candidate.trace.reasoning for candidate in result.candidates] == [GOOD, BAD]
    assert [candidate.answer for candidate in result.candidates] == ["156", "146"]
    assert [failure.error for failure in result.failures] == ["LMServerError"]
    assert result.best.model == "openai/gpt-4o-mini"
    (usage,) = prediction.get_lm_usage().values()
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (14, 10)
    assert len(solve.history) == 1
    assert len(lm.lm.history) == 2


async def test_the_asynchronous_program_does_the_same(mixed: OpenAIServer) -> None:
    solve, lm = solver(), BestOfNLM(model(mixed), n=3)
    with dspy.context(lm=lm, track_usage=True):
        prediction = await solve.acall(question=Q)
    assert prediction.answer == "156"
    (result,) = results(solve)
    assert (len(result.candidates), len(result.failures)) == (2, 1)
    (usage,) = prediction.get_lm_usage().values()
    assert usage["total_tokens"] == 24


async def test_candidates_are_asked_for_side_by_side() -> None:
    with OpenAIServer(said(GOOD, 156)) as server:
        lm = BestOfNLM(model(server, cache=False), n=4)
        for call in (lm.acall(Q), asyncio.to_thread(lm, Q)):
            server.gate.clear()
            work = asyncio.ensure_future(call)
            await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 4)
            server.gate.set()
            await work
    assert server.max_in_flight == 4


def test_the_cache_keeps_the_chosen_answer_and_never_repeats_a_candidate(mixed: OpenAIServer) -> None:
    solve, lm, plain = solver(), BestOfNLM(model(mixed), n=3), model(mixed)
    with dspy.context(lm=lm, track_usage=True):
        first, again = solve(question=Q), solve(question=Q)
    assert first.answer == again.answer == "156"
    assert len(mixed.requests) == 3  # three different candidates, then none
    assert again.get_lm_usage() == {}
    assert results(solve)[0] == results(solve)[1]
    others = [
        BestOfNLM(model(mixed), n=3, select="vote"),  # other settings
        lm.copy(rollout_id=1),  # another rollout
        BestOfNLM(model(mixed), n=3, cache=False),
    ]
    for count, other in enumerate(others, start=2):
        with dspy.context(lm=other):
            solve(question=Q)
        assert len(mixed.requests) == 3 * count
    with dspy.context(lm=plain):
        solve(question=Q)  # an answer of the plain LM is not the chosen one's
    assert len(mixed.requests) == 13


def test_best_of_n_with_a_thinking_reward_takes_the_best_attempt() -> None:
    texts = [said(BAD, 146), said(GOOD, 156), said(BAD + " Hmm.", 147)]
    with OpenAIServer(lambda request: texts[request.number]) as server, dspy.context(lm=model(server)):
        best = dspy.BestOfN(solver(), N=3, reward_fn=thinking_reward(), threshold=float("inf"))
        assert best(question=Q).answer == "156"
        assert len(server.requests) == 3


def test_best_of_n_stops_at_its_threshold_and_goes_on_after_a_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = [said("", 1), said(BAD, 146), said(GOOD, 156)]
    reward = thinking_reward()
    enough = reward({"question": Q}, dspy.Prediction(reasoning=GOOD, answer="156"))
    with OpenAIServer(lambda request: texts[request.number]) as server, dspy.context(lm=model(server)):
        best = dspy.BestOfN(solver(), N=6, reward_fn=reward, threshold=enough - 0.1)
        assert best(question=Q).answer == "156"
        assert len(server.requests) == 3


def test_each_rollout_of_best_of_n_is_a_best_of_n_of_its_own(mixed: OpenAIServer) -> None:
    with dspy.context(lm=BestOfNLM(model(mixed), n=3)):
        best = dspy.BestOfN(solver(), N=2, reward_fn=thinking_reward(), threshold=float("inf"))
        assert best(question=Q).answer == "156"
    assert len(mixed.requests) == 6


def test_refine_gets_advice_from_the_reward() -> None:
    advice = (
        '[[ ## discussion ## ]]\nNo.\n\n[[ ## advice ## ]]\n{"predict": "Compute."}\n\n[[ ## completed ## ]]'
    )
    texts = [said(BAD, 146), advice, said(GOOD, 156)]
    with OpenAIServer(lambda request: texts[request.number]) as server, dspy.context(lm=model(server)):
        refine = dspy.Refine(solver(), N=2, reward_fn=thinking_reward(), threshold=1e9)
        assert refine(question=Q).answer == "156"
        assert "def reward(" in server.requests[1].text
        assert "Compute." in server.requests[2].text


class Recorder:
    """A scorer that keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def score(self, question: Any, traces: Any) -> list[float]:
        self.seen += [(question, trace.reasoning, trace.response) for trace in traces]
        return [0.5] * len(traces)


def test_what_the_reward_shows_the_scorer() -> None:
    recorder = Recorder()
    args = {"context": "Numbers.", "question": Q}
    one = dspy.Prediction(reasoning=GOOD, answer=156)
    two = dspy.Prediction(rationale=GOOD, answer=156, unit="none")
    assert thinking_reward(recorder)(args, one) == 0.5
    thinking_reward(recorder, question="question")(args, one)
    thinking_reward(recorder, reasoning="rationale")(args, two)
    thinking_reward(recorder, reasoning=None)(args, two)
    everything = f"rationale: {GOOD}\nanswer: 156\nunit: none"
    assert recorder.seen == [
        (f"context: Numbers.\nquestion: {Q}", GOOD, "Final answer: 156"),
        (Q, GOOD, "Final answer: 156"),
        (f"context: Numbers.\nquestion: {Q}", GOOD, "answer: 156\nunit: none"),
        (f"context: Numbers.\nquestion: {Q}", everything, everything),
    ]


def test_a_reward_that_cannot_be_given_is_an_error() -> None:
    with pytest.raises(InvalidTraceError, match=r"no field 'reasoning', only answer.*ChainOfThought"):
        thinking_reward()({"question": Q}, dspy.Prediction(answer="156"))
    with pytest.raises(InvalidTraceError, match="cannot be scored"):
        thinking_reward()({"question": Q}, dspy.Prediction(reasoning=" ", answer=""))

    class Broken:
        def score(self, question: Any, traces: Any) -> list[float]:
            raise OSError("gone")

    with pytest.raises(ScoringError, match="gone"):
        thinking_reward(Broken())({"question": Q}, dspy.Prediction(reasoning=GOOD, answer="156"))


def test_where_every_call_fails_the_lms_own_error_is_raised() -> None:
    with OpenAIServer(error(429)) as server:
        with pytest.raises(dspy.utils.exceptions.LMRateLimitError) as caught:
            BestOfNLM(model(server), n=2)(Q)
        assert isinstance(caught.value.__cause__, GenerationError)
        assert "sk-secret" not in str(caught.value.__cause__)
        assert len(server.requests) == 2
    with OpenAIServer(error(400, "maximum context length is 10 tokens")) as server:
        with pytest.raises(dspy.utils.exceptions.LMError) as plain:
            model(server)(Q)
        with pytest.raises(type(plain.value)):
            BestOfNLM(model(server), n=2)(Q)


def test_the_lms_own_retries_hold() -> None:
    replies: list[Behaviour] = [error(503, retry_after=0), said(GOOD, 156)]
    with OpenAIServer(replies) as server:
        assert GOOD in BestOfNLM(model(server, num_retries=1), n=1)(Q)[0]
        assert len(server.requests) == 2


async def test_a_streamed_program_yields_the_chosen_answer_alone(mixed: OpenAIServer) -> None:
    listener = StreamListener(signature_field_name="answer")
    program = dspy.streamify(solver(), stream_listeners=[listener])
    chunks = []
    with dspy.context(lm=BestOfNLM(model(mixed), n=3)):
        async for value in program(question=Q):
            chunks.append(value)
    assert chunks[-1].answer == "156"
    assert {type(chunk) for chunk in chunks[:-1]} <= {StreamResponse}
    assert "146" not in "".join(chunk.chunk for chunk in chunks[:-1])
    assert len(mixed.requests) == 3


def test_tools_are_passed_through_and_the_best_call_comes_back() -> None:
    def multiply(a: int, b: int) -> int:
        """Multiply."""
        return a * b

    def call(b: int) -> Reply:
        function = {"name": "multiply", "arguments": json.dumps({"a": 12, "b": b})}
        return Reply(
            None, {"tool_calls": [{"id": "call-1", "type": "function", "function": function}]}, "tool_calls"
        )

    class Right:
        def score(self, question: Any, traces: Any) -> list[float]:
            return [float("13" in trace.reasoning) for trace in traces]

    class Ask(dspy.Signature):
        question: str = dspy.InputField()
        tools: list[dspy.Tool] = dspy.InputField()
        outputs: dspy.ToolCalls = dspy.OutputField()

    adapter = dspy.JSONAdapter(use_native_function_calling=True)
    with OpenAIServer(lambda request: call(13 if request.number % 2 else 14)) as server:
        lm = BestOfNLM(model(server), n=2, scorer=Right())
        with dspy.context(lm=lm, adapter=adapter):
            prediction = dspy.Predict(Ask)(question=Q, tools=[dspy.Tool(multiply)])
        assert server.requests[0].body["tools"][0]["function"]["name"] == "multiply"
    (made,) = prediction.outputs.tool_calls
    assert (made.name, made.args) == ("multiply", {"a": 12, "b": 13})


def test_the_json_adapter_is_read() -> None:
    texts = [json.dumps({"reasoning": r, "answer": a}) for r, a in ((BAD, "146"), (GOOD, "156"))]
    with OpenAIServer(lambda request: texts[request.number % 2]) as server:
        solve = solver()
        with dspy.context(lm=BestOfNLM(model(server), n=2), adapter=dspy.JSONAdapter()):
            assert solve(question=Q).answer == "156"
        assert [c.trace.reasoning for c in results(solve)[0].candidates] == [GOOD, BAD]
        assert "response_format" in server.requests[0].body


def test_completions_may_hold_anything() -> None:
    replies = ["[" * 100_000, "[[ ## answer ## ]]\n", "[[ ## reasoning ## ]]\n" * 1000, GOOD]
    with OpenAIServer(lambda request: replies[request.number % 4]) as server:
        lm = BestOfNLM(model(server), n=4)
        lm(Q)
    assert sorted(c.index for c in (*results(lm)[0].candidates, *results(lm)[0].failures)) == [0, 1, 2, 3]


class Thinker:
    """An engine, DSPy's own extension point, that thinks before it answers."""

    def __init__(self) -> None:
        self.answers = iter([(BAD, "146", "length"), (GOOD, "156", "stop")])

    def complete(self, request: lm15.Request) -> lm15.Response:
        thought, answer, reason = next(self.answers)
        spoken = lm15.Message.assistant([lm15.ThinkingPart(thought), lm15.TextPart(answer)])
        usage = lm15.Usage(input_tokens=3, output_tokens=2, reasoning_tokens=1)
        return lm15.Response(id=None, model="thinker-1", message=spoken, finish_reason=reason, usage=usage)


def test_thinking_parts_and_cut_off_answers_are_read() -> None:
    lm = BestOfNLM(dspy.LM("thinker", engine=Thinker(), cache=False), n=2)
    assert lm(Q) == [{"text": "156", "reasoning_content": GOOD}]
    (result,) = results(lm)
    assert [(c.trace.reasoning, c.trace.truncated) for c in result.candidates] == [(GOOD, False), (BAD, True)]
    assert lm.history[0]["response"].usage == lm15.Usage(input_tokens=6, output_tokens=4, reasoning_tokens=2)


def test_parameters_of_the_lm_and_of_the_wrapper_reach_the_server() -> None:
    with OpenAIServer(said(GOOD, 156)) as server:
        lm = BestOfNLM(model(server, max_tokens=50), n=1, temperature=0.7)
        lm(Q, top_p=0.9)
        body = server.requests[0].body
    assert (body["temperature"], body["top_p"]) == (0.7, 0.9)
    assert 50 in (body.get("max_tokens"), body.get("max_completion_tokens"))


def test_a_saved_program_brings_its_lm_along_without_keys(mixed: OpenAIServer, tmp_path: Any) -> None:
    solve = solver()
    before = BestOfNLM(model(mixed), n=3, select="weighted_vote", top_p=0.9)
    solve.set_lm(before)
    file = tmp_path / "program.json"
    solve.save(file)
    assert "sk-secret" not in file.read_text()
    again = solver()
    again.load(file, allow_unsafe_lm_state=True)
    lm = again.get_lm()
    assert isinstance(lm, BestOfNLM)
    assert (lm.config, lm.model, lm.cache) == (before.config, before.model, before.cache)
    assert (lm.kwargs["temperature"], lm.kwargs["top_p"]) == (1.0, 0.9)
    for setting in ({"scorer": Recorder()}, {"answer": lambda trace: None}, {"stop": lambda result: True}):
        (name,) = setting
        with pytest.raises(ConfigurationError, match=f"{name} object cannot be saved"):
            BestOfNLM(model(mixed), **setting).dump_state()  # type: ignore[arg-type]


def test_a_saved_program_keeps_how_it_chooses(mixed: OpenAIServer, tmp_path: Any) -> None:
    solve, strong = solver(), model(mixed, temperature=0.1)
    before = BestOfNLM(
        model(mixed), answer="text", stop=0.9, min_confidence=0.7, escalate=strong, deadline=5.0, scorer=None
    )
    solve.set_lm(before)
    file = tmp_path / "program.json"
    solve.save(file)
    assert "sk-secret" not in file.read_text()
    again = solver()
    again.load(file, allow_unsafe_lm_state=True)
    lm = again.get_lm()
    names = ("n", "scorer", "select", "answer", "stop", "min_confidence", "deadline", "max_concurrency")
    assert [getattr(lm.config, name) for name in names] == [getattr(before.config, name) for name in names]
    stronger = lm.config.escalation
    assert (stronger.n, stronger.below, stronger.model.kwargs["temperature"]) == (1, 0.7, 0.1)
    assert lm.model == before.model


def test_settings_that_change_the_choice_change_the_key_in_a_cache(mixed: OpenAIServer) -> None:
    def named(trace: Any) -> None: ...

    settings: list[dict[str, Any]] = [
        {}, {"n": 3}, {"scorer": None}, {"select": "vote"}, {"answer": "json"}, {"answer": named}, {"stop": "sure"},
        {"min_confidence": 0.5}, {"escalate": model(mixed)}, {"deadline": 9.0},
    ]  # fmt: skip
    assert len({BestOfNLM(model(mixed), **one).model for one in settings}) == len(settings)


def test_texts_that_end_an_answer_go_to_the_lm() -> None:
    with OpenAIServer(said(GOOD, 156)) as server:
        BestOfNLM(model(server), n=1, stop=["END"])(Q)
        BestOfNLM(model(server), n=1, stop="sure")(Q, stop=["OVER"])
        assert [request.body["stop"] for request in server.requests] == [["END"], ["OVER"]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BestOfNLM("openai/gpt-4o-mini"), "lm must be a DSPy LM"),
        (lambda: BestOfNLM(dspy.LM("openai/a"), escalate="openai/b"), "escalate must be a DSPy LM"),
        (lambda: BestOfNLM(dspy.LM("openai/gpt-4o-mini"), n=0), "at least 1"),
        (lambda: BestOfNLM(dspy.LM("openai/gpt-4o-mini"), api_key="sk-x"), "api_key: pass what opens"),
    ],
)
def test_bad_settings_say_what_to_do(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_without_dspy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dspy", "dspy.module", "dspy.engine", "dspy.messages"):
        monkeypatch.delitem(sys.modules, f"me2sdk.adapters.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "dspy", None)
    with pytest.raises(ImportError, match=r'Run: pip install "me2sdk\[dspy\]"'):
        importlib.import_module("me2sdk.adapters.dspy")
