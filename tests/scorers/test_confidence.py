"""The generator's own confidence as a reward."""

from __future__ import annotations

import asyncio
from typing import Any, get_args

import pytest

from me2sdk import ConfigurationError, ScoringError, Trace, rerank
from me2sdk.schema import Certainty, Failure
from me2sdk.scorers import (
    ConfidenceMeasure,
    ConfidenceScorer,
    Ensemble,
    LengthScorer,
    Scorer,
    asks_for,
    explain_request,
    open_scorer,
    score_each,
)

MEASURES = get_args(ConfidenceMeasure)
ALL = Certainty(
    tokens=3,
    mean_logprob=-1.0,
    sum_logprob=-3.0,
    perplexity=2.7,
    tail=-0.8,
    lowest_window=-1.2,
    top_k=4.0,
    self_certainty=5.0,
    entropy=0.6,
)
WITHOUT_ALTERNATIVES = ALL.model_copy(update={"top_k": None, "self_certainty": None, "entropy": None})
SCORES = {
    "mean": -1.0,
    "sum": -3.0,
    "tail": -0.8,
    "lowest_window": -1.2,
    "top_k": 4.0,
    "self_certainty": 5.0,
    "entropy": -0.6,
    "perplexity": -2.7,
}
NEED_ALTERNATIVES = {"top_k", "self_certainty", "entropy"}


@pytest.mark.parametrize("measure", MEASURES)
def test_a_score_is_the_measure_so_that_higher_is_surer(measure: Any) -> None:
    scorer = ConfidenceScorer(measure)
    assert isinstance(scorer, Scorer)
    assert scorer.score("Q", [Trace(reasoning="x", certainty=ALL)]) == [SCORES[measure]]


@pytest.mark.parametrize("measure", MEASURES)
def test_it_asks_for_what_it_needs(measure: Any) -> None:
    more = {"top_logprobs": 10} if measure in NEED_ALTERNATIVES else {}
    assert asks_for(ConfidenceScorer(measure)) == {"logprobs": True, **more}


def test_other_scorers_ask_for_nothing() -> None:
    assert asks_for(None) == asks_for(LengthScorer("shortest")) == {}
    both = Ensemble({ConfidenceScorer("top_k"): 1, LengthScorer("shortest"): 1})
    assert asks_for(both) == {"logprobs": True, "top_logprobs": 10}


def test_what_it_asks_for_is_its_own() -> None:
    asks_for(ConfidenceScorer())["logprobs"] = False
    scorer = ConfidenceScorer()
    asks_for(scorer).clear()
    assert asks_for(scorer) == {"logprobs": True}


@pytest.mark.parametrize("measure", MEASURES)
def test_names(measure: Any) -> None:
    scorer = open_scorer(f"confidence:{measure}")
    assert isinstance(scorer, ConfidenceScorer)
    assert scorer.by == measure
    assert scorer.name == ("confidence" if measure == "mean" else f"confidence:{measure}")
    assert open_scorer("confidence").by == "mean"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["confidence:", "confidence:best", "confidence:mean:tail"])
def test_a_measure_that_does_not_exist(name: str) -> None:
    with pytest.raises(ConfigurationError, match="mean, sum, tail"):
        open_scorer(name)


def test_it_takes_no_options_of_models() -> None:
    with pytest.raises(ConfigurationError, match="does not take device"):
        open_scorer("confidence:tail", device="cpu")


@pytest.mark.parametrize("measure", MEASURES)
def test_a_trace_without_logprobs_fails_alone_and_says_what_to_do(measure: Any) -> None:
    traces = [Trace(reasoning="x", certainty=ALL), Trace(reasoning="y"), Trace(reasoning="z", certainty=ALL)]
    found = asyncio.run(score_each(ConfidenceScorer(measure), "Q", traces))
    assert [one.score for one in found] == [SCORES[measure], None, SCORES[measure]]
    assert isinstance(found[1].error, ScoringError)
    assert "logprobs=True" in str(found[1].error)
    assert "Anthropic" in str(found[1].error)


@pytest.mark.parametrize("measure", MEASURES)
def test_logprobs_without_alternatives(measure: Any) -> None:
    scorer, traces = ConfidenceScorer(measure), [Trace(reasoning="x", certainty=WITHOUT_ALTERNATIVES)]
    if measure not in NEED_ALTERNATIVES:
        assert scorer.score("Q", traces) == [SCORES[measure]]
        return
    with pytest.raises(ScoringError, match=rf"which confidence:{measure} needs.*top_logprobs=10"):
        scorer.score("Q", traces)


def carrying(text: str, *values: float) -> dict[str, Any]:
    """A message with log-probabilities."""
    return {"role": "assistant", "content": text, "logprobs": [{"logprob": value} for value in values]}


def test_rerank_reads_candidates_that_carry_logprobs() -> None:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"content": "It is 6."},
        "logprobs": [-0.2, -0.4],
    }
    candidates = [carrying("It is 4.", -1.0, -3.0), choice, "It is 5."]
    result = rerank("Q", candidates, scorer="confidence", select="best")
    assert [(one.index, one.score) for one in result.candidates[:2]] == [(1, pytest.approx(-0.3)), (0, -2.0)]
    (failed,) = result.failures
    assert (failed.index, failed.stage, failed.error) == (2, "score", "ScoringError")
    assert result.scorer == "confidence"


def test_a_choice_that_is_a_refusal_is_one() -> None:
    refused = {"message": {"content": None, "refusal": "No."}, "logprobs": [-0.1], "finish_reason": "stop"}
    result = rerank("Q", [refused, carrying("It is 4.", -1.0)], scorer="confidence")
    assert [(one.index, one.refusal) for one in result.candidates] == [(1, None), (0, "No.")]


def test_equal_texts_may_differ_in_confidence() -> None:
    same = [carrying("It is 4.", -2.0), carrying("It is 4.", -1.0), carrying("It is 4.", -2.0)]
    result = rerank("Q", same, scorer="confidence", select="best")
    assert [(one.index, one.score) for one in result.candidates] == [(1, -1.0), (0, -2.0), (2, -2.0)]


class TestExplainRequest:
    FAILURE = Failure(
        index=0,
        stage="generate",
        error="BadRequestError",
        message="unknown field 'top_logprobs'.",
        status=400,
    )

    def test_a_refusal_names_the_scorer_and_what_it_asked_for(self) -> None:
        message = explain_request(self.FAILURE, ConfidenceScorer("entropy")).message
        assert message == (
            "unknown field 'top_logprobs'. The scorer confidence:entropy asks for top_logprobs=10: take another "
            "scorer, or a model that gives it."
        )

    @pytest.mark.parametrize(
        ("scorer", "changes"),
        [
            (None, {}),
            (LengthScorer("shortest"), {}),
            (ConfidenceScorer(), {}),  # it asked for logprobs alone
            (ConfidenceScorer("entropy"), {"status": 500}),
            (ConfidenceScorer("entropy"), {"status": None}),
            (ConfidenceScorer("entropy"), {"message": "no such model"}),
        ],
    )
    def test_other_failures_stay_as_they_are(self, scorer: Any, changes: dict[str, Any]) -> None:
        failure = self.FAILURE.model_copy(update=changes)
        assert explain_request(failure, scorer) == failure
