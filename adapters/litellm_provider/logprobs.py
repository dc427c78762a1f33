"""Log-probabilities of the tokens that a model in this process writes, noted while it writes."""

from __future__ import annotations

from typing import Any

import torch
import transformers

__all__ = ["LogprobRecorder"]


class LogprobRecorder(transformers.LogitsProcessor):  # type: ignore[misc]
    """Notes the log-probability of each token, and of the likeliest ones in its place.

    The distribution is the model's own, before temperature and filters. Only that of one step is held at a time: those
    of all steps would take gigabytes.

    Args:
        top: how many of the likeliest tokens to note.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._last: Any = None
        self._written: list[Any] = []
        self._likely: list[tuple[Any, Any]] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Note what was written since the last step, and the distribution of the next token."""
        self.note(input_ids)
        self._last = scores.float().log_softmax(-1)
        if self._top:
            values, tokens = self._last.topk(min(self._top, self._last.shape[-1]))
            self._likely.append((values, tokens))
        return scores

    def note(self, ids: Any) -> None:
        """Note the log-probability of the last token of each row; to be called once more at the end."""
        if self._last is not None:
            self._written.append(self._last.gather(1, ids[:, -1:]))
            self._last = None

    def contents(self, tokenizer: Any, rows: list[list[int]]) -> list[list[dict[str, Any]]]:
        """What was noted, in the form of OpenAI's ``logprobs.content``.

        Args:
            tokenizer: the model's.
            rows: the tokens of each answer, up to its end.
        """
        texts: dict[int, str] = {}

        def entry(token: int, value: float) -> dict[str, Any]:
            if token not in texts:
                texts[token] = tokenizer.decode([token], skip_special_tokens=False)
            return {"token": texts[token], "bytes": None, "logprob": value}

        written = torch.cat(self._written, 1).tolist()
        likely: Any = [[[] for _ in row] for row in written]
        if self._likely:
            values, tokens = (torch.stack(part, 1).tolist() for part in zip(*self._likely, strict=True))
            likely = [
                [list(zip(*step, strict=True)) for step in zip(*row, strict=True)]
                for row in zip(tokens, values, strict=True)
            ]
        return [
            [
                {**entry(token, value), "top_logprobs": [entry(*one) for one in others]}
                for token, value, others in zip(ids, written[row], likely[row], strict=False)
            ]
            for row, ids in enumerate(rows)
        ]
