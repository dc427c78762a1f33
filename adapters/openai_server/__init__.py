"""An OpenAI-compatible HTTP server that answers with the best of n: ``me2 serve``, or an app to mount.

::

    from me2sdk.adapters.openai_server import ServerConfig, create_app, serve

    config = ServerConfig(models="openai/gpt-4o-mini", n=8)
    serve(config)                    # until SIGTERM or Ctrl-C
    app = create_app(config)         # or a Starlette app, to mount in your own

``POST /v1/chat/completions`` and ``/v1/responses`` (stream and not), ``/v1/score``, ``/v1/rerank``, ``/v1/embeddings``
(SGLang's form); ``GET /v1/models``, ``/openapi.json``, ``/healthz``, ``/healthz/live``, ``/metrics``. How an answer was
chosen stands in its field
``me2``: the reward, how sure it is, what all candidates cost, and with ``"me2": {"candidates": true}`` in the request
all of them.
"""

from __future__ import annotations

from me2sdk.adapters._shared import own_name
from me2sdk.adapters.openai_server.config import ServerConfig
from me2sdk.adapters.openai_server.server import create_app, serve, serving
from me2sdk.adapters.openai_server.settings import ModelConfig

__all__ = [
    "ModelConfig",
    "ServerConfig",
    "create_app",
    "own_name",
    "serve",
    "serving",
]
