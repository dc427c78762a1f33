"""`RemoteTRMScorer` against real HTTP servers."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from support.scoring_server import ScoringServer

from me2sdk import Trace
from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.scorers import RemoteTRMScorer
from me2sdk.scorers.remote import scorer as remote

APIS: list[remote.Api] = ["sglang", "vllm", "tei"]
TRACES = [f"step {i} " * (i + 1) for i in range(10)]
KEY = "sk-very-secret"


def logits(texts: list[str]) -> list[float]:
    return [len(text) / 7 - 3 for text in texts]


EXPECTED = logits([f"Q\n{trace.strip()}" for trace in TRACES])

Start = Callable[..., ScoringServer]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr(remote, "_ROUND_PAUSE", 0.0)
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(ScoringServer(**{"score": logits, **options}))


def dead_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_scores_are_raw_and_in_order(start: Start, api: remote.Api, suffix: str) -> None:
    server = start(fault="reversed" if api != "tei" else None)
    with RemoteTRMScorer(server.url + suffix, api=api, batch_size=3) as scorer:
        scores = scorer.score("Q", TRACES)
    assert scores == pytest.approx(EXPECTED)
    assert scores.truncated == [0] * 10
    assert len(server.requests) == 4


@pytest.mark.parametrize("api", APIS)
async def test_both_twins_agree(start: Start, api: remote.Api) -> None:
    async with RemoteTRMScorer(start().url, api=api) as scorer:
        found = await scorer.ascore("Q", TRACES)
        with scorer:  # the synchronous twin runs on a loop of its own, with connections of its own
            assert scorer.score("Q", TRACES) == found


def test_one_scorer_serves_several_event_loops(start: Start) -> None:
    scorer = RemoteTRMScorer(start().url, max_concurrency=1, batch_size=2)

    async def once() -> list[float]:
        async with scorer:
            return await scorer.ascore("Q", TRACES)

    assert [asyncio.run(once()) for _ in range(3)] == [pytest.approx(EXPECTED)] * 3


def test_requests_carry_what_each_server_needs(start: Start) -> None:
    server = start()
    calls: list[tuple[remote.Api, str | None]] = [
        ("sglang", None),
        ("sglang", "trm"),
        ("vllm", None),
        ("vllm", "trm"),
        ("tei", "trm"),
    ]
    for api, model in calls:
        with RemoteTRMScorer(server.url, api=api, model=model) as scorer:
            scorer.score("Q", ["a"])
    assert server.requests == [
        ("/v1/embeddings", {"model": "default", "input": ["Q\na"]}),
        ("/v1/embeddings", {"model": "trm", "input": ["Q\na"]}),
        ("/classify", {"input": ["Q\na"], "use_activation": False}),
        ("/classify", {"model": "trm", "input": ["Q\na"], "use_activation": False}),
        ("/predict", {"inputs": [["Q\na"]], "raw_scores": True, "truncate": False}),
    ]


def test_no_traces_need_no_server() -> None:
    assert RemoteTRMScorer(dead_url()).score("Q", []) == []


def test_an_empty_trace_is_refused_before_anything_is_sent(start: Start) -> None:
    server = start()
    with RemoteTRMScorer(server.url) as scorer, pytest.raises(InvalidTraceError, match="Trace 1 "):
        scorer.score("Q", ["a", "</think>"])
    assert server.requests == []


def test_no_more_requests_than_allowed_and_as_many_as_allowed(start: Start) -> None:
    # The barrier lets no request through before three are in work, so fewer would fail.
    server = start(barrier=threading.Barrier(3))

    async def score() -> list[list[float]]:
        async with RemoteTRMScorer(server.url, max_concurrency=3, batch_size=2) as scorer:
            return await asyncio.gather(*[scorer.ascore("Q", TRACES[:6]) for _ in range(3)])

    assert asyncio.run(score()) == [pytest.approx(EXPECTED[:6])] * 3
    assert server.peak == 3


def test_batches_go_round_robin(start: Start) -> None:
    servers = [start(), start()]
    with RemoteTRMScorer([server.url for server in servers], batch_size=1, max_concurrency=1) as scorer:
        scorer.score("Q", TRACES)
    assert [len(server.requests) for server in servers] == [5, 5]


@pytest.mark.parametrize("fault", ["500", "503", "429", "cut"])
def test_a_failing_replica_is_put_aside(
    start: Start, fault: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = start(fault=fault), start()
    with RemoteTRMScorer([bad.url, good.url], batch_size=1, max_concurrency=1, api_key=KEY) as scorer:
        with caplog.at_level(logging.WARNING):
            assert scorer.score("Q", TRACES) == pytest.approx(EXPECTED)
        assert (len(bad.requests), len(good.requests)) == (1, 10)
        assert bad.url in caplog.text
        assert KEY not in caplog.text
        # Its time aside is over, and it works again.
        bad.fault = None
        later = time.monotonic() + remote._ASIDE + 1
        monkeypatch.setattr(time, "monotonic", lambda: later)
        scorer.score("Q", TRACES)
    assert (len(bad.requests), len(good.requests)) == (6, 15)


def test_a_dead_and_a_hanging_replica_are_survived(start: Start) -> None:
    hanging, good = start(fault="hang"), start()
    with RemoteTRMScorer([dead_url(), hanging.url, good.url], timeout=0.2, batch_size=16) as scorer:
        assert scorer.score("Q", TRACES) == pytest.approx(EXPECTED)


def test_a_hiccup_of_the_only_server_is_survived(start: Start) -> None:
    server = start(fault="cut", times=1)
    with RemoteTRMScorer(server.url) as scorer:
        assert scorer.score("Q", TRACES) == pytest.approx(EXPECTED)
    assert len(server.requests) == 2


def test_when_all_fail_each_is_named_with_its_reason(start: Start) -> None:
    dead, broken, hanging = dead_url(), start(fault="500"), start(fault="hang")
    with (
        RemoteTRMScorer([dead, broken.url, hanging.url], timeout=0.2, api_key=KEY) as scorer,
        pytest.raises(ScoringError) as caught,
    ):
        scorer.score("Q", TRACES)
    message = str(caught.value)
    assert all(url in message for url in (dead, broken.url, hanging.url))
    assert "ConnectError" in message
    assert "HTTP 500" in message
    assert "no answer within 0.2 s" in message
    assert KEY not in message
    assert len(broken.requests) == 2


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("short", "9 scores for 10 texts"),
        ("nan", "no finite number"),
        ("null", "no finite number"),
        ("embedding", "3 numbers instead of one"),
        ("html", "not of the expected form"),
    ],
)
@pytest.mark.parametrize("api", APIS)
def test_an_unusable_answer_is_an_error_at_once(start: Start, api: remote.Api, fault: str, says: str) -> None:
    server, other = start(fault=fault), start()
    with (
        RemoteTRMScorer([server.url, other.url], api=api) as scorer,
        pytest.raises(ScoringError, match=says) as caught,
    ):
        scorer.score("Q", TRACES)
    assert server.url in str(caught.value)
    assert (len(server.requests), len(other.requests)) == (1, 0)


def test_an_embedding_model_is_told_apart(start: Start) -> None:
    with (
        RemoteTRMScorer(start(fault="embedding").url) as scorer,
        pytest.raises(ScoringError, match=r"embedding model.*--is-embedding"),
    ):
        scorer.score("Q", TRACES)


@pytest.mark.parametrize("api", ["sglang", "vllm"])
def test_wrong_indices_are_refused(start: Start, api: remote.Api) -> None:
    with (
        RemoteTRMScorer(start(fault="bad-index").url, api=api) as scorer,
        pytest.raises(ScoringError, match="not of the expected form"),
    ):
        scorer.score("Q", TRACES)


def test_a_refusal_is_not_repeated_and_gives_the_servers_words(start: Start) -> None:
    server, other = start(fault="too-long"), start()
    with (
        RemoteTRMScorer([server.url, other.url], batch_size=4, max_concurrency=1) as scorer,
        pytest.raises(ScoringError, match=r"traces 0 to 3: .*HTTP 400 .*9000 tokens.*longer than"),
    ):
        scorer.score("Q", TRACES)
    assert len(server.requests) == 1


def test_the_key_is_sent_and_never_shown(start: Start) -> None:
    server = start(api_key=KEY)
    with RemoteTRMScorer(server.url, api_key=KEY) as scorer:
        assert scorer.score("Q", TRACES) == pytest.approx(EXPECTED)
        assert KEY not in repr(scorer)
        server.api_key = "another"
        with pytest.raises(ScoringError, match=r"HTTP 401.*Bearer \*\*\*.*api_key") as caught:
            scorer.score("Q", TRACES)
    assert KEY not in str(caught.value)


def test_a_password_in_the_address_is_never_shown(start: Start) -> None:
    server = start(fault="500")
    with RemoteTRMScorer(server.url.replace("//", "//me:hunter2@")) as scorer:
        with pytest.raises(ScoringError) as caught:
            scorer.score("Q", TRACES)
        assert server.url in str(caught.value)
        assert "hunter2" not in str(caught.value) + repr(scorer) + scorer.name


def test_the_wrong_kind_of_server_is_named(start: Start) -> None:
    server = start()
    with (
        RemoteTRMScorer(server.url + "/prefix", api="tei") as scorer,
        pytest.raises(ScoringError, match=r"HTTP 404.*api="),
    ):
        scorer.score("Q", TRACES)


async def test_cancelling_stops_what_is_in_flight(start: Start) -> None:
    server = start(fault="hang")
    async with RemoteTRMScorer(server.url) as scorer:
        task = asyncio.create_task(scorer.ascore("Q", TRACES))
        await asyncio.to_thread(server.arrived.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.fault = None
        assert await scorer.ascore("Q", TRACES) == pytest.approx(EXPECTED)


@pytest.mark.parametrize("api", APIS)
def test_check_passes_where_scores_agree(start: Start, api: remote.Api) -> None:
    with RemoteTRMScorer(start().url, api=api) as scorer:
        assert scorer.check("Q", TRACES, EXPECTED) == pytest.approx(EXPECTED)
        assert scorer.check("Q", TRACES, [value + 0.4 for value in EXPECTED], tolerance=0.5)


@pytest.mark.parametrize("api", APIS)
def test_check_finds_an_activation(start: Start, api: remote.Api) -> None:
    with (
        RemoteTRMScorer(start(fault="activated").url, api=api) as scorer,
        pytest.raises(ScoringError, match="applies an activation"),
    ):
        scorer.check("Q", TRACES, EXPECTED)


def test_check_shows_the_differences(start: Start) -> None:
    with RemoteTRMScorer(start().url) as scorer, pytest.raises(ScoringError) as caught:
        scorer.check("Q", TRACES[:2], [EXPECTED[0], EXPECTED[1] + 1])
    lines = str(caught.value).splitlines()
    assert lines[1].split() == ["trace", "expected", "server", "difference"]
    assert lines[3].split() == ["1", f"{EXPECTED[1] + 1:.4f}", f"{EXPECTED[1]:.4f}", "-1.0000"]
    assert "activation" not in lines[0]


def test_check_needs_one_expected_score_a_trace() -> None:
    with pytest.raises(ConfigurationError, match="1 expected scores for 10 traces"):
        RemoteTRMScorer(dead_url()).check("Q", TRACES, [1.0])


class Here:
    """The server's model on this machine."""

    name = "here"

    def __init__(self, sign: float = 1.0) -> None:
        self.sign = sign

    def score(self, question: Any, traces: Sequence[Any]) -> list[float]:
        parts = zip(question, traces, strict=True)
        return [
            self.sign * score
            for score in logits(
                [f"{asked}\n{Trace.from_text(trace).reasoning.strip()}" for asked, trace in parts]
            )
        ]


def test_a_server_like_its_reference_scores_after_one_comparison(start: Start) -> None:
    server = start()
    with RemoteTRMScorer(server.url, reference=Here()) as scorer:
        assert scorer.score("Q", TRACES) == pytest.approx(EXPECTED)
        assert len(server.requests) == 2
        scorer.score("Q", TRACES)
    assert len(server.requests) == 3


def test_a_server_unlike_its_reference_never_scores(start: Start) -> None:
    server = start()
    with RemoteTRMScorer(server.url, reference=Here(-1.0)) as scorer:
        for _ in range(2):
            with pytest.raises(ScoringError, match=r"here and .* different"):
                scorer.score("Q", TRACES)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ("localhost:30000", {}),
        ("ftp://host", {}),
        ("http://", {}),
        ("http://host:99999", {}),
        ("http://host/?key=1", {}),
        ([], {}),
        ([None], {}),
        ("http://host", {"api": "openai"}),
        ("http://host", {"timeout": 0}),
        ("http://host", {"max_concurrency": 0}),
        ("http://host", {"batch_size": 0}),
        ("http://host", {"api_key": f"{KEY}\n"}),
        ("http://host", {"api_key": f"{KEY}é"}),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: object, options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RemoteTRMScorer(arguments, **options)  # type: ignore[arg-type]
    assert KEY not in str(caught.value)


def test_the_name_says_what_scored() -> None:
    assert RemoteTRMScorer("http://host:1/v1", model="trm").name == "trm"
    assert RemoteTRMScorer("http://host:1/v1").name == "http://host:1"
