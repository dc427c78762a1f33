from __future__ import annotations

import re

import pytest
from hypothesis import given, settings, strategies as st

from me2sdk import verify_answer
from me2sdk.errors import ConfigurationError
from me2sdk.train import WordProblem, make_word_problems
from me2sdk.train.grpo.word_problems import _TEMPLATES, LEVELS


@given(st.integers(0, 10**6), st.sampled_from(LEVELS))
@settings(max_examples=30, deadline=None)
def test_answers_are_right(seed: int, level: int) -> None:
    for problem in make_word_problems(5, seed=seed, levels=[level]):
        for equation in problem.equations:
            left, right = equation.split(" = ")
            assert eval(left) == int(right)
            assert int(right) > 0
        assert problem.equations[-1].endswith(f" = {problem.reference}")
        assert {"1": 1, "2": 1, "3": 2, "4": 3}[str(level)] == len(problem.equations)
        assert not re.search(r"[{}]", problem.question)


def test_every_number_of_the_first_step_stands_in_the_question() -> None:
    for problem in make_word_problems(300):
        shown = set(re.findall(r"\d+", problem.question))
        assert set(re.findall(r"\d+", problem.equations[0].partition(" = ")[0])) <= shown


@pytest.mark.parametrize("wordy", [False, True])
def test_solutions_pass_the_verifier_and_others_do_not(wordy: bool) -> None:
    for problem in make_word_problems(40):
        assert verify_answer(problem.solution(wordy=wordy), problem.reference)
        assert not verify_answer(problem.solution(wordy=wordy), str(int(problem.reference) + 1))


def test_the_same_seed_gives_the_same_problems() -> None:
    assert make_word_problems(20, seed=1) == make_word_problems(20, seed=1)
    assert make_word_problems(20, seed=1) != make_word_problems(20, seed=2)
    assert make_word_problems(10, seed=1) == make_word_problems(20, seed=1)[:10]


def test_training_and_evaluation_never_share_a_question() -> None:
    train = {problem.question for seed in (0, 1) for problem in make_word_problems(3000, seed=seed)}
    held_out = {p.question for seed in (0, 1) for p in make_word_problems(1000, seed=seed, split="eval")}
    assert not train & held_out
    assert len(held_out) > 1900


def test_every_template_and_level_appears() -> None:
    problems = make_word_problems(1500)
    assert {problem.level for problem in problems} == set(LEVELS)
    shapes = {re.sub(r"\d+|\b[A-Z][a-z]+\b|\b[a-z]+s\b", "", problem.question) for problem in problems}
    assert len(shapes) >= len(_TEMPLATES) - 2


@pytest.mark.parametrize("wrong", [{"levels": [5]}, {"levels": []}, {"split": "test"}, {"count": -1}])
def test_arguments_that_cannot_work(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="make_word_problems takes"):
        make_word_problems(**{"count": 1, **wrong})  # type: ignore[arg-type]


def test_more_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("me2sdk.train.grpo.word_problems._draw", lambda rng, level: None)
    with pytest.raises(ConfigurationError, match="Only 0 different"):
        make_word_problems(1)


def test_a_problem_loads_back_equal() -> None:
    [problem] = make_word_problems(1)
    assert WordProblem.model_validate_json(problem.model_dump_json()) == problem
