"""The thinking formats: one table, from which the reader, a page of the docs and the tests are made.

A format that is missing here is one row more; users add theirs with `register_format`.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Final

from me2sdk.errors import ConfigurationError

__all__ = ["FORMATS", "ThinkingFormat", "register_format", "thinking_formats"]

ANYTHING: Final = "…"  # in a form: one to thirty letters, digits and _ . -
_LONGEST = 200
_GH = "github.com/"


@dataclass(frozen=True)
class ThinkingFormat:
    """How a model marks its reasoning, and its answer where it marks that too.

    In a form, ``…`` stands for one to thirty letters, digits or ``_ . -``, and a space for any white space or none.
    Case does not matter. A form like ``<think>`` also matches with attributes.

    Attributes:
        name: the name of the row; a format registered under a name replaces the one before it.
        opening: forms that open the reasoning. One in plain words is only dropped where the reasoning begins.
        closing: forms that close it. One without an opening closes all that stands before it, since chat templates
            often open the reasoning in the prompt.
        answer_opening: forms that open the answer.
        answer_closing: forms that close it. An answer that is wrapped in these after the reasoning is unwrapped.
        paired: True if the closing counts only after the opening, and the opening only where the text begins: for
            formats in plain words.
        exact_case: True if case matters.
        models: which models write so.
        source: where that is documented.

    Examples:
        >>> ThinkingFormat("mine", ("<ponder>",), ("</ponder>",)).paired
        False
    """

    name: str
    opening: tuple[str, ...]
    closing: tuple[str, ...]
    answer_opening: tuple[str, ...] = ()
    answer_closing: tuple[str, ...] = ()
    paired: bool = False
    exact_case: bool = False
    models: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        forms = (self.opening, self.closing, self.answer_opening, self.answer_closing)
        if any(isinstance(group, str) for group in forms):
            raise ConfigurationError(
                f"The forms of the thinking format {self.name!r} must be tuples of texts, not one text."
            )
        if not self.opening or not self.closing:
            raise ConfigurationError(f"The thinking format {self.name!r} needs an opening and a closing.")
        for form in (form for group in forms for form in group):
            if (
                not 2 <= len(form) <= _LONGEST
                or form != form.strip()
                or not form.replace(ANYTHING, "").strip()
            ):
                raise ConfigurationError(
                    f"{form!r} cannot be a form of the thinking format {self.name!r}: it needs 2 to {_LONGEST} "
                    "characters and none of them blank at its ends."
                )
            if form in self.closing and form[0].isalpha() and not self.paired:
                raise ConfigurationError(
                    f"{form!r} closes the thinking format {self.name!r} in plain words: with paired=True it counts "
                    "only after the opening."
                )
            if re.search(rf"{ANYTHING}\s*{ANYTHING}", form):
                raise ConfigurationError(f"{form!r} has two {ANYTHING} side by side.")


def _tag(name: str, models: str, source: str, *answer: str, row: str = "") -> ThinkingFormat:
    return ThinkingFormat(
        row or name,
        (f"<{name}>",),
        (f"</{name}>",),
        tuple(f"<{tag}>" for tag in answer),
        tuple(f"</{tag}>" for tag in answer),
        models=models,
        source=source,
    )


FORMATS: Final[tuple[ThinkingFormat, ...]] = (
    _tag(
        "think",
        "DeepSeek R1, Qwen3, Kimi K2 and most others",
        f"{_GH}sgl-project/sglang/blob/002e9bfc90/python/sglang/srt/parser/reasoning_parser.py",
    ),
    _tag(
        "think",
        "Hunyuan A13B and recipes like open-r1",
        f"{_GH}sgl-project/sglang/pull/7678",
        "answer",
        row="think and answer",
    ),
    _tag(
        "think",
        "ERNIE 4.5",
        f"{_GH}vllm-project/vllm/blob/391c1585d8/vllm/reasoning/ernie45_reasoning_parser.py",
        "response",
        row="think and response",
    ),
    _tag(
        "thinking",
        "Claude by prompt",
        f"{_GH}juanjaragavi/prompts/blob/HEAD/prompts/claude-reflection.md",
        "output",
    ),
    _tag("thought", "EXAONE Deep", f"{_GH}tinyhumansai/openhuman/issues/6184"),
    _tag(
        "Thought",
        "Marco-o1",
        f"{_GH}AIDC-AI/Marco-o1/blob/0acb29273f/src/talk_with_model_vllm.py",
        "Output",
        row="Thought and Output",
    ),
    _tag("reasoning", "GRPO recipes", f"{_GH}JiangYingjin/r1/blob/HEAD/system_prompt.py", "answer"),
    _tag(
        "reasoning",
        "GRPO recipes",
        f"{_GH}llzllx70/unsloth/blob/HEAD/src/MyPrompt.py",
        "solution",
        row="reasoning and solution",
    ),
    _tag(
        "reason",
        "prompts",
        f"{_GH}open-webui/open-webui/blob/000032ed1c/backend/open_webui/utils/middleware.py",
    ),
    _tag(
        "scratchpad",
        "prompts",
        f"{_GH}para-droid-ai/scratchpad/blob/HEAD/_oldversions/scratchpad-think.txt",
    ),
    _tag(
        "REASONING_SCRATCHPAD",
        "Hermes agents",
        f"{_GH}NousResearch/hermes-agent/blob/002b06468d/agent/think_scrubber.py",
    ),
    _tag("antThinking", "Claude", f"{_GH}openclaw/openclaw/pull/688"),
    _tag("budget:thinking", "Claude Opus 4.5 by LiteLLM", f"{_GH}BerriAI/litellm/pull/17534"),
    _tag("seed:think", "Seed-OSS", f"{_GH}open-webui/open-webui/issues/16856"),
    _tag("mm:think", "MiniMax M3", f"{_GH}vllm-project/vllm/issues/45687"),
    _tag(
        "longcat_think",
        "LongCat-Flash-Thinking",
        f"{_GH}ml-explore/mlx-lm/blob/00915216eb/mlx_lm/tokenizer_utils.py",
    ),
    ThinkingFormat(
        "any namespace",
        ("<…:think>", "<…:thinking>", "<…:thought>", "<…:reasoning>", "<think:…>", "<thinking:…>"),
        ("</…:think>", "</…:thinking>", "</…:thought>", "</…:reasoning>", "</think:…>", "</thinking:…>"),
        models="Hy3 (`<think:opensource>`) and families to come",
        source=f"{_GH}sgl-project/sglang/blob/03fee1168f/python/sglang/srt/function_call/hunyuan_detector.py",
    ),
    ThinkingFormat(
        "any prefix",
        ("<…_think>", "<…_thinking>", "<…_thought>"),
        ("</…_think>", "</…_thinking>", "</…_thought>"),
        models="names of models before the tag (`<deepseek_thought>`)",
        source=f"{_GH}NousResearch/hermes-agent/pull/75094",
    ),
    ThinkingFormat(
        "LLaVA-CoT",
        ("<SUMMARY>", "<CAPTION>", "<REASONING>"),
        ("</SUMMARY>", "</CAPTION>", "</REASONING>"),
        ("<CONCLUSION>",),
        ("</CONCLUSION>",),
        exact_case=True,
        models="LLaVA-CoT",
        source=f"{_GH}PKU-YuanGroup/LLaVA-CoT",
    ),
    ThinkingFormat(
        "Magistral",
        ("[THINK]",),
        ("[/THINK]",),
        models="Magistral, Ministral 3",
        source=f"{_GH}waybarrios/vllm-mlx/pull/599",
    ),
    ThinkingFormat(
        "Kimi-VL",
        ("◁think▷",),
        ("◁/think▷",),
        models="Kimi-VL-Thinking",
        source=f"{_GH}sgl-project/sglang/pull/9192",
    ),
    ThinkingFormat(
        "Gemma 4",
        ("<|channel>thought",),
        ("<channel|>",),
        models="Gemma 4",
        source=f"{_GH}lmstudio-ai/lmstudio-bug-tracker/issues/2013",
    ),
    ThinkingFormat(
        "MedGemma",
        ("<unused94>thought",),
        ("<unused95>",),
        models="MedGemma 1.5",
        source=f"{_GH}ollama/ollama/issues/15754",
    ),
    ThinkingFormat(
        "Cohere",
        ("<|START_THINKING|>",),
        ("<|END_THINKING|>",),
        ("<|START_RESPONSE|>", "<|START_TEXT|>"),
        ("<|END_RESPONSE|>", "<|END_TEXT|>"),
        models="Command A, Command A Plus",
        source=f"{_GH}vllm-project/vllm/blob/b228b84248/vllm/reasoning/cohere_command_reasoning_parser.py",
    ),
    ThinkingFormat(
        "OpenThoughts",
        ("<|begin_of_thought|>",),
        ("<|end_of_thought|>",),
        ("<|begin_of_solution|>",),
        ("<|end_of_solution|>",),
        models="OpenThinker, Sky-T1",
        source=f"{_GH}NovaSky-AI/SkyThought",
    ),
    ThinkingFormat(
        "s1",
        ("<|im_start|>think",),
        ("<|im_start|>answer",),
        models="s1, s1.1",
        source=f"{_GH}simplescaling/s1",
    ),
    ThinkingFormat(
        "HyperCLOVA X",
        ("<|im_start|>assistant/think",),
        ("<|im_end|> <|im_start|>assistant",),
        paired=True,
        models="HyperCLOVA X SEED Think 14B",
        source=f"{_GH}vllm-project/vllm/pull/44171",
    ),
    ThinkingFormat(
        "pipes",
        ("<|think|>",),
        ("<|/think|>",),
        models="apps on LiteRT-LM",
        source=f"{_GH}NickMonrad/kernel-ai-assistant/pull/413",
    ),
    ThinkingFormat(
        "Solar Open",
        ("<|think|>",),
        ("<|end|> <|begin|>assistant <|content|>",),
        models="Solar Open",
        source=f"{_GH}ggml-org/llama.cpp/pull/18540",
    ),
    ThinkingFormat(
        "K2 Horizon",
        ("<ifm|think>", "<ifm|think…>"),
        ("</ifm|think>", "</ifm|think…>"),
        models="K2 Horizon",
        source=f"{_GH}ml-explore/mlx-lm/pull/1841",
    ),
    ThinkingFormat(
        "openPangu",
        ("[unused16]",),
        ("[unused17]",),
        models="openPangu",
        source=f"{_GH}vllm-project/vllm/blob/4ade7b8d2b/vllm/reasoning/pangu_reasoning_parser.py",
    ),
    ThinkingFormat(
        "Granite 3.2",
        ("Here is my thought process:", "Here's my thought process:"),
        ("Here is my response:", "Here's my response:"),
        paired=True,
        models="Granite 3.2",
        source=f"{_GH}vllm-project/vllm/pull/14202",
    ),
    ThinkingFormat(
        "Apriel",
        ("Here are my reasoning steps:",),
        ("[BEGIN FINAL RESPONSE]",),
        (),
        ("[END FINAL RESPONSE]",),
        models="Apriel 1.5 and 1.6 Thinker",
        source=f"{_GH}ggml-org/llama.cpp/tree/HEAD/models/templates",
    ),
    ThinkingFormat(
        "GLM box",
        ("<think>",),
        ("</think>",),
        ("<|begin_of_box|>",),
        ("<|end_of_box|>",),
        models="GLM-4.6V",
        source=f"{_GH}Blaizzy/mlx-vlm/pull/2225",
    ),
)

_lock = threading.Lock()
_table = FORMATS


def thinking_formats() -> tuple[ThinkingFormat, ...]:
    """Return the formats that are read now: those of the table, then those that were registered."""
    return _table


def register_format(thinking_format: ThinkingFormat) -> None:
    """Add a thinking format for this process: every trace that is read from now on knows it.

    Args:
        thinking_format: the format. One of the same name is replaced.

    Raises:
        ConfigurationError: it is no `ThinkingFormat`.

    Examples:
        >>> from me2sdk import Trace
        >>> from me2sdk.traces import ThinkingFormat, register_format
        >>> register_format(ThinkingFormat("mine", ("<ponder>",), ("</ponder>",)))
        >>> Trace.from_text("<ponder>7 * 6</ponder>42").response
        '42'
    """
    global _table
    if not isinstance(thinking_format, ThinkingFormat):
        raise ConfigurationError(
            f"register_format needs a me2sdk.traces.ThinkingFormat, not {type(thinking_format).__name__}."
        )
    with _lock:
        _table = (*(row for row in _table if row.name != thinking_format.name), thinking_format)
