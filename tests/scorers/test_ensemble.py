from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from me2sdk import ConfigurationError, Trace, best_of_n, rerank
from me2sdk.schema import Scores
from me2sdk.scorers import Ensemble, open_scorer


class Fixed:
    """Gives the number that a trace holds after the scorer's letter: ``a3 b1``."""

    def __init__(self, letter: str, scale: float = 1.0) -> None:
        self.name, self.scale = letter, scale
        self.batches: list[int] = []

    def score(self, question: Any, traces: Any) -> list[float]:
        self.batches.append(len(traces))
        found = []
        for trace in traces:
            text = trace if isinstance(trace, str) else trace.reasoning
            word = next(word for word in text.split() if word.startswith(self.name))
            if word.endswith("!"):
                raise RuntimeError("cannot")
            found.append(self.scale * float(word[1:]))
        return found


def test_rewards_of_any_scale_are_weighted_alike() -> None:
    texts = ["a3 b1", "a2 b9", "a1 b2"]
    first = Ensemble({Fixed("a"): 1, Fixed("b"): 1}).score("q", texts)
    scaled = Ensemble({Fixed("a", 1e6): 1, Fixed("b", 1e-6): 1}).score("q", texts)
    assert list(first) == pytest.approx(list(scaled))
    deviation = math.sqrt(2 / 3)
    spread = math.sqrt((9 + 25 + 4) / 3)
    assert first[0] == pytest.approx(1 / deviation + (1 - 4) / spread)
    assert first.parts == [{"a": 3.0, "b": 1.0}, {"a": 2.0, "b": 9.0}, {"a": 1.0, "b": 2.0}]


def test_by_rank_only_the_order_counts() -> None:
    given = Ensemble({Fixed("a"): 2, Fixed("b"): 1}, normalize="rank").score("q", ["a3 b1", "a2 b9", "a1 b9"])
    assert list(given) == pytest.approx([2 * 0.5 - 0.5, 0 + 0.25, -2 * 0.5 + 0.25])


def test_one_trace_has_nothing_to_be_compared_with() -> None:
    assert list(Ensemble({Fixed("a"): 1}).score("q", ["a3"])) == [0.0]
    assert list(Ensemble({Fixed("a"): 1}, "rank").score("q", ["a3"])) == [0.0]


def test_each_question_has_a_scale_of_its_own() -> None:
    given = Ensemble({Fixed("a"): 1}).score(["p", "q", "p", "q"], ["a1", "a100", "a2", "a300"])
    assert list(given) == pytest.approx([-1, -1, 1, 1])


def test_where_a_scorer_fails_the_trace_is_average_there() -> None:
    given = Ensemble({Fixed("a"): 1, Fixed("b"): 1}).score("q", ["a1 b!", "a3 b2", "a2 b4"])
    assert given.parts[0] == {"a": 1.0}
    assert given[0] == pytest.approx(-1 / math.sqrt(2 / 3))
    with pytest.raises(Exception, match="b could score none of the 2 traces"):
        Ensemble({Fixed("a"): 1, Fixed("b"): 1}).score("q", ["a1 b!", "a3 b!"])


def test_candidates_say_what_each_scorer_gave() -> None:
    first, second = Fixed("a"), Fixed("b")
    both = Ensemble({first: 1, second: 3})
    result = rerank("q", ["a3 b1", "a1 b3"], scorer=both, select="best")
    assert [candidate.scores for candidate in result.candidates] == [
        {"a": 1.0, "b": 3.0},
        {"a": 3.0, "b": 1.0},
    ]
    assert result.scorer == "a+b"
    assert type(result).model_validate_json(result.model_dump_json()) == result
    texts = iter(["a3 b1", "a1 b3", "a2 b2"])
    sampled = best_of_n(
        "q", model=lambda messages, **p: next(texts), n=3, scorer=both, select="best", max_concurrency=1
    )
    assert [candidate.scores["b"] for candidate in sampled.candidates] == [3, 2, 1]
    assert first.batches == [2, 3]  # all of a question in one call


def test_names_join_with_a_plus(tmp_path: Path) -> None:
    scorer = open_scorer("shortest+mini")
    assert isinstance(scorer, Ensemble)
    assert scorer.weights == {"shortest": 1.0, "mini": 1.0}
    assert (
        rerank("q", ["It is 4.", "4"], scorer="longest+shortest", select="best").scorer == "longest+shortest"
    )
    with pytest.raises(ConfigurationError, match="no/such"):
        open_scorer("mini+no/such").load()  # type: ignore[attr-defined]
    assert Ensemble({"mini": 2, Fixed("a"): 1}).weights == {"mini": 2.0, "a": 1.0}
    twice = Ensemble({open_scorer("shortest"): 1, open_scorer("shortest"): 2})
    assert twice.weights == {"shortest#1": 1.0, "shortest#2": 2.0}


def test_weights_by_name_are_json() -> None:
    scorer = open_scorer('{"shortest": 1, "mini": 2.5}')
    assert isinstance(scorer, Ensemble)
    assert scorer.weights == {"shortest": 1.0, "mini": 2.5}
    again = open_scorer(json.dumps(scorer.weights))
    assert again.score("q", ["It is 4.", "4"]) == scorer.score("q", ["It is 4.", "4"])


@pytest.mark.parametrize("name", ["{", "{}", '{"mini": "much"}', '{"mini": null}'])
def test_what_is_no_ensemble_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no ensemble\. Write names and weights as JSON"):
        open_scorer(name)


def test_what_one_scorer_leaves_out_is_told() -> None:
    class Cuts:
        name = "cuts"

        def score(self, question: Any, traces: Any) -> Scores:
            return Scores([0.0] * len(traces), [len(trace.reasoning) for trace in traces])

    assert Ensemble({"mini": 1, Cuts(): 1}).score("q", ["It is 4.", "4"]).truncated == [8, 1]
    assert rerank("q", ["It is 4.", "4"], scorer=Ensemble({Cuts(): 1})).best.score_truncated == 8


LABELLED = [
    ("q1", ["a9 b1", "a1 b5", "a5 b9"], [True, False, False]),
    ("q2", ["a2 b7", "a8 b3"], [False, True]),
    ("q3", ["a4 b4", "a6 b6"], [True, True]),
    ("q4", ["a7 b2", "a3 b1"], [True, False]),
]


def test_weights_are_fitted_to_labels(tmp_path: Path) -> None:
    scorers = [Fixed("a"), Fixed("b")]
    fitted = Ensemble.fit(scorers, LABELLED)
    assert fitted.weights["a"] > 1
    assert fitted.weights["b"] == 0  # it is worse than nothing, and weights are not negative
    file = tmp_path / "labelled.jsonl"
    rows = [
        {
            "question": q,
            "candidates": [{"role": "assistant", "content": t} for t in texts],
            "correct": correct,
        }
        for q, texts, correct in LABELLED
    ]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert Ensemble.fit(scorers, file).weights == pytest.approx(fitted.weights)
    with pytest.raises(ConfigurationError, match="right and wrong"):
        Ensemble.fit(scorers, LABELLED[2:3])
    file.write_text('{"candidates": ["x"]}')
    with pytest.raises(ConfigurationError, match="Line 1"):
        Ensemble.fit(scorers, file)


@pytest.mark.parametrize(
    ("scorers", "normalize"),
    [({}, "z"), ({"": 1}, "z"), ({7: 1}, "z"), ({Fixed("a"): math.nan}, "z"), ({Fixed("a"): 1}, "log")],
)
def test_what_cannot_work_is_refused(scorers: Any, normalize: Any) -> None:
    with pytest.raises(ConfigurationError):
        Ensemble(scorers, normalize)


def test_traces_of_no_question_are_one_group() -> None:
    given = Ensemble({Fixed("a"): 1}).score(None, [Trace(reasoning="a1"), Trace(reasoning="a3")])
    assert list(given) == pytest.approx([-1, 1])


def test_none_is_no_name() -> None:
    with pytest.raises(ConfigurationError, match="scorer=None"):
        open_scorer("none")
