from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from me2sdk.llm import door


def test_import_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LEAKED_FROM_DOTENV=1\n")
    code = (
        "import os, socket, sys, threading\n"
        "def refuse(*args, **kwargs): raise AssertionError('network at import')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "os.environ['LITELLM_MODE'] = 'PRODUCTION'\n"
        "from me2sdk.llm import door\n"
        "before = dict(os.environ)\n"
        "threads = [threading.Thread(target=door.load_litellm) for _ in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())\n"
        "import litellm\n"
        "assert door.load_litellm() is litellm and 'LEAKED_FROM_DOTENV' not in os.environ\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120, capture_output=True, text=True
    )
    assert done.stdout == ""


def test_supports_n() -> None:
    assert door.supports_n("openai/gpt-4o", {})
    assert door.supports_n("hosted_vllm/anything", {})
    assert not door.supports_n("anthropic/claude-sonnet-4-5", {})
    assert not door.supports_n("nobody knows this", {})
    assert door.supports_n("my-model", {"custom_llm_provider": "openai"})


def test_prices() -> None:
    assert door.prices_of("openai/gpt-4o", {}) == (2.5e-6, 1e-5)
    assert door.prices_of("openai/unheard-of", {}) is None
    assert door.prices_of("nobody knows this", {}) is None
    own = {"input_cost_per_token": 1, "output_cost_per_token": 2}
    assert door.prices_of("openai/unheard-of", own) == (1.0, 2.0)


def test_quiet_can_be_nested_and_is_undone() -> None:
    litellm = door.load_litellm()
    assert litellm.suppress_debug_info is False
    with door.quiet_litellm():
        with door.quiet_litellm():
            assert litellm.suppress_debug_info is True
        assert litellm.suppress_debug_info is True
    assert litellm.suppress_debug_info is False
    assert not door.is_router("openai/gpt-4o")
