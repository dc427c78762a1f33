"""What judges and verifiers say."""

from __future__ import annotations

from typing import Literal

from me2sdk._choices import Dimension
from me2sdk.schema.question import Value
from me2sdk.schema.usage import Usage

__all__ = ["Verification", "Vote"]


class Verification(Value):
    """Whether an answer equals a reference.

    Attributes:
        outcome: "right", "wrong", or "undecided" where it could not be judged.
        method: what decided: "math-verify", "text" (compared after normalisation), "model" (a model was asked),
            "length" (much longer than the reference, so no model was asked), or "none".
        answer: the answer that was compared, or None if the response states none.
        reference: the reference it was compared to.
        usage: what asking a model cost.

    Example:
        ```python
        from me2sdk import verify_answer

        verification = verify_answer("The answer is 4.", 4)
        print(bool(verification), verification.outcome, verification.answer)  # True right 4
        ```
    """

    outcome: Literal["right", "wrong", "undecided"]
    method: str
    answer: str | None
    reference: str
    usage: Usage = Usage()

    def __bool__(self) -> bool:
        """True only for "right"."""
        return self.outcome == "right"


class Vote(Value):
    """One judgement.

    Attributes:
        subject: the dimension judged, or "aggregate" for the judgement over all four.
        order: "ab" where a was shown as Trace 1, "ba" where b was.
        repeat: which of the repeats in this order, from 0.
        decision: "a", "b" or "tie" (not "1" or "2": the order is already taken out), or "failed".
        rationale: what the judge said for it, with Trace 1 and Trace 2 renamed to Trace A and Trace B.
        raw: what the judge said last, as it came but without its thinking.
        model: the model that judged, or None where no answer came.
        asked: how often it was asked: 1, more where its answer could not be read, 0 where it was not asked.
        error: why it failed, or None.
    """

    subject: Dimension | Literal["aggregate"]
    order: Literal["ab", "ba"]
    repeat: int
    decision: Literal["a", "b", "tie", "failed"]
    rationale: str = ""
    raw: str = ""
    model: str | None = None
    asked: int = 1
    error: str | None = None
