"""What comes of many questions, and how it adds up."""

from __future__ import annotations

import pytest

from me2sdk import BestOfNManyResult, BestOfNResult, RerankResult, Usage
from me2sdk.sampling import ManySummary, QuestionFailure

USAGE = Usage(calls=3, prompt_tokens=30, completion_tokens=9, cost=0.5)
ANSWERED = BestOfNResult(candidates=(), asked=3, usage=USAGE)
ABSTAINED = BestOfNResult(candidates=(), asked=8, abstained=True, usage=USAGE)
SHORT = QuestionFailure(
    error="GenerationError", message="Only 1.", partial=BestOfNResult(candidates=(), asked=8), usage=USAGE
)
UNASKED = QuestionFailure(error="BudgetExceeded", message="There is nothing left.")


@pytest.mark.parametrize(
    ("outcome", "summary"),
    [
        (ANSWERED, ManySummary(answered=1, samples_asked=3, samples_saved=5, usage=USAGE)),
        (ABSTAINED, ManySummary(abstained=1, samples_asked=8, usage=USAGE)),
        (SHORT, ManySummary(failed=1, samples_asked=8, usage=USAGE)),  # a failure saves nothing
        (UNASKED, ManySummary(failed=1)),
    ],
)
def test_the_summary_of_one_question(outcome: BestOfNResult | QuestionFailure, summary: ManySummary) -> None:
    assert ManySummary.of(outcome, 8) == summary
    assert summary.questions == 1


def test_summaries_add_up() -> None:
    total = sum((ManySummary.of(one, 8) for one in (ANSWERED, ABSTAINED, SHORT, UNASKED)), ManySummary())
    assert (total.questions, total.answered, total.abstained, total.failed) == (4, 1, 1, 2)
    assert (total.samples_asked, total.samples_saved) == (19, 5)
    assert total.usage == USAGE + USAGE + USAGE


def test_a_cost_that_is_not_known_stays_unknown() -> None:
    unknown = ANSWERED.model_copy(update={"usage": Usage(calls=1, cost=None)})
    assert (ManySummary.of(ANSWERED, 8) + ManySummary.of(unknown, 8)).usage.cost is None


def test_each_kind_of_outcome_loads_back_as_what_it_was() -> None:
    unscored = QuestionFailure(error="ScoringError", message="No.", partial=RerankResult(candidates=()))
    results = (ANSWERED, ABSTAINED, SHORT, UNASKED, unscored)
    many = BestOfNManyResult(results=results, summary=ManySummary())
    again = BestOfNManyResult.model_validate_json(many.model_dump_json())
    assert again == many
    assert [type(one) for one in again.results] == [type(one) for one in results]
    assert type(again.results[-1].partial) is RerankResult  # type: ignore[union-attr]
