"""How long comparing answers takes: single checks, a vote, and a vote over answers made to be slow.

    python benchmarks/verify.py [--repeats 5]

Prints a table to standard error and JSON to standard output. Each figure is the median over repeats, with the
lowest and the highest; math-verify's process is started before the clock is.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from report import save

from me2sdk import verify_answer
from me2sdk.verify import group_answers

CHECKS = [
    ("7 * 6 = 42\n\n\\boxed{42}", "42"),
    ("#### 42 jars", "42"),
    ("The answer is $\\frac{1}{2}$.", "0.5"),
    ("\\boxed{B. 42 jars}", "B"),
    ("\\boxed{x^2+1}", "1+x^2"),
    ("Final answer: 1,000", "1000"),
    ("\\boxed{3\\sqrt{5}}", "\\sqrt{45}"),
    ("\\boxed{(1,2)}", "(1, 2)"),
    ("There are 42 jars.", "42"),
    ("\\boxed{41}", "42"),
]
VOTE = ["42", "42 jars", "\\frac{1}{2}", "0.5", "B", "x+1", "1+x", "\\sqrt{5}", "7", "8.5", "$1,000", "(1,2)"]
HOSTILE = {
    "towers of powers": "9^{{9^{{9^{{{}}}}}}}",
    "long sums": "\\sum_{{k=1}}^{{10000000{0}}} \\frac{{1}}{{k^2+{0}}}",
    "integrals": "\\int_0^1 x^{{x^{{x^{{{}}}}}}} dx",
}


def checks(number: int) -> None:
    for i in range(number):
        verify_answer(*CHECKS[i % len(CHECKS)])


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="repeats (default: 5)")
    options = parser.parse_args()
    verify_answer("\\boxed{|x|}", "\\sqrt{x^2}")  # starts math-verify
    answers = (VOTE * 6)[:64]
    work: dict[str, Callable[[], object]] = {
        "1,000 ordinary checks": lambda: checks(1000),
        "a vote over 64 ordinary answers": lambda: group_answers(answers),
    }
    for name, form in HOSTILE.items():
        hostile = [form.format(i) for i in range(32)]
        work[f"a vote over 32 {name}"] = lambda hostile=hostile: group_answers(hostile)  # type: ignore[misc]
    rows = []
    for name, each in work.items():
        times = seconds(each, options.repeats)
        rows.append(
            {
                "what": name,
                "ms": round(1000 * statistics.median(times), 1),
                "lowest": round(1000 * min(times), 1),
                "highest": round(1000 * max(times), 1),
            }
        )
    save("verify", rows, f"median of {options.repeats} repeats; math-verify's process was running")


if __name__ == "__main__":
    main()
