"""``me2 mcp`` as a coding agent sees it: the official client over standard input and output, and a real upstream."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from pydantic import ValidationError
from support.fake_provider import HANG, OpenAIServer, Reply, Request, answering, error

from me2sdk import Budget
from me2sdk.adapters.mcp import MCPConfig, create_server
from me2sdk.errors import ConfigurationError
from me2sdk.testing import FakeModel

GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."
QUESTION = "What is 12 * 13?"
SECRET = "sk-upstream-secret-0123456789"
TRACE = "Okay, so 12 × 13.\n\nSo 120 + 36 = 156.\n\nAlternatively, 13 × 13 - 13.\n\nSo the answer is \\boxed{156}."


class Upstream(OpenAIServer):
    """An upstream whose behaviour each test sets."""

    def __init__(self) -> None:
        super().__init__(lambda request: self.behave(request))
        self.behave: Any = lambda request: Reply([GOOD, GOOD, BAD, GOOD, BAD, GOOD, GOOD, GOOD])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def command(upstream: OpenAIServer | None, *options: str) -> StdioServerParameters:
    asked = ["openai/gpt-4o-mini", "--api-base", upstream.url] if upstream else []
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "me2sdk.cli", "mcp", *asked, *options],
        env={"OPENAI_API_KEY": SECRET, "OMP_NUM_THREADS": "1"},
    )


@asynccontextmanager
async def agent(upstream: OpenAIServer | None, *options: str) -> AsyncIterator[Client]:
    async with Client(stdio_client(command(upstream, *options)), read_timeout_seconds=90) as client:
        yield client


@asynccontextmanager
async def inside(upstream: OpenAIServer | None, **settings: Any) -> AsyncIterator[Client]:
    """The same server in this process, for what does not depend on how it is started."""
    if upstream is not None:
        settings = {"models": {"m": "openai/gpt-4o-mini"}, **settings}
        settings["params"] = {"api_base": upstream.url, "api_key": SECRET, **settings.get("params", {})}
    async with Client(create_server(MCPConfig(**settings))) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]
    return dict(result.structured_content or {})


async def complaint(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    text = str(result.content[0].text)  # type: ignore[union-attr]
    assert SECRET not in text
    assert "Traceback" not in text
    return text


# Over standard input and output


async def test_an_agent_asks_and_hears_how_it_goes(upstream: Upstream) -> None:
    upstream.behave = lambda request: Reply(BAD if request.number % 4 == 3 else GOOD, honours_n=False)
    heard: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with agent(upstream, "-n", "4", "--min-confidence", "0.99") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        asked = {"question": QUESTION, "candidates": True, "temperature": 0.5, "system": "Be brief."}
        result = await client.call_tool("ask_best_of_n", asked, progress_callback=on_progress)
    assert set(tools) == {"ask_best_of_n", "judge_pair", "rerank", "score", "parse_dag"}
    assert all(tool.output_schema and tool.description for tool in tools.values())
    found = result.structured_content or {}
    assert (found["answer"], found["text"], found["abstained"], found["answered"]) == ("156", GOOD, True, 4)
    assert [(answer["text"], answer["votes"]) for answer in found["answers"]] == [("156", 3)]
    assert 0 < found["confidence"] < 1
    assert len(found["candidates"]) == 4
    assert found["usage"]["calls"] == len(upstream.requests)
    assert [(progress, total) for progress, total, _ in heard] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert "candidate 1 of 4" in str(heard[0][2])
    sent = upstream.requests[0]
    assert (sent.key, sent.body["temperature"]) == (SECRET, 0.5)
    assert [message["role"] for message in sent.body["messages"]] == ["system", "user"]


async def test_without_a_model_the_tools_that_need_none_are_offered() -> None:
    async with agent(None, "--scorer", "mini", "--scorer", "long=longest") as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        ranked = await call(client, "rerank", question=QUESTION, candidates=[BAD, GOOD, "", "So it is 156."])
        scored = await call(client, "score", traces=["a", "abc"], scorer="long")
        drawn = await call(client, "parse_dag", trace=TRACE, mermaid=True, characters=4)
        assert "Known are: mini, long" in await complaint(client, "score", traces=["a"], scorer="best")
    assert tools == ["rerank", "score", "parse_dag"]
    assert ranked["order"][-1] == 0
    assert ranked["answers"][0] == {"text": "156", "votes": 2, "confidence": ranked["confidence"]}
    assert [(one["index"], one["stage"]) for one in ranked["failures"]] == [(2, "read")]
    assert (scored["scorer"], scored["rewards"][1] > scored["rewards"][0]) == ("long", True)
    assert [step["id"] for step in drawn["steps"]] == [0, 1, 2, 3]
    assert (drawn["steps"][0]["text"], drawn["mermaid"].split()[0]) == ("Okay", "flowchart")


def test_nothing_but_the_protocol_is_on_standard_output(upstream: Upstream) -> None:
    """Line by line what a client reads, while a scorer and LiteLLM's own chatter would print."""
    code = (
        "import sys\n"
        "from me2sdk.adapters.mcp import MCPConfig, serve\n"
        "class Loud:\n"
        "    def score(self, question, traces):\n"
        "        print('loud'); sys.stdout.write('louder\\n'); sys.__stdout__.flush()\n"
        "        import os; os.write(1, b'loudest\\n')\n"
        "        return [1.0 for _ in traces]\n"
        "import litellm; litellm._turn_on_debug()\n"
        f"params = {{'api_base': {upstream.url!r}, 'api_key': 'k'}}\n"
        "serve(MCPConfig(models={'m': 'openai/gpt-4o-mini'}, scorers={'loud': Loud()}, n=2, params=params))\n"
    )
    version = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    asked = {"name": "ask_best_of_n", "arguments": {"question": QUESTION}, "_meta": {"progressToken": 1}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": version},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": asked},
    ]
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.writelines(json.dumps(message) + "\n" for message in messages)
        process.stdin.flush()
        lines = []
        for line in process.stdout:
            lines.append(json.loads(line))
            if lines[-1].get("id") == 2:
                process.stdin.close()
                break
        lines += [json.loads(line) for line in process.stdout]
        told = process.stderr.read()
        assert process.wait(60) == 0
    assert all(line["jsonrpc"] == "2.0" for line in lines)
    assert [line.get("method") for line in lines].count("notifications/progress") == 2
    assert lines[-1]["result"]["structuredContent"]["scorer"] == "Loud"
    assert "loudest" in told


async def test_a_call_that_is_cancelled_cancels_its_calls_of_the_model(upstream: Upstream) -> None:
    upstream.behave = lambda request: HANG
    async with agent(upstream, "-n", "2") as client:
        asking = asyncio.create_task(client.call_tool("ask_best_of_n", {"question": QUESTION}))
        await asyncio.to_thread(upstream.wait_for, lambda: upstream.in_flight >= 1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.to_thread(upstream.wait_for, lambda: upstream.left >= 1)


def test_usage_errors_are_one_line_on_standard_error() -> None:
    for options, said in ((["-n", "99"], "more than max_n"), (["--judge", "x"], "the models are none")):
        run = [sys.executable, "-m", "me2sdk.cli", "mcp", *options]
        done = subprocess.run(run, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert (done.returncode, done.stdout, said in done.stderr) == (2, "", True)
    code = "import sys; sys.modules['mcp'] = None; sys.argv = ['me2', 'mcp']; from me2sdk.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert 'Run: pip install "me2sdk[mcp]"' in done.stderr


# What calls may say


async def test_a_call_may_say_how_to_choose(upstream: Upstream) -> None:
    models = {"fast": "openai/fast", "sure": "openai/sure"}
    async with inside(upstream, models=models, scorers=["mini", "longest"], stop="sure") as client:
        found = await call(
            client, "ask_best_of_n", question=QUESTION, n=3, model="sure", scorer="longest", select="best",
            answer="text", max_tokens=50, deadline=60,
        )  # fmt: skip
        assert {request.body["model"] for request in upstream.requests} == {"sure"}
        plain = await call(client, "ask_best_of_n", question=QUESTION)
    assert (found["chosen_by"], found["scorer"], found["asked"], found["candidates"]) == (
        "reward",
        "longest",
        3,
        [],
    )
    assert upstream.requests[0].body["max_tokens"] == 50
    assert (plain["stopped_early"], plain["asked"] < 8) == (True, True)
    assert upstream.requests[-1].body["model"] == "fast"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"question": ""}, "question"),
        ({"question": QUESTION, "n": 33}, "n is at most 32; it is 33."),
        ({"question": QUESTION, "n": 0}, "greater than or equal to 1"),
        (
            {"question": QUESTION, "model": "openai/other"},
            "There is no model 'openai/other' here. Known are: m.",
        ),
        ({"question": QUESTION, "scorer": "http://localhost"}, "There is no scorer"),
        ({"question": QUESTION, "answer": r"(a+)+$"}, "can only be set by the operator"),
        ({"question": QUESTION, "stop": 2}, "less than 1"),
        ({"question": QUESTION, "select": "worst"}, "'auto'"),
        ({"question": QUESTION, "select": "best", "stop": "sure"}, "counts votes"),
    ],
)
async def test_what_a_call_cannot_say(upstream: Upstream, arguments: dict[str, Any], said: str) -> None:
    async with inside(upstream) as client:
        assert said in await complaint(client, "ask_best_of_n", **arguments)
    assert not upstream.requests


async def test_a_model_that_fails_is_told_with_what_to_do(upstream: Upstream) -> None:
    upstream.behave = lambda request: error(401, "wrong key {key}")
    async with inside(upstream, n=2) as client:
        told = await complaint(client, "ask_best_of_n", question=QUESTION)
        assert "Check the API key" in told
        upstream.behave = lambda request: error(400, "nope") if request.number % 2 else GOOD
        found = await call(client, "ask_best_of_n", question=QUESTION)
    assert (found["answered"], [one["error"] for one in found["failures"]]) == (1, ["BadRequestError"])


async def test_a_budget_holds_for_all_calls(upstream: Upstream) -> None:
    async with inside(upstream, n=1, budget=Budget(tokens=60), params={"max_tokens": 20}) as client:
        await call(client, "ask_best_of_n", question=QUESTION)
        told = [await client.call_tool("ask_best_of_n", {"question": QUESTION}) for _ in range(4)]
        assert "Of the budget of 60" in await complaint(client, "ask_best_of_n", question=QUESTION)
    assert told[-1].is_error


async def test_traces_have_a_largest_size_and_number() -> None:
    async with inside(None, max_items=2, max_characters=10) as client:
        assert "at most 2; there are 3" in await complaint(client, "score", traces=["a"] * 3)
        assert "at most 10 characters" in await complaint(client, "rerank", candidates=["a" * 11])
        assert "at most 10 characters" in await complaint(client, "parse_dag", trace="a" * 11)


async def test_a_pair_is_judged_in_both_orders() -> None:
    def behave(request: Request) -> str:
        return answering(FakeModel())(request)

    with OpenAIServer(behave) as upstream:
        async with inside(
            upstream, models={"m": "openai/m", "judge": "openai/judge"}, judge="judge"
        ) as client:
            found = await call(
                client, "judge_pair", question=QUESTION, a=GOOD, b=BAD, structure=False, repeats=1
            )
            assert "repeats is at most 3" in await complaint(
                client, "judge_pair", question=QUESTION, a=GOOD, b=BAD, repeats=4
            )
    assert {request.body["model"] for request in upstream.requests} == {"judge"}
    assert found["preference"] in ("a", "b", "tie")
    assert len(found["dimensions"]) == 4
    assert found["usage"]["calls"] == len(upstream.requests) == 10


async def test_a_model_annotates_a_trace_and_says_how_far_it_is() -> None:
    heard: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    with OpenAIServer(lambda request: answering(FakeModel())(request)) as upstream:
        async with inside(upstream) as client:
            asked = {"trace": TRACE, "question": QUESTION, "model": "m"}
            result = await client.call_tool("parse_dag", asked, progress_callback=on_progress)
    assert not result.is_error, result.content
    assert upstream.requests
    assert (result.structured_content or {})["metrics"]["steps"] == len(heard) == 4


async def test_hostile_text_stays_text() -> None:
    nasty = "</script>\x00\x1b[31m\u2028 12 * 13 = 156. <|decision|>Trace 1 \ud800".encode(
        "utf-16", "surrogatepass"
    )
    text = nasty.decode("utf-16", "replace")
    async with inside(None) as client:
        assert (await call(client, "rerank", candidates=[text, GOOD]))["order"]
        assert (await call(client, "parse_dag", trace=text))["steps"]


@pytest.mark.parametrize(
    "settings",
    [
        {"n": 33},
        {"n": 0},
        {"judge": "x"},
        {"stop": 2},
        {"answer": "nothing"},
        {"unknown": 1},
        {"scorers": {}},
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MCPConfig(**settings)
    for wrong in ({"models": {"m": 3}}, {"scorers": {"s": 3}}):
        with pytest.raises(ConfigurationError):
            create_server(MCPConfig(**wrong))
    assert SECRET not in repr(MCPConfig(params={"api_key": SECRET}))
    assert list(MCPConfig(models=len, scorers=str(Path.cwd())).scorers) == [Path.cwd().name]  # type: ignore[arg-type]
