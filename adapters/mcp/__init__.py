"""A server for coding agents by the Model Context Protocol: ``me2 mcp``, or a server to run in your own process.

::

    from me2sdk.adapters.mcp import MCPConfig, create_server, serve

    config = MCPConfig(models="openai/gpt-4o-mini", n=8)
    serve(config)                    # over standard input and output, until the client leaves
    server = create_server(config)   # or an MCPServer of the official package, for any transport of its own

Tools: ``ask_best_of_n`` and ``judge_pair``, where a model is configured; ``rerank``, ``score``, ``parse_dag``. Results
are structured; a tool that cannot do its work says why, and what to do.
"""

from __future__ import annotations

from me2sdk.adapters._shared import own_name
from me2sdk.adapters.mcp.config import MCPConfig

try:
    from me2sdk.adapters.mcp.server import create_server, serve
except ImportError as error:
    raise ImportError(
        f'me2sdk.adapters.mcp needs the package mcp, version 2 ({error}). Run: pip install "me2sdk[mcp]"'
    ) from error

__all__ = ["MCPConfig", "create_server", "own_name", "serve"]
