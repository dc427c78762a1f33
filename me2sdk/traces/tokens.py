"""Tokens of chat templates that stay at the ends of a completion."""

from __future__ import annotations

import re
from functools import lru_cache

from me2sdk.traces.patterns import Patterns

__all__ = ["strip_tokens"]

_TURNS = (
    # ChatML, Llama 3 and 4, Gemma, Phi, GLM, Granite, Harmony, DeepSeek, EXAONE, Cohere, Mistral, Kimi, Seed, Solar
    "<|im_start|>assistant",
    "<|im_start|>",
    "<|start_header_id|>assistant<|end_header_id|>",
    "<|header_start|>assistant<|header_end|>",
    "<start_of_turn>model",
    "<|turn>model",
    "<|start_of_role|>assistant<|end_of_role|>",
    "<|start|>assistant",
    "<|assistant|>",
    "<|begin|>assistant",
    "<|content|>",
    "<｜Assistant｜>",
    "[|assistant|]",
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    "<|im_assistant|>assistant<|im_middle|>",
    "<seed:bos>assistant",
    "]~b]ai",
    "<longcat_assistant>",
    "<|begin_of_text|>",
    "<|startoftext|>",
    "<bos>",
    "<s>",
    "[/INST]",
    "\ufeff",  # a byte order mark
)
_ENDS = (
    "<|im_end|>",
    "<|im_sep|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|eot|>",
    "<|eom|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|user|>",
    "<|observation|>",
    "<|endofturn|>",
    "<|endofprompt|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|eos|>",
    "<|EOT|>",
    "<end_of_turn>",
    "<turn|>",
    "<start_of_turn>user",
    "<|im_start|>user",
    "<end_of_utterance>",
    "<eos>",
    "</s>",
    "<seed:eos>",
    "[e~[",
    "[EOS]",
    "[unused10]",
    "</longcat_s>",
    "<longcat_s>",
    "<pad>",
    "<|pad|>",
    "<[PAD]>",
    "[|endofturn|]",
    "<｜end▁of▁sentence｜>",
    "<｜User｜>",
    "<｜begin▁of▁sentence｜>",
)
_ALL = tuple(sorted({*_TURNS, *_ENDS}, key=len, reverse=True))
_TAIL = 3  # characters by which a token at the end is looked up
_BY_END = {tail: tuple(t for t in _ALL if t.endswith(tail)) for tail in {token[-_TAIL:] for token in _ALL}}


def strip_tokens(text: str, keep: Patterns | None = None) -> str:
    """``text`` without the tokens of chat templates at its ends and the white space beside them.

    Args:
        text: a completion or a part of one.
        keep: forms that stay whole at the start, though they begin with such a token.
    """
    start, end = 0, len(text)
    at_start = _at_start(keep)
    while found := at_start.match(text, start):
        start = found.end()
    while end > start:
        at = end
        while at > start and text[at - 1].isspace():
            at -= 1
        likely = _BY_END.get(text[max(at - _TAIL, start) : at], ())
        token = next((token for token in likely if text.endswith(token, start, at)), None)
        if token is None:
            break
        end = at - len(token)
        while end > start and text[end - 1].isspace():
            end -= 1
    return text[start:end]


@lru_cache(maxsize=8)
def _at_start(keep: Patterns | None) -> re.Pattern[str]:
    """A token and the white space around it, or a run of one token but for its last: a text may be all tokens."""
    kept = [] if keep is None else [keep.marks.pattern, *(form.opening.pattern for form in keep.paired)]
    unless = "".join(f"(?!(?i:{pattern}))" for pattern in kept)
    token = "|".join(map(re.escape, _ALL))
    return re.compile(rf"\s*+{unless}(?P<token>{token})(?:\s*+(?P=token)(?=\s*+(?P=token)))*+\s*+")
