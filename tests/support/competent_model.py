"""A model that does what it is asked: it solves questions, and it annotates, summarises, judges and verifies.

``OpenAIServer(answer)`` stands for the models that the documentation names.
"""

from __future__ import annotations

import re

from support.annotate_doubles import by_script
from support.fake_provider import Reply, Request

from me2sdk.testing import FakeModel

# Each ends in the same answer; the second is the best reasoned by any standard, the others waver or leave out.
SOLUTIONS = (
    "Hmm, 6 times 7. Let me see. Hmm, maybe 42. Wait, let me check: 6 * 7 = 42. Yes, 6 * 7 = 42.\n\n"
    "So the answer is \\boxed{42}.",
    "We need 6 * 7.\n\n6 * 7 = 6 * 5 + 6 * 2 = 30 + 12 = 42.\n\nSo the answer is \\boxed{42}.",
    "It should be about 40.\n\nThe answer is \\boxed{42}.",
    "6 * 7 = 36 + 6 = 42.\n\nThe answer is \\boxed{42}.",
)


def fewer_doubts(*traces: str) -> str:
    """The judgement on two traces."""
    first, second = (len(re.findall(r"\b(?:hmm|wait|maybe)\b", trace, re.IGNORECASE)) for trace in traces)
    return "tie" if first == second else "first" if first < second else "second"


def competent_model() -> FakeModel:
    """As a function."""
    return FakeModel(SOLUTIONS, judge=fewer_doubts, annotate=by_script({2: "backtrack 0"}))


_MODEL = competent_model()


def answer(request: Request) -> Reply:
    """As the behaviour of an `OpenAIServer`."""
    return Reply([_MODEL.answer(**request.body) for _ in range(request.body.get("n") or 1)])
