from __future__ import annotations

import csv
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from me2sdk import Candidate, ConfigurationError, Trace, pass_at_k, rerank
from me2sdk.sampling import decide
from me2sdk.schema import Select
from me2sdk.scorers import LengthScorer
from me2sdk.train import BestOfNReport, CandidateQuestion, aevaluate_best_of_n, evaluate_best_of_n
from me2sdk.train.evaluate import WITHIN, votes
from me2sdk.train.evaluate.votes import Ballot, vote_curve


class Marked:
    """Scores a trace by the number that it ends with."""

    def score(self, question: Any, traces: Sequence[Trace | str]) -> list[float]:
        return [float(trace.reasoning.split()[-1]) for trace in traces if isinstance(trace, Trace)]


def elected(ballot: Ballot, subset: tuple[int, ...]) -> float:
    """What an election among ``subset`` brings, step by step."""
    scored = [reward for place in subset if ballot.rewards and (reward := ballot.rewards[place]) is not None]
    votes: Counter[int] = Counter()
    best: dict[int, float] = {}
    for place in subset:
        group = ballot.groups[place]
        if group is not None:
            reward = ballot.rewards[place] if ballot.rewards else None
            below = 0.0 if reward is None else sum(one < reward for one in scored) / len(scored)
            votes[group] += 1 + below / 2  # type: ignore[assignment]
            best[group] = max(best.get(group, -1.0), ballot.standing[place])
    if not votes:
        top = max(ballot.standing[place] for place in subset)
        tied = [ballot.correct[place] for place in subset if ballot.standing[place] == top]
        return sum(tied) / len(tied)
    most = max(votes.values())
    winners = [group for group, weight in votes.items() if weight >= most - 1e-9]
    winners = [group for group in winners if best[group] == max(best[one] for one in winners)]
    shares = []
    for group in winners:
        members = [
            ballot.correct[place]
            for place in subset
            if ballot.groups[place] == group and ballot.standing[place] == best[group]
        ]
        shares.append(sum(members) / len(members))
    return sum(shares) / len(shares)


def mean(ballot: Ballot, k: int) -> float:
    subsets = list(itertools.combinations(range(len(ballot.correct)), k))
    return sum(elected(ballot, subset) for subset in subsets) / len(subsets)


def some_ballot(seed: int, count: int) -> Ballot:
    draw = random.Random(seed)
    groups = [draw.choice([0, 1, 1, 2, None]) for _ in range(count)]
    return Ballot(
        groups,
        [draw.choice([0.0, 1.0]) for _ in range(count)],
        [group == 1 or draw.random() < 0.2 for group in groups],
        [draw.choice([None, -1.0, 0.0, 2.5]) for _ in range(count)] if seed % 2 else [],
    )


@pytest.mark.parametrize("seed", range(8))
def test_votes_are_counted_exactly_where_subsets_are_few(seed: int) -> None:
    ballot = some_ballot(seed, 6)
    accuracy, exact = vote_curve(ballot, [1, 2, 4, 6])
    assert exact == [True] * 4
    assert accuracy == pytest.approx([mean(ballot, k) for k in (1, 2, 4, 6)])


def test_votes_of_many_candidates_are_drawn() -> None:
    ballot = some_ballot(3, 14)
    accuracy, exact = vote_curve(ballot, [2, 7, 14])
    assert exact == [True, False, True]
    assert accuracy[1] == pytest.approx(mean(ballot, 7), abs=0.03)
    assert vote_curve(ballot, [2, 7, 14]) == (accuracy, exact)


def test_nobody_votes() -> None:
    ballot = Ballot([None, None], [0.0, 1.0], [False, True])
    assert vote_curve(ballot, [1, 2])[0] == [0.5, 1.0]
    assert vote_curve(ballot._replace(standing=[0.0, 0.0]), [1, 2])[0] == [0.5, 0.5]


def test_rewards_break_ties_and_weigh_votes() -> None:
    # Two votes for a wrong answer, one for the right one, which has the highest reward.
    ballot = Ballot([0, 0, 1], [0.0, 1.0, 2.0], [False, False, True])
    assert vote_curve(ballot, [2, 3])[0] == [2 / 3, 0.0]  # 1 against 1 in two of three pairs
    # Three against three: without weights the highest reward of all decides, which is 5.
    six = Ballot([0, 0, 0, 1, 1, 1], [5.0, 0.0, 1.0, 4.0, 3.0, 2.0], [False] * 3 + [True] * 3)
    assert vote_curve(six, [6])[0] == [0.0]
    # With them 3 + (5 + 0 + 1) / 6 / 2 is less than 3 + (4 + 3 + 2) / 6 / 2.
    assert vote_curve(six._replace(rewards=six.standing), [6])[0] == [1.0]
    # One that is not scored weighs 1, which is enough: 4 + 6 / 6 / 2 is more than 3 + 9 / 6 / 2.
    seven = Ballot([*six.groups, 0], [*six.standing, -1.0], [*six.correct, False], [*six.standing, None])
    assert vote_curve(seven, [7])[0] == [0.0]
    # All rewards equal: nobody has a lower one, and all weigh 1.
    assert vote_curve(six._replace(rewards=[2.0] * 6, standing=[2.0] * 6), [6])[0] == [0.5]


@pytest.mark.parametrize("select", ["vote", "weighted_vote"])
@pytest.mark.parametrize("seed", range(20))
def test_votes_are_those_of_the_product(seed: int, select: Select) -> None:
    draw = random.Random(seed)
    count = 6
    groups = [draw.choice([0, 1, 1, 2, None]) for _ in range(count)]
    groups[0] = 0  # without any answer, texts are compared
    rewards = draw.sample(range(10), count)  # no ties, so that the order does not count
    correct = [draw.random() < 0.5 for _ in range(count)]
    candidates = [
        Candidate(index=place, trace=Trace(reasoning="So."), answer=str(groups[place]), score=reward)
        for place, reward in enumerate(rewards)
    ]
    ballot = Ballot(groups, [float(one) for one in rewards], correct, rewards if select != "vote" else [])
    best = decide(candidates, groups, select=select).candidates[0].index
    assert vote_curve(ballot, [count])[0] == [correct[best]]


def question(
    scores: Sequence[Any], correct: Sequence[bool], number: int = 0, **more: Any
) -> CandidateQuestion:
    texts = [f"{'x' * (place + 1)} {score}" for place, score in enumerate(scores)]
    return CandidateQuestion(
        question=f"q{number}",
        candidates=tuple(Trace(reasoning=text) for text in texts),
        correct=tuple(correct),
        **more,
    )


def curve(report: BestOfNReport, method: str, model: str = "") -> dict[int, float]:
    return {row.k: row.accuracy.mean for row in report.curves(model)[method]}


def test_curves_against_all_subsets() -> None:
    draw = random.Random(1)
    questions = [
        question(
            [draw.randint(0, 3) for _ in range(5)],
            [draw.random() < 0.4 for _ in range(5)],
            number,
            answers=[draw.choice("ab") for _ in range(5)],
        )
        for number in range(4)
    ]
    report = evaluate_best_of_n(questions, {"marked": Marked()})
    assert [row.k for row in report.curves()["marked"]] == [1, 2, 4, 5]

    def best(one: CandidateQuestion, scores: Sequence[float], k: int) -> float:
        total = 0.0
        subsets = list(itertools.combinations(range(5), k))
        for subset in subsets:
            top = max(scores[place] for place in subset)
            tied = [one.correct[place] for place in subset if scores[place] == top]  # type: ignore[index]
            total += sum(tied) / len(tied)
        return total / len(subsets)

    def average(values: Any) -> Any:
        values = list(values)
        return pytest.approx(sum(values) / len(values))

    for k in (1, 2, 4, 5):
        marks = [[float(trace.reasoning.split()[-1]) for trace in one.candidates] for one in questions]
        assert curve(report, "marked")[k] == average(map(lambda one, s: best(one, s, k), questions, marks))
        short = [-1.0, -2.0, -3.0, -4.0, -5.0]
        assert curve(report, "shortest")[k] == average(best(one, short, k) for one in questions)
        assert curve(report, "random")[k] == average(sum(one.correct) / 5 for one in questions)  # type: ignore[arg-type]
        assert curve(report, "oracle")[k] == pytest.approx(
            pass_at_k([one.correct for one in questions], k)  # type: ignore[misc]
        )
        for method, by_reward, weighted in (
            ("majority vote", False, False),
            ("marked, vote", True, False),
            ("marked, weighted vote", True, True),
        ):
            expected = []
            for one, scores in zip(questions, marks, strict=True):
                groups = ["ab".index(answer or "") for answer in one.answers]
                standing = scores if by_reward else [0.0] * 5
                expected.append(
                    mean(Ballot(groups, standing, one.correct or (), scores if weighted else []), k)
                )
            assert curve(report, method)[k] == average(expected)
    gains = {row.k: row.gain.mean for row in report.curves()["marked"]}
    assert gains[4] == pytest.approx(curve(report, "marked")[4] - curve(report, "random")[4])
    assert {row.method for row in report.rows if not row.exact} == {"marked, auto"}
    assert BestOfNReport.model_validate_json(report.model_dump_json()) == report


def test_curves_end_at_the_fewest_candidates() -> None:
    questions = [question([1, 2, 3], [True, False, True]), question([1] * 7, [False] * 7, 1)]
    report = evaluate_best_of_n(questions, {"marked": Marked()})
    assert sorted(curve(report, "oracle")) == [1, 2, 3]
    assert report.candidates == (3, 7)


def test_a_candidate_without_a_score_is_taken_last_and_counted() -> None:
    # The second cannot be scored and is right: it is only taken where it stands alone.
    report = evaluate_best_of_n([question([1, "oops", 2], [False, True, False])], {"marked": Marked()})
    assert curve(report, "marked") == pytest.approx({1: 1 / 3, 2: 0.0, 3: 0.0})
    assert [(one.item, one.trace) for one in report.failures] == [(0, 1)]
    assert report.scored == {"marked": 2}


def test_an_unfinished_candidate_stands_behind() -> None:
    item = question([1, 2, 9], [True, False, False], answers=["a", "b", None])
    cut = item.candidates[2].model_copy(update={"truncated": True})
    item = item.model_copy(update={"candidates": (*item.candidates[:2], cut)})
    report = evaluate_best_of_n([item], {"marked": Marked()})
    assert curve(report, "marked")[3] == 0.0  # the second, not the third
    report = evaluate_best_of_n(
        [item.model_copy(update={"correct": (False, True, False)})], {"marked": Marked()}
    )
    assert curve(report, "marked") == pytest.approx({1: 1 / 3, 2: 2 / 3, 3: 1.0})
    assert curve(report, "marked, vote")[3] == curve(report, "marked, auto")[3] == 1.0


def test_a_scorer_that_scores_nothing_has_no_curve() -> None:
    class Down:
        def score(self, question: Any, traces: Any) -> list[float]:
            raise OSError("no route")

    report = evaluate_best_of_n([question([1, 2], [True, False])], {"down": Down(), "marked": Marked()})
    assert "down" not in report.curves()
    assert report.scored == {"down": 0, "marked": 2}
    assert len(report.failures) == 2


def test_auto_is_listed_for_each_scorer_or_alone() -> None:
    def methods(*names: str) -> set[str]:
        scorers = {name: Marked() if name == "marked" else LengthScorer("longest") for name in names}
        report = evaluate_best_of_n([question([1, 2], [True, False])], scorers)
        assert {one.method for one in report.calibrations} == {
            m for m in report.curves() if m.endswith("auto")
        }
        return set(report.curves()) - {"random", "shortest", "majority vote", "oracle"}

    votes = {"marked, vote", "marked, weighted vote"}
    assert methods("marked", "longest") == {"marked", "longest", "marked, auto"} | votes
    assert methods("longest") == {"longest", "auto"}
    assert methods() == {"auto"}


def test_auto_is_the_decision_of_rerank() -> None:
    texts = ["So it is 4.\n#### 4", "It is 5.\n#### 5", "Well, 5.\n#### 5", "Perhaps 6.\n#### 6"]
    item = CandidateQuestion(
        question="q", candidates=tuple(map(Trace.from_text, texts)), correct=(False, True, True, False)
    )
    report = evaluate_best_of_n([item], {"mini": "mini"})
    result = rerank("q", texts)
    assert result.best.answer == "5"
    assert curve(report, "mini, auto")[1] == 0.5
    assert curve(report, "mini, auto")[4] == 1.0
    (calibration,) = report.calibrations
    assert (calibration.questions, calibration.confidence) == (1, pytest.approx(result.confidence))


def test_confidence_and_stopping_by_model() -> None:
    questions = [
        question(
            range(8), [number > 0] * 4 + [False] * 4, number, models=["A"] * 4 + ["B"] * 4, answers=["a"] * 8
        )
        for number in range(4)
    ]
    report = evaluate_best_of_n(questions, {"m": Marked()})
    found = {one.model: one for one in report.calibrations}
    assert {model: one.questions for model, one in found.items()} == {"": 4, WITHIN: 8, "A": 4, "B": 4}
    assert (found["A"].accuracy, found["B"].accuracy, found[WITHIN].accuracy) == (0.75, 0.0, 0.375)
    rows = {(row.model, row.stop): row for row in report.stopping}
    assert len(rows) == 4 * 5
    assert rows["A", "sure"].accuracy.mean == 0.75
    assert rows[WITHIN, "sure"].questions == 8
    assert (
        report.stopping_table("B")[-1] | {"stop": "sure", "samples used": "0.750"}
        == report.stopping_table("B")[-1]
    )


def test_recognising_the_model_helps_only_across_models() -> None:
    # The scorer knows which model is the better one, and nothing else.
    questions = [
        question([9, 9, 1, 1], [True, number % 2 == 0, False, False], number, models=("A", "A", "B", "B"))
        for number in range(4)
    ]
    report = evaluate_best_of_n(questions, {"marked": Marked()})
    assert report.models == ["", WITHIN, "A", "B"]
    assert curve(report, "marked")[4] > curve(report, "random")[4]
    assert curve(report, "marked", WITHIN) == curve(report, "random", WITHIN) == {1: 0.375, 2: 0.375}
    assert curve(report, "marked", "A") == {1: 0.75, 2: 0.75}
    assert curve(report, "oracle", "A")[2] == 1.0
    within = report.curves(WITHIN)["marked"][0]
    assert within.questions == 8


def test_models_with_one_candidate_each_are_not_told_apart() -> None:
    report = evaluate_best_of_n([question([1, 2], [True, False], models=("A", "B"))], {})
    assert report.models == [""]


def test_a_second_run_scores_nothing_again(tmp_path: Path) -> None:
    output = tmp_path / "scores.jsonl"
    questions = [question([1, 2], [True, False], number) for number in range(3)]
    first = evaluate_best_of_n(questions, {"m": Marked()}, output=output)

    class Never(Marked):
        def score(self, question: Any, traces: Any) -> list[float]:
            raise AssertionError("scored again")

    Never.__name__ = "Marked"
    second = evaluate_best_of_n(questions, {"m": Never()}, output=output)
    assert second.rows == first.rows
    more = evaluate_best_of_n(questions, {"m": Never(), "longest": LengthScorer("longest")}, output=output)
    assert "longest" in more.curves()
    assert "longest, weighted vote" not in more.curves()


def test_long_form_csv_and_tables(tmp_path: Path) -> None:
    report = evaluate_best_of_n([question([1, 2], [True, False])], {"m": Marked()})
    report.write_csv(tmp_path / "x.csv")
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert len(rows) == len(report.rows) == 8 * 2
    methods = list(dict.fromkeys(row["method"] for row in rows))
    assert methods == [
        "random", "shortest", "majority vote", "m", "m, vote", "m, weighted vote", "m, auto", "oracle",
    ]  # fmt: skip
    assert rows[7] | {"method": "m", "k": "2", "accuracy": "0.000000", "exact": "True"} == rows[7]
    table = {line["method"]: line for line in report.table()}
    assert (table["m"]["N=1"], table["m"]["N=2"]) == ("0.500", "0.000")
    assert table["oracle"]["gain over random"].startswith("+0.500")


def test_what_cannot_work() -> None:
    with pytest.raises(ConfigurationError, match="no questions"):
        evaluate_best_of_n([], {})
    for name in ("random", "auto"):
        with pytest.raises(ConfigurationError, match=f"'{name}' is always in the report"):
            evaluate_best_of_n([question([1], [True])], {name: Marked()})


async def test_the_async_twin() -> None:
    questions = [question([1, 2], [True, False])]
    assert (await aevaluate_best_of_n(questions, {"m": Marked()})).rows == evaluate_best_of_n(
        questions, {"m": Marked()}
    ).rows


def test_a_hundred_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    questions = [
        question(
            [draw.random() for _ in range(100)],
            [draw.random() < 0.1 for _ in range(100)],
            number,
            answers=[str(draw.randint(0, 40)) for _ in range(100)],
        )
        for number in range(2)
    ]
    report = evaluate_best_of_n(questions, {"m": Marked()})
    rows = report.curves()["majority vote"]
    assert [row.k for row in rows] == [1, 2, 4, 8, 16, 32, 64, 100]
    assert [row.exact for row in rows] == [True, False, False, False, False, False, False, True]
    assert report.curves()["random"][0].accuracy.mean == pytest.approx(report.curves()["m"][0].accuracy.mean)
    monkeypatch.setattr(votes, "DRAWS", 4000)
    finer = {row.k: row.accuracy.mean for row in evaluate_best_of_n(questions, {}).curves()["majority vote"]}
    assert {row.k: row.accuracy.mean for row in rows} == pytest.approx(finer, abs=0.03)
