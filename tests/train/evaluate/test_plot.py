from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from me2sdk import ConfigurationError
from me2sdk.scorers import open_scorer
from me2sdk.train import BestOfNReport, CandidateQuestion, evaluate_best_of_n, plot_best_of_n
from me2sdk.train.evaluate.questions import Trace

pytest.importorskip("matplotlib", reason="needs the extra [train]")


@pytest.fixture(scope="module")
def report() -> BestOfNReport:
    questions = [
        CandidateQuestion(
            question=f"q{number}",
            candidates=tuple(Trace(reasoning="so " * (place + 1)) for place in range(8)),
            correct=tuple(place % 3 == number for place in range(8)),
            models=("A", "B") * 4,
        )
        for number in range(3)
    ]
    return evaluate_best_of_n(questions, {"mini": open_scorer("mini"), "longest": open_scorer("longest")})


def test_a_png_of_a_readable_size(report: BestOfNReport, tmp_path: Path) -> None:
    plot_best_of_n(report, tmp_path / "curve.png", title="Some set")
    data = (tmp_path / "curve.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    assert width > 1000
    assert height > 600
    plot_best_of_n(report, tmp_path / "again.png", title="Some set")
    assert (tmp_path / "again.png").read_bytes() == data


def test_an_svg_names_every_method_and_each_n(report: BestOfNReport, tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot_best_of_n(report, tmp_path / "curve.svg", model="A", title="Model A")
    text = (tmp_path / "curve.svg").read_text()
    for label in [*report.curves("A"), "Model A", "candidates N", "accuracy of the chosen candidate"]:
        assert f">{label}</text>" in text
    assert all(f">{n}</text>" in text for n in (1, 2, 4))
    assert ">confidence</text>" not in text  # no answers, no confidence


def test_a_reliability_diagram_beside_the_curves(tmp_path: Path) -> None:
    import matplotlib

    questions = [
        CandidateQuestion(
            question=f"q{number}",
            candidates=tuple(Trace.from_text(f"It is {one}.\n#### {one}") for one in (4, 4, number)),
            correct=(number % 2 == 0, number % 2 == 0, False),
        )
        for number in range(4)
    ]
    report = evaluate_best_of_n(questions, {"mini": open_scorer("mini")})
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot_best_of_n(report, tmp_path / "curve.svg")
    text = (tmp_path / "curve.svg").read_text()
    (one,) = report.calibrations
    assert f">mini, auto: ECE {one.ece:.3f}, AUROC {one.auroc:.3f}</text>" in text
    for label in [*report.curves(), "confidence", "accuracy"]:
        assert f">{label}</text>" in text


def test_what_cannot_be_drawn(report: BestOfNReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"to \.png, \.svg or \.pdf, not to curve\.gif"):
        plot_best_of_n(report, tmp_path / "curve.gif")
    with pytest.raises(
        ConfigurationError, match=r"no curve for 'C'. There are: '', '\(within model\)', 'A', 'B'"
    ):
        plot_best_of_n(report, tmp_path / "curve.png", model="C")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigurationError, match=r'pip install "me2sdk\[train\]"'):
        plot_best_of_n(report, tmp_path / "curve.png")
    assert list(tmp_path.iterdir()) == []
