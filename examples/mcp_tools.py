"""The tools that coding agents get from `me2 mcp`, called by the official client, on this machine alone."""

import asyncio
import itertools

from mcp.client.client import Client

from me2sdk.adapters.mcp import MCPConfig, create_server

# Recorded answers in place of a model. An agent starts the server by itself: me2 mcp openai/gpt-4o-mini
answers = itertools.cycle(
    [
        "She has 12 - 5 = 7 pens a box, so 3 * 7 = 21.\n#### 21",
        "3 boxes hold 3 * 12 = 36 pens. She gives away 5, so 36 - 5 = 31 are left.\n#### 31",
        "3 * 12 = 36 pens in the boxes, less 5 is 31.\n#### 31",
        "36 - 5 = 31.\n#### 31",
    ]
)


async def recorded(messages: list[dict[str, str]], **params: object) -> str:
    """Stands for a model."""
    return next(answers)


async def heard(progress: float, total: float | None, message: str | None) -> None:
    """What an agent shows while it waits."""
    print(f"  {message}")


async def main() -> None:
    """Call three tools."""
    config = MCPConfig(models={"pens": recorded}, n=4, min_confidence=0.5)
    async with Client(create_server(config)) as client:
        print("tools:", ", ".join(tool.name for tool in (await client.list_tools()).tools))

        question = "Ana buys 3 boxes of 12 pens and gives away 5 pens. How many pens has she left?"
        asked = await client.call_tool("ask_best_of_n", {"question": question}, progress_callback=heard)
        found = asked.structured_content
        print(
            f"answer {found['answer']}, confidence {found['confidence']:.0%}, abstained: {found['abstained']}"
        )

        ranked = await client.call_tool("rerank", {"candidates": ["6 * 7 = 42.", "6 * 7 = 48.", "It is 42."]})
        print("order:", ranked.structured_content["order"])

        wrong = await client.call_tool("score", {"traces": ["6 * 7 = 42."], "scorer": "http://elsewhere"})
        print("error:", wrong.is_error, wrong.content[0].text)


asyncio.run(main())
