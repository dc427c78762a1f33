"""The server, by the official package ``mcp``."""

from __future__ import annotations

import asyncio
import inspect
import os
from importlib.metadata import version
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

from me2sdk.adapters.mcp.config import MCPConfig
from me2sdk.adapters.mcp.tools import Tools

__all__ = ["create_server", "serve"]


def create_server(config: MCPConfig) -> MCPServer[Any]:
    """The server as an ``MCPServer`` of the official package, to run over any transport of its own.

    Args:
        config: its configuration.

    Raises:
        ConfigurationError: a model or scorer cannot work.

    Example:
        ```python
        import asyncio

        from mcp.client.client import Client

        from me2sdk.adapters.mcp import MCPConfig, create_server

        async def main():
            async with Client(create_server(MCPConfig())) as client:
                found = await client.call_tool("rerank", {"candidates": ["It is 4.", "It is 5.", "So it is 4."]})
                return found.structured_content["answers"][0]["text"]

        print(asyncio.run(main()))  # 4
        ```
    """
    tools = Tools(config)
    server: MCPServer[Any] = MCPServer(
        "me2sdk",
        version=version("me2sdk"),
        instructions=_instructions(config),
        log_level="WARNING",
    )
    for tool in (*tools.with_model, *tools.without_model):
        hints = ToolAnnotations(read_only_hint=True, open_world_hint=tool in tools.with_model)
        server.add_tool(tool, description=inspect.getdoc(tool), annotations=hints)
    return server


def serve(config: MCPConfig) -> None:
    """Serve over standard input and output until the client leaves.

    Whatever else the process prints goes to standard error, from now on: only the protocol is on standard output.

    Args:
        config: its configuration.

    Raises:
        ConfigurationError: a model or scorer cannot work.
    """
    server = create_server(config)

    async def until_the_client_leaves() -> None:
        await server.run_stdio_async()
        # The package gives standard output back here, and LiteLLM may still have something to say as the loop ends.
        os.dup2(2, 1)

    asyncio.run(until_the_client_leaves())


def _instructions(config: MCPConfig) -> str:
    lines = ["Tools that choose the best-reasoned of several answers, and say how sure the choice is."]
    if config.models:
        lines.append(f"Models: {', '.join(config.models)}; the first is the default.")
    lines.append(f"Scorers: {', '.join(config.scorers)}; the first is the default.")
    return "\n".join(lines)
