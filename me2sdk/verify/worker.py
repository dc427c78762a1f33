"""Compare answers with math-verify, one JSON line in, one out: ``["gold", "answer"]`` → ``true | false | null``.

A process of its own, since math-verify's time limit is a signal that only a main thread can take, and since a
comparison that hangs must be killable. ``null`` means that it could not be judged. `Worker` is the other end.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import sys
import threading

__all__ = ["Worker", "main"]


class Worker:
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
            [sys.executable, "-m", "me2sdk.verify.worker"],
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


def main(seconds: int = 3) -> None:
    """Answer lines from standard input until it closes."""
    from math_verify import parse, verify
    from math_verify.errors import TimeoutException

    for line in sys.stdin:
        equal: bool | None = None
        try:
            gold, answer = (
                parse(f"\\boxed{{{text}}}", parsing_timeout=seconds, raise_on_error=True)
                for text in json.loads(line)
            )
            if gold and answer:
                equal = bool(verify(gold, answer, timeout_seconds=seconds, raise_on_error=True))
        except (
            Exception,
            TimeoutException,
        ):  # whatever sympy makes of hostile text, the next line must be answered
            equal = None
        sys.stdout.write(json.dumps(equal) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
