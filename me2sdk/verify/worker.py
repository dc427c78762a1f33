"""Compare answers with math-verify, one JSON line in, one out: ``["gold", "answer"]`` → ``true | false | null``.

A process of its own, since math-verify's time limit is a signal that only a main thread can take, and since a
comparison that hangs must be killable. ``null`` means that it could not be judged. `Worker` is the other end.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import queue
import subprocess
import sys
import threading
import time

__all__ = ["Worker", "main"]

_READY = "ready"


class Worker:
    """The process that runs math-verify; started at first use, killed when it hangs, started anew after."""

    def __init__(self, seconds: float = 15.0) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._ready = False

    def start(self) -> None:
        """Start the process without waiting for it."""
        with self._lock:
            self._started()

    def equal(self, gold: str, answer: str, seconds: float | None = None, each: float = 15.0) -> bool | None:
        """Whether the two are equal; None where math-verify cannot tell or does not come back in time.

        Args:
            gold: the reference, as LaTeX.
            answer: what is held against it.
            seconds: how long to wait in all, the start of the process included; by default `seconds`.
            each: how long the comparison alone may take.
        """
        deadline = time.monotonic() + (self.seconds if seconds is None else seconds)
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return None
        try:
            process = self._started()
            if not self._ready:
                # One that is still starting is left to it: the next call finds it ready.
                line = self._line(deadline - time.monotonic())
                if line is None:
                    return None
                if not line:
                    self._stop()
                    return None
                self._ready = True
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps([gold, answer]) + "\n")
                process.stdin.flush()
            except OSError:
                self._stop()
                return None
            line = self._line(min(each, deadline - time.monotonic()))
            if not line:
                self._stop()
                return None
            verdict = json.loads(line)
            return verdict if isinstance(verdict, bool) else None
        finally:
            self._lock.release()

    def _line(self, seconds: float) -> str | None:
        """The next line, "" where the process has ended, None where neither happens in time."""
        try:
            return self._lines.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            atexit.register(self._stop)
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "me2sdk.verify.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
            self._ready, self._lines = False, queue.SimpleQueue()
            threading.Thread(target=_read_lines, args=(process, self._lines), daemon=True).start()
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        atexit.unregister(self._stop)
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError):
                process.wait()  # reaps it; the thread that reads closes its output
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()


def _read_lines(process: subprocess.Popen[str], lines: queue.SimpleQueue[str]) -> None:
    assert process.stdout is not None
    with process.stdout, contextlib.suppress(ValueError, OSError):
        for line in process.stdout:
            lines.put(line)
    lines.put("")


def main(seconds: int = 3) -> None:
    """Answer lines from standard input until it closes."""
    from math_verify import parse, verify
    from math_verify.errors import TimeoutException

    sys.stdout.write(_READY + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        equal: bool | None = None
        try:
            gold, answer = (
                parse(f"\\boxed{{{text}}}", parsing_timeout=seconds, raise_on_error=True)
                for text in json.loads(line)
            )
            if gold and answer:
                # Many digits, since six of them make 1.414214 the root of 2.
                equal = bool(
                    verify(
                        gold,
                        answer,
                        float_rounding=20,
                        numeric_precision=40,
                        timeout_seconds=seconds,
                        raise_on_error=True,
                    )
                )
        except (
            Exception,
            TimeoutException,
        ):  # whatever sympy makes of hostile text, the next line must be answered
            equal = None
        sys.stdout.write(json.dumps(equal) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
