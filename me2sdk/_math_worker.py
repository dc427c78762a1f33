"""Compare answers with math-verify, one JSON line in, one out: ``["gold", "answer"]`` → ``true | false | null``.

A process of its own, since math-verify's time limit is a signal that only a main thread can take, and since a
comparison that hangs must be killable. ``null`` means that it could not be judged.
"""

from __future__ import annotations

import json
import sys


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
