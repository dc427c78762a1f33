"""An application that extracts JSON: votes on the fields that matter, and says when it is not sure.

The reason that a model gives differs from sample to sample; only what the application uses is compared. Recorded
answers stand in for a model; with one of your own pass its name: ``model="openai/gpt-4o-mini"``.
"""

import itertools
import json

from me2sdk import Trace, best_of_n

ASKED = "Which city and which date does this mail name? Answer as JSON: city, date, why.\n\nSee you in Rome on May 3rd!"
ANSWERS = [
    '{"city": "Rome", "date": "05-03", "why": "It says: in Rome on May 3rd."}',
    'Sure!\n```json\n{"why": "A meeting.", "date": "05-03", "city": "rome"}\n```',
    '{"city": "Rome", "date": "03-05", "why": "Day and month."}',
    '{"city": "Rome", "date": "05-03", "why": "The mail says so."}',
]
recorded = itertools.cycle(ANSWERS)


def model(messages: list[dict[str, str]], **params: object) -> str:
    """Stands for a model: each call brings the next recorded answer."""
    return next(recorded)


# One field, by its path.
result = best_of_n(ASKED, model=model, n=4, max_concurrency=1, answer="json:date")
print(result.best.answer, [(answer.text, answer.votes) for answer in result.answers])


def place_and_date(trace: Trace) -> str | None:
    """What the application uses; None where a trace holds none, which then has no vote."""
    text = trace.response or ""
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
        return f"{found['city'].casefold()} {found['date']}"
    except (ValueError, KeyError):
        return None


# Several fields, by a function of your own.
result = best_of_n(ASKED, model=model, n=4, max_concurrency=1, answer=place_and_date, min_confidence=0.6)
if result.abstained:
    print("Ask a person. The best guess:", result.best.answer)
else:
    print(result.best.answer, f"(confidence {result.confidence:.2f})")
