from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from me2sdk.errors import ConfigurationError
from me2sdk.llm.cache import ResponseCache, key, request_text

CHAT = [{"role": "user", "content": "x"}]
RECORD = {"message": {"role": "assistant", "content": "ü \ud83d\ude00"}, "finish_reason": "stop"}


def text(**params: Any) -> str:
    return request_text("openai/x", CHAT, params)


async def test_round_trip_in_a_private_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    cache = ResponseCache(folder, 2**30)
    assert await cache.get("a") is None
    await cache.put("a", RECORD)
    found = await cache.get("a")
    assert found is not None
    assert found["finish_reason"] == "stop"
    again = await ResponseCache(folder, 2**30).get("a")
    assert again == found
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("where", ["value", "file", "key"])
async def test_a_planted_pickle_is_a_miss_and_does_not_run(tmp_path: Path, where: str) -> None:
    ran = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(ran),)

    folder = tmp_path / "cache"
    cache = ResponseCache(folder, 2**30)
    await cache.put("k", RECORD)
    payload = pickle.dumps(Payload())
    (folder / "evil.val").write_bytes(payload)
    change = {
        "value": ("UPDATE Cache SET mode = 4, value = ?", (payload,)),
        "file": ("UPDATE Cache SET mode = 4, value = NULL, filename = 'evil.val'", ()),
        "key": ("UPDATE Cache SET raw = 0, key = ?", (payload,)),
    }[where]
    with contextlib.closing(sqlite3.connect(folder / "cache.db")) as rows:
        rows.execute(*change)
        rows.commit()
    assert await cache.get("k") is None
    with contextlib.suppress(OSError):
        list(cache._rows)  # reads the keys
    assert not ran.exists()
    await cache.put("k", RECORD)
    assert await cache.get("k") is not None
    # The payload itself works; it is the cache that refuses it.
    pickle.loads(payload)
    assert ran.exists()


@pytest.mark.parametrize(
    "value",
    ["not json", "[1]", '{"schema": 0, "message": {}}', '{"schema": 1, "message": "text"}', "[" * 100_000, 7],
)
async def test_rows_that_cannot_be_read_are_misses(tmp_path: Path, value: Any) -> None:
    cache = ResponseCache(tmp_path, 2**30)
    await cache.put("k", RECORD)
    with contextlib.closing(sqlite3.connect(tmp_path / "cache.db")) as rows:
        rows.execute("UPDATE Cache SET value = ?", (value,))
        rows.commit()
    assert await cache.get("k") is None


async def test_files_outside_are_not_read(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "cache", 2**30)
    (tmp_path / "secret").write_text('{"schema": 1, "message": {"content": "secret"}}')
    await cache.put("k", RECORD)
    with contextlib.closing(sqlite3.connect(tmp_path / "cache" / "cache.db")) as rows:
        rows.execute("UPDATE Cache SET mode = 3, value = NULL, filename = '../secret'")
        rows.commit()
    assert await cache.get("k") is None


async def test_the_size_limit_holds(tmp_path: Path) -> None:
    limit = 500_000
    cache = ResponseCache(tmp_path, limit)
    for i in range(200):
        await cache.put(key("q", i), {"message": {"content": "x" * 10_000}})
    assert cache._rows.volume() <= limit + 200_000
    assert await cache.get(key("q", 199)) is not None
    assert await cache.get(key("q", 0)) is None


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="Choose another folder"):
        ResponseCache(tmp_path / "file", 2**30)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "cache.db").write_text(
        "this is no database, and long enough to be seen as such" * 99
    )
    with pytest.raises(ConfigurationError, match="cannot be used"):
        ResponseCache(tmp_path / "broken", 2**30)


async def test_a_cache_that_breaks_costs_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = ResponseCache(tmp_path, 2**30)
    with contextlib.closing(sqlite3.connect(tmp_path / "cache.db")) as rows:
        rows.execute("DROP TABLE Cache")
        rows.commit()
    with caplog.at_level(logging.WARNING, "me2sdk.llm"):
        await cache.put("k", RECORD)
        assert await cache.get("k") is None
    assert len(caplog.records) == 2


def test_it_ends_its_thread_when_it_goes(tmp_path: Path) -> None:
    async def use() -> None:
        cache = ResponseCache(tmp_path, 2**30)
        await cache.put("k", RECORD)
        assert any(thread.name == "me2sdk-cache" for thread in threading.enumerate())

    before = set(threading.enumerate())
    asyncio.run(use())
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        if thread.name == "me2sdk-cache":
            thread.join(10)
            assert not thread.is_alive()


def test_several_processes(tmp_path: Path) -> None:
    ResponseCache(tmp_path, 2**30)
    code = (
        "import asyncio, sys; from pathlib import Path; from me2sdk.llm.cache import ResponseCache, key\n"
        "async def main(folder, name):\n"
        "    cache = ResponseCache(Path(folder), 2**30)\n"
        "    for i in range(100):\n"
        "        await cache.put(key('shared', i), {'message': {'content': name}})\n"
        "        await cache.put(key(name, i), {'message': {'content': name}})\n"
        "asyncio.run(main(*sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    workers = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [worker.wait(60) for worker in workers] == [0, 0]

    async def count() -> int:
        cache = ResponseCache(tmp_path, 2**30)
        return sum([await cache.get(key(q, i)) is not None for q in ("shared", "a", "b") for i in range(100)])

    assert asyncio.run(count()) == 300


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_can_use_it(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, sys; from pathlib import Path; from me2sdk.llm.cache import ResponseCache\n"
        "cache = ResponseCache(Path(sys.argv[1]), 2**30)\n"
        "record = {'message': {'content': 'x'}}\n"
        "asyncio.run(cache.put('parent', record))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    asyncio.run(cache.put('child', record))\n"
        "    os._exit(0 if asyncio.run(cache.get('parent')) else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert asyncio.run(cache.get('child'))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


def test_the_key_holds_what_changes_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)

    class Answer(BaseModel):
        number: int

    class Other(BaseModel):
        number: str

    variants = [
        text(),
        text(temperature=0.5),
        text(seed=1),
        text(extra_body={"min_p": 0.1}),
        text(extra_body={"min_p": 0.2}),
        text(api_base="http://a/v1"),
        text(base_url="http://a/v1"),
        text(api_base="http://b/v1"),
        text(api_base="http://b/v1", api_version="2"),
        text(organization="o"),
        text(stop_token="x"),
        text(extra_headers={"anthropic-beta": "1"}),
        text(response_format=Answer),
        text(response_format=Other),
        text(tools=[{"function": {"parameters": {"password": {"type": "string"}}}}]),
        text(tools=[{"function": {"parameters": {"password": {"type": "number"}}}}]),
        request_text("openai/y", CHAT, {}),
        request_text("openai/x", [{"role": "user", "content": "y"}], {}),
    ]
    monkeypatch.setenv("OPENAI_BASE_URL", "http://c/v1")
    variants.append(text())
    assert len(set(variants)) == len(variants)
    assert key("a", 1) != key("a", 2)
    assert len({key("1", 2), key("2", 1), key("12", 1)}) == 3


def test_the_key_holds_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    same = text(api_base="http://h/v1", a=1, b=2)
    for params in (
        {"b": 2, "a": 1, "api_base": "http://h/v1"},
        {"a": 1, "b": 2, "api_base": "http://user:password@h/v1"},
        {"a": 1, "b": 2, "api_base": "http://h/v1", "api_key": "sk-1", "timeout": 3, "max_retries": 2},
        {"a": 1, "b": 2, "api_base": "http://h/v1", "azure_ad_token": "t", "metadata": {"run": 1}, "c": None},
        {"a": 1, "b": 2, "api_base": "http://h/v1", "input_cost_per_token": 1.0},
    ):
        assert request_text("openai/x", CHAT, params) == same
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    assert text(api_base="http://h/v1", a=1, b=2) == same
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:password@h/v1")
    assert "password" not in text()


@pytest.mark.parametrize("value", [object(), {1: "a", "b": 2}])
def test_parameters_without_a_json_form(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="cache=None"):
        text(logit_bias=value)
