"""Questions with several candidates each, and which of them are right: the input of best-of-N."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from me2sdk._jsonl import fingerprint, read_jsonl
from me2sdk.errors import InvalidTraceError
from me2sdk.schema import Question, Trace, Value
from me2sdk.train.data import as_reference
from me2sdk.train.evaluate.journal import Journal
from me2sdk.verify import agroup_answers, averify_answer

__all__ = ["CandidateQuestion", "add_correctness", "answer_groups", "read_candidates"]

_VERIFIER, _GROUPER = "(verify)", "(answers)"
_AT_ONCE = 32  # questions whose verdicts are written together


class CandidateQuestion(Value):
    """A question with its candidates.

    Attributes:
        question: what was asked.
        candidates: the candidates. One without reasoning counts, but cannot be scored.
        correct: whether each one's answer is right, or None where ``reference`` is to decide.
        reference: the right answer, or None.
        answers: each one's answer, for votes; None or "" has no vote. Empty to take those of the traces.
        models: the model that wrote each, or empty.
    """

    question: Question
    candidates: tuple[Trace, ...]
    correct: tuple[bool, ...] | None = None
    reference: str | None = None
    answers: tuple[str | None, ...] = ()
    models: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> CandidateQuestion:
        count = len(self.candidates)
        if not count:
            raise ValueError("it has no candidates")
        if self.correct is None and not (self.reference or "").strip():
            raise ValueError(
                'it needs "correct" (a list of true and false) or "reference" (the right answer)'
            )
        for name in ("correct", "answers", "models"):
            if (values := getattr(self, name)) and len(values) != count:
                raise ValueError(f'"{name}" has {len(values)} entries for {count} candidates')
        return self

    @property
    def key(self) -> str:
        """A fingerprint of everything."""
        return fingerprint(self.model_dump_json())

    def only(self, places: Sequence[int]) -> CandidateQuestion:
        """The same question with some of its candidates."""
        kept = {
            name: tuple(values[place] for place in places)
            for name in ("candidates", "correct", "answers", "models")
            if (values := getattr(self, name))
        }
        return self.model_copy(update=kept)


def read_candidates(path: str | Path) -> Iterator[CandidateQuestion]:
    """Read questions from JSONL (``-`` is standard input), in the format of ``me2 rerank`` with what is right.

    Each line holds ``question``, ``candidates`` (texts, assistant messages, ``{"text": …}``, or candidates as
    ``me2 ask --json`` prints them), and ``correct`` or ``reference``; it may hold ``answers`` and ``models`` (a
    candidate may also name its ``model`` itself). Other fields are left out.

    Raises:
        ConfigurationError: the file cannot be read.
        InvalidTraceError: a line is no such question; the message says which.

    Example:
        ```python
        from pathlib import Path
        from me2sdk.train import read_candidates

        line = '{"question": "What is 2 + 2?", "candidates": ["It is 4.", "It is 5."], "reference": "4"}'
        Path("candidates.jsonl").write_text(line, "utf-8")
        print([len(question.candidates) for question in read_candidates("candidates.jsonl")])  # [2]
        ```
    """
    for number, line in read_jsonl(str(path)):
        try:
            record = json.loads(line)
            if not isinstance(record, dict) or not isinstance(record.get("candidates"), list):
                raise ValueError('it needs "question" and "candidates", a list')
            found = [_candidate(entry) for entry in record["candidates"]]
            models = record.get("models") or [model or "" for _, model in found]
            yield CandidateQuestion(
                question=record.get("question") or "",
                candidates=tuple(trace for trace, _ in found),
                correct=record.get("correct"),
                reference=as_reference(record.get("reference")),
                answers=[as_reference(answer) for answer in record.get("answers") or ()],
                models=models if any(models) else (),
            )
        except ValidationError as error:
            problems = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
            raise InvalidTraceError(
                f"Line {number} of {path} is no question with candidates: {problems}"
            ) from None
        except (ValueError, TypeError) as error:
            raise InvalidTraceError(
                f"Line {number} of {path} is no question with candidates: {error}"
            ) from None


def _candidate(entry: Any) -> tuple[Trace, str | None]:
    if isinstance(entry, str):
        return Trace.from_text(entry), None
    if not isinstance(entry, dict):
        raise ValueError(f"a candidate is a text or an object, not {type(entry).__name__}")
    model = entry.get("model")
    if isinstance(entry.get("trace"), dict):
        return Trace.model_validate(entry["trace"]), model
    if isinstance(entry.get("text"), str):
        return Trace.from_text(entry["text"]), model
    try:
        return Trace.from_message(entry), model
    except InvalidTraceError:
        return Trace(reasoning=""), model  # a candidate that came back empty: it counts, and is wrong


async def add_correctness(
    questions: Iterable[CandidateQuestion], journal: Journal
) -> tuple[list[CandidateQuestion], int]:
    """Say which candidates are right where only a reference is given.

    Returns:
        The questions with ``correct``, and how many candidates could not be judged; they count as not right.
    """
    items = list(questions)
    found = journal.begin(_VERIFIER, {})
    todo = [item for item in items if item.correct is None and item.key not in found]
    for start in range(0, len(todo), _AT_ONCE):
        journal.put(_VERIFIER, {item.key: await _outcomes(item) for item in todo[start : start + _AT_ONCE]})
    judged: list[CandidateQuestion] = []
    undecided = 0
    for item in items:
        if item.correct is None:
            outcomes = found[item.key]
            undecided += outcomes.count("undecided")
            item = item.model_copy(update={"correct": tuple(outcome == "right" for outcome in outcomes)})
        judged.append(item)
    return judged, undecided


async def _outcomes(item: CandidateQuestion) -> list[str]:
    reference = item.reference or ""
    verdicts = await asyncio.gather(*(averify_answer(trace, reference) for trace in item.candidates))
    return [verdict.outcome for verdict in verdicts]


async def answer_groups(questions: Sequence[CandidateQuestion], journal: Journal) -> list[list[int | None]]:
    """For each question a number for each candidate's answer, equal where answers are; None: it has no vote."""
    found = journal.begin(_GROUPER, {})
    todo = [item for item in questions if not item.answers and item.key not in found]
    for start in range(0, len(todo), _AT_ONCE):
        part = todo[start : start + _AT_ONCE]
        answers = [[None if t.truncated else t.answer for t in item.candidates] for item in part]
        journal.put(
            _GROUPER,
            {item.key: await agroup_answers(said) for item, said in zip(part, answers, strict=True)},
        )
    return [_equal_texts(item.answers) if item.answers else found[item.key] for item in questions]


def _equal_texts(answers: Sequence[str | None]) -> list[int | None]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(answer, len(numbers)) if answer else None for answer in answers]
