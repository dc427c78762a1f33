"""One sentence for each super-node of a DAG, written by a model (paper App. J.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from me2sdk import prompts
from me2sdk._sync import all_or_none
from me2sdk.dag import ReasoningDAG, header
from me2sdk.errors import BudgetExceeded, GenerationError, InvalidTraceError
from me2sdk.judge.prompts import MAX_ASKS
from me2sdk.llm import LLM
from me2sdk.schema import Failure, Trace

__all__ = ["Summaries", "asummarize"]

_MOST_NODES, _MOST_CHARACTERS = 12, 24_000  # of one call
_LONGEST = 600  # characters of a summary; a longer one is no summary
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
    """Summarise the super-nodes of ``dag``, several a call, all calls side by side.

    A sentence that is missing from an answer is asked for again, with the others left out.

    Args:
        dag: of steps or of super-nodes; the former is collapsed first.
        llm: the model.
        question: what was asked, as text.
        params: parameters of the calls.

    Raises:
        ConfigurationError: a parameter cannot work.
    """
    dag = dag.collapse()
    done = await all_or_none(*(_batch(dag, batch, llm, question, params or {}) for batch in _batches(dag)))
    sentences = {node: sentence for part in done for node, sentence in part.sentences.items()}
    return Summaries(sentences, tuple(failure for part in done for failure in part.failures))


def _batches(dag: ReasoningDAG) -> list[list[int]]:
    batches: list[list[int]] = []
    size = 0
    for node in dag.nodes:
        size += len(node.text)
        if not batches or len(batches[-1]) == _MOST_NODES or size > _MOST_CHARACTERS:
            batches.append([])
            size = len(node.text)
        batches[-1].append(node.id)
    return batches


async def _batch(
    dag: ReasoningDAG, nodes: list[int], llm: LLM, question: str, params: Mapping[str, Any]
) -> Summaries:
    sentences: dict[int, str] = {}
    error, reason, model, status = "JudgeError", "", None, None
    for asked in range(1, MAX_ASKS + 1):
        missing = [node for node in nodes if node not in sentences]
        try:
            # Its own sample, since the same prompt may just have been answered without what is missing.
            generation = await llm.agenerate(
                _prompt(dag, missing, question), sample_index=asked - 1, **params
            )
        except (GenerationError, BudgetExceeded) as caught:
            error, reason, status = type(caught).__name__, str(caught), getattr(caught, "status", None)
            break
        model = generation.model
        try:
            read = Trace.from_message(generation.message, finish_reason=generation.finish_reason)
            said = read.response or ""
        except InvalidTraceError:
            said = ""
        found = {int(number): " ".join(text.split()) for number, text in _LINE.findall(said)}
        sentences |= {
            node: found[node] for node in missing if len(found.get(node, "")) in range(1, _LONGEST + 1)
        }
        reason = f"No summary of this part could be read in {asked} answers of the model; an extract stands in for it."
        if len(sentences) == len(nodes):
            break
    failures = tuple(
        Failure(
            index=node,
            stage="read" if error == "JudgeError" else "generate",
            error=error,
            message=reason,
            model=model,
            status=status,
            attempts=asked,
        )
        for node in nodes
        if node not in sentences
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
        nonce=nonce, question=prompts.fence(question or "(not known)", nonce, "question"), parts=parts
    )
