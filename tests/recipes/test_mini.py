import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.sample_data import write, write_data, write_modern
from typer.testing import CliRunner

from me2sdk.scorers.mini import MiniScorer
from me2sdk.scorers.mini.features import FEATURES
from me2sdk.scorers.mini.scorer import MiniWeights
from recipes import bradley_terry, damage, mini, mini_report
from recipes.mini_among import Sampled, read_sampled
from recipes.sources import CandidateSet, Pair, held_out


@pytest.fixture(scope="module", autouse=True)
def _few_penalties() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mini, "PENALTIES", (1e-2, 1e-3))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_modern(write_data(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def sampled(data: Path) -> dict[str, list[Sampled]]:
    return read_sampled(data)


@pytest.fixture(scope="module")
def weights(data: Path, sampled: dict[str, list[Sampled]]) -> MiniWeights:
    return mini.fit_weights(mini.training_pairs(data), sampled)


def test_pairs_come_from_all_sources_and_are_the_same_each_time(data: Path) -> None:
    pairs = mini.training_pairs(data)
    assert {pair.source for pair in pairs} == {"gsm8k", "bigbench_mistake", "prmbench"}
    assert pairs == mini.training_pairs(data)


def test_questions_that_are_measured_on_are_left_out(data: Path, tmp_path: Path) -> None:
    measured = json.loads((data / "gsm8k/candidates_dev.jsonl").read_text(encoding="utf-8").splitlines()[0])
    extra = tmp_path / "more"
    (extra / "gsm8k").mkdir(parents=True)
    for name in ("bigbench_mistake", "prmbench", "simplerl"):
        (extra / name).symlink_to(data / name)
    (extra / "gsm8k/candidates_dev.jsonl").symlink_to(data / "gsm8k/candidates_dev.jsonl")
    recurring = {"question": measured["question"].upper(), "answer": measured["two"]["solution"] + "\n#### 1"}
    write(extra / "gsm8k/train.jsonl", [recurring])
    assert "gsm8k" not in {pair.source for pair in mini.training_pairs(extra)}


def test_no_fault_is_rewarded_and_no_merit_punished(weights: MiniWeights) -> None:
    assert {feature.name for feature in weights.alone} <= FEATURES.keys()
    for feature in (*weights.alone, *weights.among):
        assert feature.weight >= 0 if feature.name in bradley_terry.MERITS else feature.weight <= 0
    assert any(feature.weight < 0 for feature in weights.alone)


def test_a_fit_beats_chance_on_unseen_questions(data: Path, weights: MiniWeights) -> None:
    unseen = [
        pair for pair in mini.training_pairs(data) if held_out(pair.question) and pair.source == "gsm8k"
    ]
    scorer = MiniScorer(weights)
    right = [a > b for p in unseen for a, b in [scorer.score(p.question, [p.better, p.worse])]]
    assert len(right) > 10
    assert sum(right) / len(right) > 0.7


def test_the_fit_does_not_see_held_out_questions(
    data: Path, weights: MiniWeights, sampled: dict[str, list[Sampled]]
) -> None:
    pairs = [pair for pair in mini.training_pairs(data) if not held_out(pair.question)]
    seen = {name: [one for one in some if not held_out(one.question)] for name, some in sampled.items()}
    assert seen != sampled
    assert mini.fit_weights(pairs, seen) == weights


def test_pair_weights_take_the_length_out_of_a_kind() -> None:
    longer = Pair(question="q", better="aaaa", worse="a", source="gsm8k", kind="k")
    shorter = Pair(question="q", better="a", worse="aaaa", source="gsm8k", kind="k")
    other = Pair(question="q", better="a", worse="aaaa", source="prmbench", kind="k")
    found = mini.pair_weights([longer, shorter, shorter, shorter, other])
    assert found.sum() == pytest.approx(1.0)
    assert found[0] == pytest.approx(found[1:4].sum())
    assert found[:4].sum() / found[4] == pytest.approx(1.0 / mini.SOURCE_WEIGHTS["prmbench"])


class Longest:
    """A scorer whose figures are easy to know."""

    name, version = "longest", "0"

    def score(self, question: str, traces: list[str] | tuple[str, ...]) -> list[float]:
        return [float(len(trace)) for trace in traces]


def test_report_on_known_figures(data: Path) -> None:
    pairs = [
        Pair(question="q", better="aaaa", worse="a", source="s", kind="k"),
        Pair(question="q", better="a", worse="aaaa", source="s", kind="k"),
        Pair(question="q", better="aa", worse="bb", source="s", kind="k"),
    ]
    report = mini_report.measure(Longest(), pairs, data, data / "champ")
    row = report.pairs[0]
    assert (row.source, row.kind, row.pairs, row.accuracy, row.shorter) == ("s", "all", 3, 0.5, 0.5)
    assert (row.longer_better, row.shorter_better, row.ties) == (1.0, 0.0, pytest.approx(1 / 3))
    gsm8k = next(row for row in report.candidates if row.source == "gsm8k_candidates")
    assert (gsm8k.scorer.mean, gsm8k.longest, gsm8k.shortest, gsm8k.first) == (1.0, 1.0, 0.0, 0.0)
    assert (gsm8k.random, gsm8k.gain.mean, gsm8k.best_possible, gsm8k.pairwise) == (0.5, 0.5, 1.0, 1.0)
    assert [row.source for row in report.candidates][2:] == ["champ_odd", "champ_odd_within_model"]
    assert "champ_odd_within_model" in mini_report.table(report)


def test_intervals_hold_the_mean_and_tied_votes_share() -> None:
    estimate = mini_report._estimate([0.0, 1.0] * 50, [str(n) for n in range(100)])
    assert estimate.low < estimate.mean == 0.5 < estimate.high
    assert estimate.high - estimate.low == pytest.approx(4 * 0.05, abs=0.03)
    tied = CandidateSet(
        question="q", traces=("a", "b"), correct=(True, False), answers=("1", "2"), models=("", "")
    )
    assert mini_report._majority(tied) == 0.5
    outvoted = tied.model_copy(
        update={"traces": ("a", "b", "c"), "correct": (True, False, False), "answers": ("1", "2", "2")}
    )
    assert mini_report._majority(outvoted) == 0.0


def test_commands(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "mini.json"
    runner = CliRunner()
    fitted = runner.invoke(mini.app, ["fit", "--data", str(data), "--out", str(out)])
    assert fitted.exit_code == 0, fitted.output
    first = out.read_bytes()
    assert MiniWeights.model_validate_json(first).provenance["seed"] == mini.SEED
    arguments = ["evaluate", "--data", str(data), "--champ", str(data / "champ"), "--weights", str(out)]
    measured = runner.invoke(mini.app, arguments)
    assert measured.exit_code == 0, measured.output
    assert "gsm8k_candidates" in measured.output
    as_json = runner.invoke(mini.app, [*arguments, "--json"])
    report = mini_report.Report.model_validate_json(as_json.output)
    assert report.scorer == "mini"
    assert {row.source for row in report.pairs} == {"gsm8k", "bigbench_mistake", "prmbench", "prmbench_dev"}


def test_solve_finds_the_one_feature_that_matters() -> None:
    draw = np.random.default_rng(0)
    differences = draw.normal(size=(400, len(FEATURES)))
    place = list(FEATURES).index("wrong_equations")
    differences[:, place] = -np.abs(differences[:, place])
    theta = bradley_terry.solve(differences, np.full(400, 1 / 400), 1e-3)
    assert np.argmin(theta) == place
    assert theta[place] < -1


def test_kinds_are_all_used(data: Path) -> None:
    kinds = {pair.kind for pair in mini.training_pairs(data) if pair.source == "gsm8k"}
    assert kinds == set(damage.KINDS)
