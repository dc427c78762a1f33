"""A local model behind an OpenAI-compatible server, for the live demo: ``transformers serve`` as a child process."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from me2sdk.errors import ConfigurationError, GenerationError

# The server ends with its standard input, hence with this process, however that ends.
_ENTRY = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from transformers.cli.transformers import main
sys.exit(main())
"""
_NEEDED = ("torch", "transformers", "fastapi", "uvicorn")


@contextmanager
def local_server(model: str, seconds: float = 120.0) -> Iterator[dict[str, Any]]:
    """Serve ``model`` on a free loopback port until the block ends.

    Args:
        model: folder or hub name of a causal language model.
        seconds: how long it may take to start.

    Yields:
        Keyword arguments with which LiteLLM's ``openai/`` provider reaches it and samples.

    Raises:
        ConfigurationError: the extra ``local`` is missing.
        GenerationError: the server did not start; the message holds the end of its log.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise ConfigurationError(f'A local model needs {", ".join(missing)}: pip install "me2sdk[local]"')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", _ENTRY, "serve", model, "--host", "127.0.0.1", "--port", str(port)]
    environment = dict(os.environ)
    if os.path.isdir(model):
        environment["HF_HUB_OFFLINE"] = "1"  # for the child alone: a folder needs no hub
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)
        try:
            _wait(server, f"http://127.0.0.1:{port}/health", time.monotonic() + seconds, log)
            # The server decodes greedily unless its own generation config says otherwise.
            sampling = json.dumps({"do_sample": True, "temperature": 0.7, "top_p": 0.95})
            yield {
                "api_base": f"http://127.0.0.1:{port}/v1",
                "api_key": "none",
                "max_tokens": 64,
                "extra_body": {"generation_config": sampling},
            }
        finally:
            server.kill()
            server.communicate()


def _wait(server: subprocess.Popen[bytes], url: str, deadline: float, log: Any) -> None:
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    log.seek(0)
    tail = log.read()[-2000:].decode("utf-8", errors="replace")
    raise GenerationError(f"The local model server did not start. Its last words: {tail}")
