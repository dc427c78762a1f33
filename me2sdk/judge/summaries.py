"""One sentence for each super-node of a DAG, written by a model (paper App. J.2)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import Any, NamedTuple

from me2sdk import prompts
from me2sdk._sync import all_or_none
from me2sdk.dag import ReasoningDAG, header
from me2sdk.errors import InvalidTraceError, JudgeError
from me2sdk.llm import LLM, Generation
from me2sdk.schema import Failure, Question, Trace

__all__ = ["Summaries", "asummarize", "read_summaries"]

_MAX_NODES, _MAX_CHARACTERS = 12, 24_000  # per call
_MAX_LENGTH = 600  # characters; what is longer is not a summary
_LINE = re.compile(
    r"^[ \t*_`>#-]{0,8}\[?(?:part )?(\d{1,6})[\]:.)*_]{1,6}[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE
)


class Summaries(NamedTuple):
    """Summaries of a DAG's super-nodes.

    Attributes:
        sentences: by the id of the super-node. Those that failed are missing.
        failures: one for each super-node that is missing; its ``index`` is the id.
    """

    sentences: dict[int, str]
    failures: tuple[Failure, ...]


async def asummarize(
    dag: ReasoningDAG, *, llm: LLM, question: str = "", params: Mapping[str, Any] | None = None
) -> Summaries:
    """Summarise the super-nodes of ``dag``, several per call, with all calls side by side.

    A sentence that is missing from an answer is asked for again, without the others.

    Args:
        dag: of steps or of super-nodes; the former is collapsed first.
        llm: the model.
        question: what was asked, as text.
        params: parameters of the calls.

    Returns:
        The sentences, and what failed. A call that fails costs its own batch alone.

    Raises:
        ConfigurationError: a parameter cannot work.
    """
    dag = dag.collapse()
    done = await all_or_none(*(_batch(dag, batch, llm, question, params or {}) for batch in _batches(dag)))
    sentences = {node: sentence for part in done for node, sentence in part.sentences.items()}
    return Summaries(sentences, tuple(failure for part in done for failure in part.failures))


def read_summaries(said: str) -> dict[int, str]:
    """The sentence for each part that an answer names, without those that are no summary."""
    found = {int(number): " ".join(text.split()) for number, text in _LINE.findall(said)}
    return {part: text for part, text in found.items() if len(text) <= _MAX_LENGTH}


def _batches(dag: ReasoningDAG) -> list[list[int]]:
    batches: list[list[int]] = []
    size = 0
    for node in dag.nodes:
        size += len(node.text)
        if not batches or len(batches[-1]) == _MAX_NODES or size > _MAX_CHARACTERS:
            batches.append([])
            size = len(node.text)
        batches[-1].append(node.id)
    return batches


async def _batch(
    dag: ReasoningDAG, nodes: list[int], llm: LLM, question: str, params: Mapping[str, Any]
) -> Summaries:
    sentences: dict[int, str] = {}

    def ask(prompt: Question, number: int) -> Awaitable[Generation]:
        # A sample of its own each time, since this very prompt may just have been answered without what is missing.
        return llm.agenerate(prompt, sample_index=number, **params)

    def read(generation: Generation) -> str:
        """Keep the sentences of an answer; return the model that gave it."""
        try:
            trace = Trace.from_message(generation.message, finish_reason=generation.finish_reason)
        except InvalidTraceError:
            return generation.model
        found = read_summaries(trace.response or "")
        sentences.update((node, found[node]) for node in missing() if node in found)
        return generation.model

    def missing() -> list[int]:
        return [node for node in nodes if node not in sentences]

    def again(model: str) -> str | None:
        return _prompt(dag, missing(), question) if missing() else None

    outcome = await prompts.ask_until(ask, _prompt(dag, nodes, question), read, again)
    error = outcome.error
    unreadable = f"No summary of this part could be read in {outcome.asked} answers of the model"
    failures = tuple(
        Failure(
            index=node,
            stage="generate" if error else "read",
            error=type(error).__name__ if error else JudgeError.__name__,
            message=str(error) if error else f"{unreadable}; an extract stands in for it.",
            model=outcome.reading,
            status=getattr(error, "status", None),
            attempts=outcome.asked,
        )
        for node in missing()
    )
    return Summaries(sentences, failures)


def _prompt(dag: ReasoningDAG, nodes: list[int], question: str) -> str:
    texts = {node: dag.nodes[node].text for node in nodes}
    nonce = prompts.new_nonce(question, *texts.values())
    parts = "\n\n".join(
        f"Part {node}: {header(dag, node)}\n{prompts.fence(text, nonce, f'part {node}')}"
        for node, text in texts.items()
    )
    return prompts.load("summarize").fill(
        nonce=nonce,
        question=prompts.fence(question or "(not known)", nonce, "question"),
        parts=parts,
        first=str(nodes[0]),
    )
