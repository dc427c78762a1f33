from __future__ import annotations

import asyncio
import contextvars
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable

import pytest
from support.fake_provider import OpenAIServer, Reply, error

from me2sdk.llm import LLM, load_litellm
from me2sdk.llm.quieting import muted

Connect = Callable[..., LLM]


def warn_in(module: str) -> None:
    warnings.warn_explicit("it may change", UserWarning, f"{module}.py", 1, module=module)


def test_nothing_is_printed_by_a_program_of_its_own() -> None:
    code = (
        "import sys\n"
        "from me2sdk import best_of_n\n"
        "for kind in sys.argv[2:]:\n"
        "    best_of_n('q', model='openai/x', n=2, api_base=sys.argv[1], api_key='none')\n"
    )
    # A reason that LiteLLM does not know, content that it does not expect, and an error that passes.
    replies = [
        Reply(finish_reason="abort"),
        Reply(fields={"audio": {"id": 1}}),
        error(500),
        Reply(),
        error(400),
    ]
    with OpenAIServer(replies) as server:
        done = subprocess.run(
            [sys.executable, "-W", "default", "-c", code, server.url, "1", "2", "3"],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert len(server.requests) >= 4
    assert (done.stdout, done.stderr) == ("", "")


def test_warnings_and_records_inside_dependencies_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("LiteLLM")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        with muted():
            with muted():
                warn_in("pydantic.main")
            warn_in("litellm.utils")
            warn_in("pydantic._internal._generate_schema")
            log.warning("unmapped")
            with pytest.raises(UserWarning):
                warn_in("my_program")
            with pytest.raises(UserWarning):
                warn_in("litellm_of_mine")
        assert warnings.filters == before
        with pytest.raises(UserWarning):
            warn_in("pydantic.main")
    assert caplog.messages == []
    log.warning("seen")
    assert caplog.messages == ["seen"]


def test_what_others_do_meanwhile_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def other() -> None:
        logging.getLogger("LiteLLM").warning("of another thread")
        with pytest.raises(UserWarning):
            warn_in("pydantic.main")
        seen.append("warned")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with muted():
            thread = threading.Thread(target=contextvars.Context().run, args=(other,))
            thread.start()
            thread.join()
    assert seen == ["warned"]
    assert caplog.messages == ["of another thread"]


def test_a_logger_that_was_asked_to_say_more_does(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("LiteLLM")
    monkeypatch.setattr(log, "level", logging.DEBUG)
    log.manager._clear_cache()  # type: ignore[attr-defined]
    with muted():
        log.warning("wanted")
    log.manager._clear_cache()  # type: ignore[attr-defined]
    assert caplog.messages == ["wanted"]


async def test_calls_that_overlap_leave_nothing_behind(connect: Connect) -> None:
    litellm = load_litellm()
    filters, before = list(warnings.filters), list(logging.getLogger("LiteLLM").filters)
    with OpenAIServer(Reply("42", finish_reason="abort")) as server:
        llm = connect(server)
        await asyncio.gather(*(llm.agenerate(str(i)) for i in range(8)))
    assert warnings.filters == filters
    assert logging.getLogger("LiteLLM").filters == before
    assert litellm.suppress_debug_info is False
