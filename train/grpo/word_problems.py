"""Arithmetic word problems with exact answers, made by rule: questions for GRPO runs that need no data.

The answer of a problem is computed from the numbers in its text, so it is right by construction, and
`verify_answer` checks responses against it. Questions for training and for evaluation never overlap: which side
a question is on follows from a hash of its text, whatever the seed.
"""

from __future__ import annotations

import hashlib
import operator
import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Value

__all__ = ["LEVELS", "Split", "WordProblem", "make_word_problems"]

Split = Literal["train", "eval"]
LEVELS = (1, 2, 3, 4)
"""1: one step with small numbers; 2: one step with larger ones; 3: two steps; 4: three steps."""

_TRIES = 500  # draws in a row without a new problem before there are taken to be no more
_EVAL_SHARE = 5  # one question in five is kept for evaluation
_OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


class WordProblem(Value):
    """One problem.

    Attributes:
        question: the problem in words.
        reference: the exact answer, as text.
        level: its difficulty, one of `LEVELS`.
        equations: the steps to the answer ("4 * 6 = 24", "24 - 3 = 21").
    """

    question: str
    reference: str
    level: int
    equations: tuple[str, ...]

    def solution(self, *, wordy: bool = False) -> str:
        """A worked solution that ends with ``#### answer``.

        Args:
            wordy: hedge and repeat a step, as weak reasoning does; the steps and the answer stay right.
        """
        first, *rest = self.equations
        if wordy:
            parts = [
                f"Hmm, let me think. I will work with the numbers. {first}. Wait, let me check: {first}."
            ]
            parts += [f"Now the next thing. {equation}." for equation in rest]
        else:
            parts = [f"{first}.", *(f"Then {equation}." for equation in rest)]
        return f"{' '.join(parts)}\n#### {self.reference}"


class _Template(NamedTuple):
    """Text with the numbers a to d, and the steps: r is the result of the last one, s of the one before."""

    levels: tuple[int, ...]
    text: str
    steps: tuple[str, ...]


_RANGES = {1: (2, 12), 2: (11, 70), 3: (2, 15), 4: (2, 20)}
_NAMES = "Ana Ben Carla David Ema Farid Grace Hugo Ines Jon Kofi Lena Mara Noor Omar Pia Rosa Sam Tara Yusuf".split()
_THINGS = "apples books buttons cards coins eggs marbles muffins pencils shells stamps stickers tickets toys".split()
_BOXES = "bags baskets boxes cartons crates drawers jars packs trays".split()

_TEMPLATES = tuple(
    _Template(levels, text, tuple(steps))
    for levels, text, *steps in (
        ((1, 2), "{n} has {a} {t} and buys {b} more. How many {t} does {n} have now?", "a + b"),
        ((1, 2), "{n} has {a} {t} and {m} has {b} {t}. How many {t} do they have together?", "a + b"),
        ((1, 2), "{a} {t} lie on a table. {n} puts {b} {t} beside them. How many {t} are there now?", "a + b"),
        ((1, 2), "{n} had {a} {t} and gave {b} of them to {m}. How many {t} does {n} have left?", "a - b"),
        ((1, 2), "{n} has {a} {t}. {m} has {b} {t}. How many more {t} does {n} have than {m}?", "a - b"),
        ((1, 2), "{n} needs {a} {t} and already has {b}. How many {t} are missing?", "a - b"),
        ((1,), "{n} fills {a} {x} with {b} {t} each. How many {t} is that?", "a * b"),
        ((1,), "One of the {x} costs {a} dollars. How many dollars do {b} of them cost?", "a * b"),
        ((2,), "{n} shares {a} {t} equally among {c} friends. How many {t} does each friend get?", "a / c"),
        ((2,), "{n} reads {c} pages a day. How many pages does {n} read in {b} days?", "c * b"),
        ((3,), "{n} has {a} {x} with {b} {t} each and gives away {c} {t}. How many {t} are left?", "a * b", "r - c"),
        ((3,), "{n} buys {a} {x} with {b} {t} each and finds {c} more {t}. How many {t} is that?", "a * b", "r + c"),
        ((3,), "{n} has {a} {t}, buys {b} more and then loses {c}. How many {t} has {n} now?", "a + b", "r - c"),
        ((3,), "{n} has {a} {t}. {m} has {b} more than {n}. How many {t} have they together?", "a + b", "a + r"),
        ((3,), "{n} has {a} {t}. {m} has {b} times as many. How many {t} have they together?", "a * b", "a + r"),
        ((3,), "A pen costs {a} dollars and a book {b}. How many dollars do {c} pens and one book cost?",
         "a * c", "r + b"),
        ((3,), "{n} has {a} {t} and {m} has {b}. They share all of them equally between the two of them. How many {t} "
         "does each get?", "a + b", "r / 2"),
        ((4,), "{n} has {a} {x} with {b} {t} each, sells {c} {t} and buys {d} more. How many {t} does {n} have now?",
         "a * b", "r - c", "r + d"),
        ((4,), "{n} buys {a} {t} at {b} dollars each and {c} {x} at {d} dollars each. How many dollars is that?",
         "a * b", "c * d", "s + r"),
        ((4,), "{n} saves {a} dollars a week for {b} weeks, spends {c} dollars and gets {d} dollars as a present. How "
         "many dollars does {n} have?", "a * b", "r - c", "r + d"),
        ((4,), "{n} packs {a} {x} with {b} {t} each and has {c} {t} left over. Then {n} shares all the {t} equally "
         "among {d} friends. How many {t} does each friend get?", "a * b", "r + c", "r / d"),
        ((4,), "A bus starts with {a} people. {b} get on at the first stop, {c} get off at the second and {d} at the "
         "third. How many people are on the bus?", "a + b", "r - c", "r - d"),
        ((4,), "{n} has {a} {t}, {m} has {b} times as many, and {c} {t} lie on a table. How many {t} is that in all?",
         "a * b", "a + r", "r + c"),
    )
)  # fmt: skip


def make_word_problems(
    count: int, *, seed: int = 0, levels: Sequence[int] = LEVELS, split: Split = "train"
) -> list[WordProblem]:
    """Make word problems.

    Args:
        count: how many.
        seed: the same seed gives the same problems.
        levels: difficulties to draw from, each as likely; see `LEVELS`.
        split: "train" or "eval". A question of one is never in the other, with any seed.

    Returns:
        ``count`` problems with different questions.

    Raises:
        ConfigurationError: a level or split does not exist, or there are not that many different questions.

    Example:
        ```python
        from me2sdk.train import make_word_problems

        problem = make_word_problems(1, levels=[2])[0]
        print(problem.level, problem.solution().endswith(problem.reference))  # 2 True
        ```
    """
    unknown = set(levels) - set(LEVELS)
    if count < 0 or unknown or not levels or split not in ("train", "eval"):
        raise ConfigurationError(
            f'make_word_problems takes a count of at least 0, levels from {LEVELS} and split "train" or "eval"; it was '
            f"given {count}, {list(levels)} and {split!r}."
        )
    rng = random.Random(f"word problems {seed} {split}")
    problems: dict[str, WordProblem] = {}
    dry = 0
    while len(problems) < count:
        problem = _draw(rng, rng.choice(list(levels)))
        if problem is not None and problem.question not in problems and _split_of(problem.question) == split:
            problems[problem.question] = problem
            dry = 0
            continue
        dry += 1
        if dry > _TRIES:
            raise ConfigurationError(
                f"Only {len(problems)} different problems of levels {list(levels)} could be made, not {count}. "
                "Ask for fewer, or for more levels."
            )
    return list(problems.values())


def _draw(rng: random.Random, level: int) -> WordProblem | None:
    """One problem, or None where the numbers drawn do not fit the text."""
    template = rng.choice([one for one in _TEMPLATES if level in one.levels])
    low, high = _RANGES[level]
    numbers = {name: rng.randint(low, high) for name in "abcd"}
    if level == 2:
        numbers["c"] = rng.randint(2, 9)
    values, equations = dict(numbers), []
    for step in template.steps:
        left, sign, right = step.split()
        x, y = (values.get(name) or int(name) for name in (left, right))
        result = _OPERATIONS[sign](x, y)
        if result < 1 or result != int(result):  # nobody has -2 apples, or 3.5
            return None
        values |= {"s": values.get("r", 0), "r": int(result)}
        equations.append(f"{x} {sign} {y} = {int(result)}")
    n, m = rng.sample(_NAMES, 2)
    words = {"n": n, "m": m, "t": rng.choice(_THINGS), "x": rng.choice(_BOXES)}
    return WordProblem(
        question=template.text.format(**numbers, **words),
        reference=str(values["r"]),
        level=level,
        equations=tuple(equations),
    )


def _split_of(question: str) -> Split:
    digest = hashlib.sha256(question.encode()).digest()
    return "eval" if digest[0] % _EVAL_SHARE == 0 else "train"
