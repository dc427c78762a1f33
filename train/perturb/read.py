"""Right traces from JSONL files of several forms."""

from __future__ import annotations

import json
import random
import re
from typing import Any, NamedTuple

from me2sdk._jsonl import read_jsonl
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Trace
from me2sdk.train.perturb.text import stated
from me2sdk.verify import normalize_answer, verify_answer

__all__ = ["TraceFile", "read_traces"]

# How a GSM8K solution states its answer is drawn, so that it gives no pair away.
_ENDS = (
    "\n#### {}",
    "\nFinal answer: {}",
    "\nThe final answer is {}.",
    "\nSo the answer is \\boxed{{{}}}.",
    "",
)
_MARKS = re.compile(r"<<[^<>\n]*>>")


def strip_marks(text: str) -> str:
    """``text`` without GSM8K's calculator marks."""
    return _MARKS.sub("", text)


class TraceFile(NamedTuple):
    """What `read_traces` found.

    Attributes:
        traces: the traces to use, each with its question.
        wrong: how many others state another answer than their reference, or none that could be compared.
        unreadable: for each line that could not be read, its number and what was wrong with it.
    """

    traces: list[Trace]
    wrong: int
    unreadable: list[tuple[int, str]]


def read_traces(path: str, seed: int = 0) -> TraceFile:
    """Read right traces from JSONL.

    Args:
        path: a file, or - for standard input. Each line holds "question" and one of: "trace", a completion as
            text; "reasoning" and "response", or one of them; "answer" in the form of GSM8K, a solution that
            ends with ``#### 72``, whose calculator marks are taken out. With "reference" (or "answer", in the
            first two forms) only traces that state it are kept.
        seed: decides in which form the answer of a GSM8K solution is stated.

    Raises:
        ConfigurationError: the file cannot be read, or holds no trace at all.
    """
    traces: list[Trace] = []
    unreadable: list[tuple[int, str]] = []
    wrong = 0
    for number, line in read_jsonl(path):
        try:
            trace, reference = _read(json.loads(line), random.Random(f"{seed} {number}"))
        except (ValueError, InvalidTraceError) as error:  # not JSON, or not a trace
            unreadable.append((number, str(error).partition("\n")[0]))
            continue
        if reference is None or verify_answer(trace, reference):
            traces.append(trace)
        else:
            wrong += 1
    if not traces:
        first = f" Line {unreadable[0][0]}: {unreadable[0][1]}" if unreadable else ""
        raise ConfigurationError(f"{path} holds no right trace ({wrong} are wrong).{first}")
    return TraceFile(traces, wrong, unreadable)


def _read(record: Any, rng: random.Random) -> tuple[Trace, str | None]:
    """A trace, and the answer that it has to state."""
    if not isinstance(record, dict) or not record.get("question"):
        raise InvalidTraceError('a line must be a JSON object with "question" and "trace"')
    question, answer = record["question"], record.get("answer")
    trace = reasoning = response = None
    if record.get("trace"):
        trace = Trace.from_text(record["trace"], question)
    elif reasoning := record.get("reasoning"):
        response = record.get("response")
        trace = Trace(reasoning=reasoning, question=question, response=response)
    elif response := record.get("response"):
        trace = Trace.from_text(response, question)
    elif isinstance(answer, str) and "####" in answer:
        return _gsm8k(question, answer, rng), None
    if trace is None:
        raise InvalidTraceError('"trace", "reasoning" or "response" is missing')
    if trace.truncated:
        raise InvalidTraceError("the trace was cut off")
    if not trace.reasoning.strip():
        raise InvalidTraceError("the trace is empty")
    reference = record.get("reference", answer)
    return trace, None if reference is None or not str(reference).strip() else str(reference)


def _gsm8k(question: str, answer: str, rng: random.Random) -> Trace:
    body, _, final = strip_marks(answer).rpartition("####")
    body, final = body.strip(), final.strip()
    if not body or not final:
        raise InvalidTraceError("a solution in the form of GSM8K needs steps and an answer after ####")
    end = rng.choice(_ENDS)
    if not end and stated(body) != normalize_answer(final):  # it would not be known without
        end = _ENDS[0]
    return Trace(reasoning=body + end.format(final), question=question)
