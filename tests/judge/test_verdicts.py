from __future__ import annotations

import pytest
from pydantic import ValidationError

from me2sdk._choices import Dimension
from me2sdk.judge import Comparison, DimensionVerdict, PairVerdict, Ranking
from me2sdk.schema import Vote


def vote(subject: str, order: str = "ab") -> Vote:
    return Vote.model_validate({"subject": subject, "order": order, "repeat": 0, "decision": "a"})


def verdict(preference: str = "a") -> PairVerdict:
    dimension = DimensionVerdict(
        preference="a", agreement=1.0, rationale="why", votes=(vote("micro_efficiency"),)
    )
    fields = {"preference": preference, "agreement": 1.0, "consistent": True, "rationale": ""}
    return PairVerdict.model_validate(
        {**fields, "dimensions": {"micro_efficiency": dimension}, "aggregate": (vote("aggregate"),)}
    )


def test_values_come_back_equal_from_json() -> None:
    ranking = Ranking(
        order=(1, 0),
        ranks=(1, 2),
        strengths=(-1.5, 1.5, None),
        comparisons=(Comparison(a=0, b=1, verdict=verdict("b")),),
        dags=(None, None, None),
    )
    again = Ranking.model_validate_json(ranking.model_dump_json())
    assert again == ranking
    assert list(again.comparisons[0].verdict.dimensions) == [Dimension.MICRO_EFFICIENCY]


def test_a_subject_is_a_dimension_or_the_aggregate() -> None:
    assert vote("micro_efficiency").subject is Dimension.MICRO_EFFICIENCY
    assert vote("aggregate").subject == "aggregate"
    with pytest.raises(ValidationError):
        vote("style")


def test_all_votes_are_in_one_place() -> None:
    assert [vote.subject for vote in verdict().votes] == ["micro_efficiency", "aggregate"]


def test_no_label_but_the_three() -> None:
    with pytest.raises(ValidationError):
        verdict("failed")


def test_a_comparison_is_found_in_either_order() -> None:
    met = Comparison(a=2, b=0, verdict=verdict())
    ranking = Ranking(
        order=(2, 0), ranks=(1, 2), strengths=(0, None, 0), comparisons=(met,), dags=(None,) * 3
    )
    assert ranking.comparison(0, 2) == ranking.comparison(2, 0) == met
    assert ranking.comparison(0, 1) is None
    assert ranking.unranked == (1,)
