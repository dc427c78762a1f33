"""A server that speaks OpenAI's protocol and plays recorded answers; peers.py runs it in a process of its own.

    python benchmarks/peers_server.py QUESTIONS.json

QUESTIONS.json maps each question to its ``texts``, ``answers`` and ``grades``. A request gets the next recorded answer
to its question, or the next n; after the last one comes the first. DSPy, which asks for fields, gets the text and the
answer in them; who asks for a grade of an answer, as optillm does, gets the recorded one. The port is printed first.
Then each line on standard input is a command, answered by what was asked so far: ``reset RATE`` starts again and lets
an answer take as long as its text is at RATE characters a second (0: no time), ``counts`` changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FIELD = "[[ ## {} ## ]]"
GRADED_FROM = "Rate the"


@dataclass
class Counts:
    """What was asked since the last reset.

    Attributes:
        requests: requests, those for grades included.
        samples: answers that were asked for.
        at_once: most requests that were open at the same time.
        left: requests that the client gave up before their answer.
        characters: length of the answers, of those that were given up as far as they had come.
    """

    requests: int = 0
    samples: int = 0
    at_once: int = 0
    left: int = 0
    characters: float = 0.0


@dataclass
class Player:
    """Chooses what a request gets.

    Args:
        questions: by question, ``texts``, ``answers`` and ``grades``.
    """

    questions: dict[str, dict[str, Any]]
    counts: Counts = field(default_factory=Counts)
    rate: float = 0.0
    open: int = 0
    played: dict[str, int] = field(default_factory=dict)

    def reset(self, rate: float) -> None:
        """Start again from the first answer of each question."""
        self.counts, self.rate, self.played = Counts(at_once=self.open), rate, {}

    def contents(self, body: dict[str, Any]) -> list[str]:
        """The texts of the choices that answer a request."""
        messages = body["messages"]
        said = [message["content"].strip() for message in messages if message["role"] == "user"]
        question = said[0].removeprefix("User: ")  # as optillm says it
        fields = FIELD.format("question") in question
        if fields:
            question = (
                question.partition(FIELD.format("question"))[2].partition("\n\nRespond with the")[0].strip()
            )
        known = self.questions[question]
        judged = [message["content"].strip() for message in messages if message["role"] == "assistant"]
        if judged and said[-1].startswith(GRADED_FROM):
            return [str(known["grades"][known["texts"].index(judged[-1])])]
        count = body.get("n") or 1
        start = self.played.get(question, 0)
        self.played[question] = start + count
        self.counts.samples += count
        places = [(start + i) % len(known["texts"]) for i in range(count)]
        texts = [known["texts"][place] for place in places]
        if not fields:
            return texts
        parts = zip(texts, (known["answers"][place] for place in places), strict=True)
        return [
            f"{FIELD.format('reasoning')}\n{text}\n\n{FIELD.format('answer')}\n{answer}\n\n{FIELD.format('completed')}"
            for text, answer in parts
        ]


def response(status: int, value: dict[str, Any]) -> bytes:
    """A response with a JSON body."""
    data = json.dumps(value).encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def completion(body: dict[str, Any], contents: list[str]) -> dict[str, Any]:
    """What a request gets."""
    prompt, written = 100, sum(len(text) // 4 for text in contents)
    choices = [
        {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        for i, text in enumerate(contents)
    ]
    usage = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": choices,
        "usage": usage,
    }


def written(content: str) -> int:
    """The length of a recorded text, without the fields around it."""
    head, marker, rest = content.partition(f"{FIELD.format('reasoning')}\n")
    return len(rest.partition(f"\n\n{FIELD.format('answer')}")[0]) if marker else len(head)


async def wait(reader: asyncio.StreamReader, seconds: float) -> float:
    """Wait as an answer takes; the share of the time after which the client had gone, or 1."""
    started = time.perf_counter()
    try:
        await asyncio.wait_for(
            reader.read(1), seconds
        )  # there is nothing to read before the answer but the end
    except TimeoutError:
        return 1.0
    return min(1.0, (time.perf_counter() - started) / seconds)


async def converse(player: Player, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection, one after another."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            body = json.loads(await reader.readexactly(length))
            try:
                contents = player.contents(body)
            except LookupError as error:
                writer.write(
                    response(400, {"error": {"message": f"Not recorded: {error}", "type": "unknown"}})
                )
                await writer.drain()
                continue
            counts = player.counts
            player.open += 1
            counts.requests += 1
            counts.at_once = max(counts.at_once, player.open)
            try:
                took = (
                    1.0 if not player.rate else await wait(reader, max(map(written, contents)) / player.rate)
                )
            finally:
                player.open -= 1
            counts.characters += took * sum(map(written, contents))
            if took < 1.0:
                counts.left += 1
                break
            writer.write(response(200, completion(body, contents)))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client closed the connection
    finally:
        writer.close()


async def main(player: Player) -> None:
    server = await asyncio.start_server(lambda *ends: converse(player, *ends), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, *values = line.split()
        if command == "reset":
            player.reset(float(values[0]))
        print(json.dumps(asdict(player.counts)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Player(json.loads(Path(sys.argv[1]).read_text("utf-8")))))
