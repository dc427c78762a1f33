from __future__ import annotations

import json
import math
import random
from importlib import resources
from pathlib import Path

import pytest

from me2sdk import Candidate, Trace
from me2sdk.sampling import FEATURES
from recipes.modern import SampledQuestion

pytest.importorskip("scipy", reason="fitting needs scipy")
from recipes import decision
from recipes.decision import Example, example, examples, fit


def question(answers: list[str | None], right: str, name: str = "q") -> SampledQuestion:
    texts = sorted({answer for answer in answers if answer is not None})
    return SampledQuestion(
        question=name,
        candidates=tuple(
            Candidate(
                index=i, trace=Trace(reasoning=f"word{chr(97 + i)} {answer}"), answer=answer, score=float(i)
            )
            for i, answer in enumerate(answers)
        ),
        groups=tuple(None if answer is None else texts.index(answer) for answer in answers),
        correct=tuple(float(answer == right) for answer in answers),
        models=("m",) * len(answers),
        source="made up",
    )


def test_an_example_is_the_leading_answer_and_whether_it_is_right() -> None:
    one = example(4, question(["4", "5", "4", "6"], right="4"), rewarded=True)
    assert one is not None
    assert one.right
    assert one.others == ((1.0, False), (1.0, False))
    features = dict(zip(FEATURES, one.features, strict=True))
    assert features["votes"] == pytest.approx(0.0)  # two of four: log(2.5 / 2.5)
    assert features["margin"] == pytest.approx(0.25)
    assert features["unanswered"] == 0
    assert features["reward"] != 0
    assert (
        dict(
            zip(
                FEATURES,
                example(4, question(["4", "5", "4", "6"], "4"), rewarded=False).features,
                strict=False,
            )
        )["reward"]
        == 0
    )  # type: ignore[union-attr]
    assert example(2, question([None, None], right="4"), rewarded=True) is None


def test_a_fit_finds_that_agreement_tells_right_from_wrong() -> None:
    draw = random.Random(0)
    questions = []
    for number in range(120):
        share = draw.choice([0.3, 0.9])
        answers = ["4" if draw.random() < share else draw.choice("56789") for _ in range(8)]
        questions.append(
            question(list(answers), right="4" if draw.random() < share else "0", name=str(number))
        )
    made = examples(questions, repeats=1)
    model = fit({"made up": made})
    surest = sorted(made, key=lambda one: model.leader(one.features))
    third = len(surest) // 3
    assert sum(one.right for one in surest[-third:]) > sum(one.right for one in surest[:third]) + third / 5
    said = sum(model.leader(one.features) for one in made) / len(made)
    assert said == pytest.approx(sum(one.right for one in made) / len(made), abs=0.02)


def test_none_of_these_is_what_makes_the_rest_likeliest() -> None:
    rest = Example(size=4, features=(0.0,) * len(FEATURES), right=False, others=((1.0, True), (1.0, False)))
    lost = Example(size=4, features=(0.0,) * len(FEATURES), right=False, others=((1.0, False), (1.0, False)))
    model = fit({"made up": [rest, lost]})
    assert model.none == pytest.approx(2.0, rel=0.01)  # then half of the chance is in the two others
    chances = model.all_answers(0, 0.4, {0: 2.0, 1: 1.0, 2: 1.0})
    assert chances == {0: 0.4, 1: pytest.approx(0.15, abs=0.01), 2: pytest.approx(0.15, abs=0.01)}


def test_the_command_writes_what_the_package_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "DATA", tmp_path / "decision.json")
    monkeypatch.setattr(decision, "SETS", {"made up": "made_up"})
    made = [question(["4", "4", "5", "6"], right=right, name=str(i)) for i, right in enumerate("445")]
    monkeypatch.setattr(decision, "without_each", lambda *args: {"made up": None})
    monkeypatch.setattr(decision, "read_set", lambda *args, **options: made)
    decision.main(tmp_path)
    written = json.loads((tmp_path / "decision.json").read_text("utf-8"))
    shipped = json.loads((resources.files("me2sdk") / "data" / "decision.json").read_text("utf-8"))
    assert written.keys() == shipped.keys() == {"intercept", "weights", "none"}
    assert list(written["weights"]) == list(shipped["weights"]) == list(FEATURES)
    assert all(
        math.isfinite(value)
        for value in [shipped["intercept"], shipped["none"], *shipped["weights"].values()]
    )
