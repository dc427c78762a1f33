"""Are two answers the same? By mathematics where math-verify is installed, else as normalised text."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Trace, Verification

__all__ = ["agroup_answers", "averify_answer", "group_answers", "normalize_answer", "verify_answer"]

_LATEX_NOISE = re.compile(
    r"\\(?:text|mathrm|mathbf|textbf|mbox)\s*\{([^{}]*)\}|\\(?:left|right|displaystyle|[!,;:> $])|[$]"
)
_NUMBER = re.compile(r"[+-]?\d{0,40}(?:\.\d{1,40}|\.|/\d{1,40})?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")
_LONGEST = 1000  # characters of an answer that math-verify is asked about


def normalize_answer(answer: str) -> str:
    """An answer without what does not change it: LaTeX dressing, currency signs, spaces, case, a final full stop.

    Numbers come out in one form: ``1,000``, ``$1000.00`` and ``1000`` are the same, and so are ``0.5`` and
    ``1/2``.
    """
    text = _LATEX_NOISE.sub(lambda match: match[1] or "", answer[: 10 * _LONGEST])
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").strip().strip("*_`").rstrip(".")
    text = re.sub(r"\s+", " ", text).strip().lower()
    number = _THOUSANDS.sub("", text).replace(" ", "").replace("£", "").replace("€", "")
    number = re.sub(r"^([+-]?)\\frac\{(\d{1,40})\}\{(\d{1,40})\}$", r"\1\2/\3", number)
    if _NUMBER.fullmatch(number) and any(map(str.isdigit, number)) and not re.search(r"/0*$", number):
        return str(Fraction(number.rstrip(".")))
    return text


def _is_number(normal: str) -> bool:
    return re.fullmatch(r"-?\d+(?:/\d+)?", normal) is not None


def _is_words(normal: str) -> bool:
    """Whether text is plain words, which a parser of mathematics would read as products of variables."""
    return re.search(r"[\d\\^_=+*/<>|]", normal) is None and re.search(r"[^\W\d_]{2}", normal) is not None


class _Worker:
    """The process that runs math-verify; started at first use, killed when it hangs, started anew after."""

    def __init__(self, seconds: float = 15.0) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def equal(self, gold: str, answer: str) -> bool | None:
        """Whether the two are equal; None where math-verify cannot tell or does not come back in time."""
        with self._lock:
            process = self._process = self._process or self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            timer = threading.Timer(self.seconds, process.kill)
            timer.start()
            try:
                process.stdin.write(json.dumps([gold, answer]) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            finally:
                timer.cancel()
            if not line:
                self._stop()
                return None
            verdict = json.loads(line)
            return verdict if isinstance(verdict, bool) else None

    def _start(self) -> subprocess.Popen[str]:
        atexit.register(self._stop)
        return subprocess.Popen(
            [sys.executable, "-m", "me2sdk._math_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.communicate()  # reaps it and closes its pipes


_worker = _Worker()


def _equal(gold: str, answer: str) -> tuple[bool | None, str]:
    """Whether two answers are equal (None: cannot tell), and what decided."""
    a, b = normalize_answer(gold), normalize_answer(answer)
    if a == b or (_is_number(a) and _is_number(b)) or (_is_words(a) and _is_words(b)):
        return a == b, "text"
    if importlib.util.find_spec("math_verify") is None:
        return False, "text"
    if max(len(gold), len(answer)) > _LONGEST:
        return None, "none"
    return _worker.equal(gold, answer), "math-verify"


def group_answers(answers: Sequence[str | None]) -> list[int | None]:
    """Number answers so that equal ones get the same number, for a majority vote.

    Args:
        answers: answers as text; None for a candidate without one.

    Returns:
        For each answer the number of its group, counted from 0 in order of appearance; None for None. An
        answer that cannot be compared stands alone.
    """
    names: dict[str, int] = {}
    leaders: list[str] = []
    groups: list[int | None] = []
    for answer in answers:
        if answer is None:
            groups.append(None)
            continue
        normal = normalize_answer(answer)
        if normal not in names:
            match = next((i for i, leader in enumerate(leaders) if _equal(leader, answer)[0]), None)
            if match is None:
                match = len(leaders)
                leaders.append(answer)
            names[normal] = match
        groups.append(names[normal])
    return groups


async def agroup_answers(answers: Sequence[str | None]) -> list[int | None]:
    """`group_answers` in a thread, since comparing can take seconds."""
    return await asyncio.to_thread(group_answers, answers)


async def averify_answer(response: str | Trace | dict[str, Any], reference: str) -> Verification:
    """Check the final answer of a response against a reference; see `verify_answer`."""
    if not isinstance(reference, str) or not reference.strip():
        raise ConfigurationError("verify_answer needs a reference answer: a string that is not empty.")
    if isinstance(response, Trace):
        trace = response
    else:
        trace = Trace.from_text(response) if isinstance(response, str) else Trace.from_message(response)
    spoken = (trace.response or "").strip()
    answer = trace.answer or (spoken if spoken and "\n" not in spoken and len(spoken) <= 80 else None)
    if answer is None:
        return Verification(outcome="undecided", method="none", answer=None, reference=reference)
    equal, method = await asyncio.to_thread(_equal, reference, answer)
    outcome = "undecided" if equal is None else "right" if equal else "wrong"
    return Verification(outcome=outcome, method=method, answer=answer, reference=reference)


def verify_answer(response: str | Trace | dict[str, Any], reference: str) -> Verification:
    r"""Check the final answer of a response against a reference (paper §5.4, without its model verifier).

    Args:
        response: a completion as text, a `Trace`, or an assistant message. Its answer is what
            `Trace.answer` finds, or the whole response where that is one short line.
        reference: the right answer.

    Returns:
        A `Verification`, true only if right. The outcome is "undecided" where the response states no answer
        or the two cannot be compared. Without math-verify (``pip install math-verify``) answers are
        compared as normalised text, so that ``\sqrt{2}`` and ``2^{1/2}`` count as different.

    Raises:
        ConfigurationError: the reference is empty.
        InvalidTraceError: the response is not text, a trace or a message.
    """
    return run_sync(averify_answer(response, reference))
