from __future__ import annotations

import pytest

from me2sdk import Candidate, RerankResult, Trace, rerank
from me2sdk.sampling import decide
from me2sdk.sampling.reasons import reasons
from me2sdk.schema import Select

Row = tuple[float | None, int | None]


def said(rows: list[Row], select: Select = "auto", weights: list[float] | None = None) -> list[str]:
    candidates = [
        Candidate(
            index=index,
            trace=Trace(reasoning="x", truncated=group == -1),
            score=score,
            answer=None if group is None else str(group),
        )
        for index, (score, group) in enumerate(rows)
    ]
    groups = [group for _, group in rows]
    found = decide(candidates, groups, select=select, weights=weights)
    names = ("candidates", "answers", "confidence", "chosen_by")
    return reasons(RerankResult(select=select, **{name: getattr(found, name) for name in names}))


def test_votes_are_told_first() -> None:
    assert said([(1.0, 0), (2.0, 0), (3.0, 1), (0.0, None), (9.0, -1), (2.0, 0)]) == [
        "Most votes: 3 of 4 votes.",
        "Same answer as #1, came later.",
        "Same answer as #1, lower reward.",
        "1 of 4 votes.",
        "No answer to compare: no vote.",
        "Cut off: behind every finished one, and no vote.",
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(2.0, 0), (1.0, 1)], "no more than the next answer, but a better reward"),
        ([(1.0, 0), (1.0, 1)], "no more than the next answer, but came first"),
    ],
)
def test_equal_votes(rows: list[Row], expected: str) -> None:
    first, second = said(rows)
    assert first == f"1 of 2 votes; {expected}."
    assert second.startswith("1 of 2 votes, as many as #1's answer; ")
    assert second.endswith("lower reward." if "better" in expected else "came later.")


def test_one_answer_and_weights() -> None:
    assert said([(1.0, 0), (0.0, 0)])[0] == "All votes: 2 of 2 votes."
    assert (
        said([(1.0, 0), (0.0, 1)], weights=[1.0, 2.5])[0]
        == "Most votes: 1 of 2 votes, which count 2.5 of 3.5."
    )


def test_by_reward() -> None:
    rows: list[Row] = [(1.0, 0), (2.0, 0), (None, 0), (1.0, 1)]
    assert said(rows, "best") == [
        "Highest reward.",
        "Lower reward than #1.",
        "Same reward as #2, came later.",
        "No reward: behind those that have one.",
    ]
    assert said([(None, None)], "best") == ["No rewards: in the order they came."]


def test_spelling_nearness_and_refusals() -> None:
    spelled = rerank("Q?", ["The answer is 1/2.", "The answer is 1/2.", "It is 0.5", "#### 0.5"], scorer=None)
    assert "written as fewer write it" in " ".join(reasons(spelled))
    refused = {"role": "assistant", "content": None, "refusal": "I cannot."}
    words = ["red green blue", "red green blue", "yellow"]
    near = rerank("Q?", [*words, refused], answer="similar", scorer=None)
    assert reasons(near) == [
        "Nearest to the others.",
        *["How near its text is to the others decides."] * 2,
        "Refused to answer: behind all others.",
    ]
