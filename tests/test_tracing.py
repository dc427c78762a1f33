from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import timeit
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from me2sdk import _tracing, arerank, best_of_n, parse_dag, rerank
from me2sdk._tracing import NOTHING, CandidateSpans, span, traced


class Recorder:
    """A tracer that keeps a diary."""

    def __init__(self, *broken: str) -> None:
        self.diary: list[tuple[Any, ...]] = []
        self.broken = broken

    def write(self, *entry: Any) -> None:
        self.diary.append(entry)
        if entry[0] in self.broken:
            raise RuntimeError("the tracer's own fault")

    def start(self, kind: str, name: str, facts: Mapping[str, Any]) -> One:
        self.write("start", kind, name, dict(facts))
        return One(self, kind)

    def of(self, what: str) -> list[tuple[Any, ...]]:
        return [entry[1:] for entry in self.diary if entry[0] == what]


class One:
    def __init__(self, recorder: Recorder, kind: str) -> None:
        self.recorder, self.kind = recorder, kind

    def enter(self) -> None:
        self.recorder.write("enter", self.kind)

    def leave(self) -> None:
        self.recorder.write("leave", self.kind)

    def record(self, facts: Mapping[str, Any]) -> None:
        self.recorder.write("record", self.kind, dict(facts))

    def end(self, error: BaseException | None) -> None:
        self.recorder.write("end", self.kind, error)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    tracer = Recorder()
    _tracing.add(tracer)
    yield tracer
    _tracing.remove(tracer)


def test_where_nobody_listens_a_span_is_nothing_and_costs_next_to_nothing() -> None:
    assert span("call", "model", messages=[], params={}) is NOTHING
    assert CandidateSpans().start(0) is NOTHING

    def once() -> None:
        with span("call", "model", messages=None, params=None, provider=None) as watched:
            watched.record(answer=None, attempts=1, seconds=0.0)

    seconds = min(timeit.repeat(once, number=2000, repeat=20)) / 2000
    assert seconds < 5e-6  # about 0.6 µs on a busy core; the bound is for slower ones


def test_no_framework_is_imported_for_it() -> None:
    code = (
        "import sys, me2sdk; me2sdk.rerank('1 + 1?', ['2', '3']); me2sdk.parse_dag('One.'); "
        "print(sorted(name for name in sys.modules if name.startswith(('opentelemetry', 'mlflow'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_verb_tells_its_arguments_and_its_result(recorder: Recorder) -> None:
    result = rerank("12 * 13?", ["12 * 13 = 156.", "12 * 13 = 150."], select="best")
    (kind, name, facts) = recorder.of("start")[0]
    assert (kind, name) == ("verb", "rerank")
    assert facts["question"] == "12 * 13?"
    assert (facts["scorer"], facts["select"]) == ("mini", "best")  # defaults too
    assert ("verb", {"result": result}) in recorder.of("record")
    assert recorder.diary[-1] == ("end", "verb", None)
    assert len(recorder.of("end")) == len(recorder.of("start"))


def test_the_error_that_ends_a_verb_is_told(recorder: Recorder) -> None:
    with pytest.raises(ValueError, match="at least one") as caught:
        rerank("?", [])
    assert recorder.of("end") == [("verb", caught.value)]


def test_decorated_verbs_keep_their_signature() -> None:
    assert "scorer" in inspect.signature(arerank).parameters
    assert inspect.iscoroutinefunction(arerank)
    assert arerank.__doc__


@pytest.mark.parametrize("moment", ["start", "enter", "leave", "record", "end"])
def test_a_tracer_that_fails_costs_nothing(moment: str, caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Recorder(moment), Recorder()
    _tracing.add(broken)
    _tracing.add(sound)
    try:
        result = best_of_n("12 * 13?", model=lambda messages, **params: "12 * 13 = 156.", n=2)
    finally:
        _tracing.remove(broken)
        _tracing.remove(sound)
    assert len(result.candidates) == 2
    assert "A tracer failed" in caplog.text
    assert len(sound.of("end")) == len(sound.of("start"))
    assert [kind for kind, *_ in sound.of("start")].count("candidate") == 2


def test_a_tracer_that_was_removed_hears_the_end_of_what_it_saw_begin(recorder: Recorder) -> None:
    with span("verb", "one"):
        _tracing.remove(recorder)
        assert span("verb", "two") is NOTHING
    assert recorder.of("end") == [("verb", None)]


def test_adding_a_tracer_twice_does_not_double_it(recorder: Recorder) -> None:
    _tracing.add(recorder)
    parse_dag("First one.\n\nSo two.")
    assert len(recorder.of("start")) == 1


def test_a_kept_span_ends_once_and_is_told_nothing_after_that(recorder: Recorder) -> None:
    one = span("candidate", "candidate").detach()
    with one:
        pass
    assert recorder.of("end") == []
    one.record(a=1)
    one.end()
    one.end(ValueError())
    one.record(b=2)
    assert recorder.of("record") == [("candidate", {"a": 1})]
    assert recorder.of("end") == [("candidate", None)]


def test_a_kept_span_ends_with_an_error(recorder: Recorder) -> None:
    error = ValueError("no")
    with pytest.raises(ValueError, match="no"), span("candidate", "candidate").detach():
        raise error
    assert recorder.of("end") == [("candidate", error)]


def test_candidates_that_nobody_ended_end_with_them(recorder: Recorder) -> None:
    with CandidateSpans() as candidates:
        candidates.start(0)
        candidates.start(1)
        candidates.end(1, scorer="mini")
        candidates.end(2, failure=None)  # one that was never started
    assert [facts["index"] for _, _, facts in recorder.of("start")] == [0, 1, 2]
    assert len(recorder.of("end")) == 3


async def test_a_decorated_function_that_is_cancelled_says_so(recorder: Recorder) -> None:
    started = asyncio.Event()

    @traced("wait")
    async def wait(question: str, *, n: int = 3, **params: Any) -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(wait("?", temperature=1))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.of("start") == [
        ("verb", "wait", {"question": "?", "n": 3, "params": {"temperature": 1}}),
    ]
    ((_, error),) = recorder.of("end")
    assert isinstance(error, asyncio.CancelledError)
