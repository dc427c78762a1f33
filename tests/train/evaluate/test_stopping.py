from __future__ import annotations

import random
import time

import pytest

from me2sdk import Trace, best_of_n
from me2sdk.sampling import Tally
from me2sdk.train import CandidateQuestion, StoppingRow, evaluate_best_of_n
from me2sdk.train.evaluate.choices import AutoChooser
from me2sdk.train.evaluate.stopping import STOPS, StoppingRun, samples_asked, simulate, stopping_rows


def chooser(answers: str, right: str, question: str = "q") -> AutoChooser:
    item = CandidateQuestion(
        question=question,
        candidates=tuple(Trace(reasoning="So it is.") for _ in answers),
        correct=tuple(letter == right for letter in answers),
        answers=tuple(answers),
    )
    return AutoChooser(item, [ord(letter) for letter in answers], [None] * len(answers))


def runs(found: AutoChooser) -> dict[float | str, StoppingRun]:
    return dict(zip(STOPS, simulate(found), strict=True))


def test_all_agree() -> None:
    # Of four, three alike are sure; of eight, five.
    assert runs(chooser("aaaa", "a"))["sure"] == (0.75, 1.0, 0.0, 0.0)
    assert runs(chooser("aaaaaaaa", "a"))["sure"] == (0.625, 1.0, 0.0, 0.0)
    assert runs(chooser("aaaaaaaa", "b"))["sure"] == (0.625, 0.0, 0.0, 0.0)


def test_none_agree() -> None:
    found = runs(chooser("abcdefgh", "a"))["sure"]
    assert found.used == 1.0
    assert (found.lost, found.changed) == (0.0, 0.0)


def test_sure_never_changes_the_answer_and_less_asks_for_less() -> None:
    draw = random.Random(0)
    for number in range(30):
        found = runs(chooser("".join(draw.choice("aaabc") for _ in range(12)), "a", f"q{number}"))
        assert (found["sure"].lost, found["sure"].changed) == (0.0, 0.0)
        used = [found[stop].used for stop in (0.8, 0.9, 0.95, 0.99)]
        assert used == sorted(used)


def test_what_is_lost_is_seen() -> None:
    # The right answer has 7 of 12 votes; who stops after a few of them may have seen the other one more often.
    everyone = [simulate(chooser("aaaaaaabbbbb", "a", f"q{number}"))[0] for number in range(40)]
    assert all(run.accuracy + run.lost == 1.0 for run in everyone)
    assert all(run.lost == run.changed for run in everyone)
    assert 0 < sum(run.lost for run in everyone) / 40 < 0.5


def test_waves_are_counted_as_they_are_asked_for() -> None:
    seen = []

    def votes(asked: int) -> Tally:
        seen.append(asked)
        return Tally(leader=asked, certain=asked)

    assert samples_asked("sure", 9, votes) == 5
    assert seen == [0, 5]
    assert (
        samples_asked("sure", 9, lambda asked: Tally(leader=asked - asked // 2, certain=1, second=asked // 2))
        == 9
    )


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("answers", ["55555555", "57555755", "12345678", "57575757"])
def test_as_many_are_asked_for_as_by_the_product(stop: float, answers: str) -> None:
    said = iter(answers)
    model = lambda messages, **params: f"The answer is {next(said)}."  # noqa: E731
    result = best_of_n("q", model=model, n=8, stop=stop, scorer=None)
    simulated = chooser(answers, "5")
    assert samples_asked(stop, 8, lambda asked: simulated.tally(range(asked))) == result.asked


def test_rows_are_means_over_questions() -> None:
    one, other = StoppingRun(0.5, 1.0, 0.0, 0.0), StoppingRun(1.0, 0.5, 0.25, 0.5)
    rows = stopping_rows("auto", "A", [[one] * 5, [other] * 5], ["q", "r"])
    assert [row.stop for row in rows] == [0.8, 0.9, 0.95, 0.99, "sure"]
    first = rows[0]
    assert (first.method, first.model, first.questions) == ("auto", "A", 2)
    assert (first.used, first.accuracy.mean, first.lost.mean, first.changed) == (0.75, 0.75, 0.125, 0.25)
    assert (first.accuracy.low, first.accuracy.high) == (0.5, 1.0)
    assert StoppingRow.model_validate_json(rows[-1].model_dump_json()) == rows[-1]


def test_questions_with_few_candidates_are_left_out() -> None:
    def question(count: int) -> CandidateQuestion:
        traces = tuple(Trace.from_text("The answer is 5.") for _ in range(count))
        return CandidateQuestion(question=f"q{count}", candidates=traces, reference="5")

    assert evaluate_best_of_n([question(3)], {}).stopping == ()
    rows = evaluate_best_of_n([question(3), question(4)], {}).stopping
    assert [row.questions for row in rows] == [1] * 5
    assert rows[-1].used == 0.75


def test_many_questions_are_quick() -> None:
    draw = random.Random(1)
    choosers = [
        chooser("".join(draw.choice("aaaabcde") for _ in range(32)), "a", f"q{number}")
        for number in range(40)
    ]
    started = time.perf_counter()
    for found in choosers:
        simulate(found)
    assert time.perf_counter() - started < 10
