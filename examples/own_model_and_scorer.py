"""Bring your own model and your own scorer: a function and a class are enough."""

import itertools

from me2sdk import Candidate, best_of_n

drafts = itertools.cycle(["It is 54.", "6 * 9 = 54, so it is 54.\n#### 54", "6 * 9 = 56.\n#### 56"])


def model(messages: list[dict[str, str]], **params: object) -> str:
    """Stands for any client of yours; it may be async, and may return a message dict with reasoning_content."""
    return next(drafts)


class ShowsItsWork:
    """One point for each equation."""

    def score(self, question: object, traces: list) -> list[float]:
        """Give each trace a number; higher is better."""
        return [float(trace.reasoning.count("=")) for trace in traces]


def report(candidate: Candidate) -> None:
    """Called as soon as a candidate is scored, while others are still on their way."""
    print(f"candidate {candidate.index} arrived with reward {candidate.score}")


result = best_of_n("What is 6 * 9?", model=model, n=6, scorer=ShowsItsWork(), on_candidate=report)
print(f"best, with {result.answers[0].votes} of {len(result.candidates)} votes: {result.best.response}")
