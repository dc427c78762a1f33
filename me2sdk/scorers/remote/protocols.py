"""How each kind of server is asked for raw logits, and how its answer is read. Pure functions.

Each protocol asks for what the model's head puts out: an activation would make scores saturate, and a
server's own truncation would cut the end of a trace, which is where the reward is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from me2sdk.errors import ScoringError

__all__ = ["PROTOCOLS", "ServerProtocol"]


@dataclass(frozen=True)
class ServerProtocol:
    """One kind of server.

    Attributes:
        path: appended to the base URL.
        request: the JSON body for some texts, or some lists of token ids, and a model name.
        items: the answer's items in the order of the texts, from the decoded JSON.
        value: the numbers that an item holds; there has to be exactly one.
        hint: what to do where an item does not hold one number.
        chats: how it is sent chats: "messages", one chat a request; "tokens", as lists of token ids; None, not at all.
    """

    path: str
    request: Callable[[list[str] | list[list[int]], str | None], dict[str, Any]]
    items: Callable[[Any], list[Any]]
    value: Callable[[Any], Any]
    hint: str
    chats: Literal["messages", "tokens"] | None = None

    def chat(self, messages: list[dict[str, str]], model: str | None) -> dict[str, Any]:
        """The JSON body for one chat."""
        body = self.request([], model)
        del body["input"]
        return {**body, "messages": messages}

    def read(self, content: bytes, count: int) -> list[float]:
        """Read an answer.

        Args:
            content: the body of a successful answer.
            count: how many texts were sent.

        Returns:
            one finite score per text, in the order of the texts.

        Raises:
            ScoringError: it is anything else.
        """
        try:
            items = self.items(json.loads(content))
            found = [self.value(item) for item in items]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            start = content[:200].decode(errors="replace")
            raise ScoringError(
                f"its answer is not of the expected form ({type(error).__name__}), it begins {start!r}. "
                "Check that api= names the right kind of server."
            ) from None
        if len(found) != count:
            raise ScoringError(f"it gave {len(found)} scores for {count} texts.")
        return [self._number(numbers, index) for index, numbers in enumerate(found)]

    def _number(self, numbers: Any, index: int) -> float:
        if not isinstance(numbers, list) or len(numbers) != 1:
            many = f"{len(numbers)} numbers" if isinstance(numbers, list) else type(numbers).__name__
            raise ScoringError(f"it gave {many} instead of one for text {index} of the request. {self.hint}")
        number = numbers[0]
        # JSON has no NaN, so some servers write null for it.
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise ScoringError(
                f"it gave {number!r} for text {index} of the request, which is no finite number. Serve the "
                "model in bfloat16 or float32."
            )
        return float(number)


def _by_index(answer: Any) -> list[Any]:
    items = sorted(answer["data"], key=lambda item: item["index"])
    if [item["index"] for item in items] != list(range(len(items))):
        raise ValueError("indices")
    return items


PROTOCOLS = {
    "sglang": ServerProtocol(
        path="/v1/embeddings",
        request=lambda texts, model: {"model": model or "default", "input": texts},
        items=_by_index,
        value=lambda item: item["embedding"],
        hint=(
            "The server serves an embedding model. Start it with --is-embedding and a sequence "
            "classification checkpoint that has one label."
        ),
        chats="tokens",
    ),
    "vllm": ServerProtocol(
        path="/classify",
        request=lambda texts, model: {
            **({"model": model} if model else {}),
            "input": texts,
            "use_activation": False,
        },
        items=_by_index,
        value=lambda item: item["probs"],
        hint="The server serves a classifier with several classes, not a reward model (num_labels 1).",
        chats="messages",
    ),
    "tei": ServerProtocol(
        path="/predict",
        request=lambda texts, model: {
            "inputs": [[text] for text in texts],
            "raw_scores": True,
            "truncate": False,
        },
        items=list,
        value=lambda item: [label["score"] for label in item],
        hint="The server serves a classifier with several classes, not a reward model (num_labels 1).",
    ),
}
