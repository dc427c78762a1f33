"""The whole of the recipe with tiny models: once undisturbed, once killed in every stage."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, error
from support.reproduction_doubles import reply, tiny_config, write_questions

from me2sdk.errors import ConfigurationError
from me2sdk.train import read_preferences
from me2sdk.train.data import question_key
from recipes.reproduce_small import CONFIGS, STAGES, read_config, reproduce
from recipes.reproduction.config import ReproduceConfig
from recipes.reproduction.questions import read_rows
from recipes.reproduction.report import markdown
from recipes.reproduction.stages import Place, run_stages

# The files of benchmarks/ name each other as programs of one folder do.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import report as benchmark_report
import reproduce_small as benchmark
import results

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

# Processes that share the seconds which imports take. Each runs the recipe, and kills itself where it is told to.
_NURSERY = """
import json, os, signal, sys
import torch, trl
from pathlib import Path
from me2sdk.llm import load_litellm
from recipes.reproduce_small import STAGES, reproduce
from recipes.reproduction.config import ReproduceConfig
load_litellm()
torch.set_num_threads(1)
import me2sdk.train.grpo.run, me2sdk.train.reward_model.run

def run(config, data, output, kill):
    stage = None
    def progress(news):
        nonlocal stage
        if news.name in {one.name for one in STAGES} and not news.record and news.total == len(STAGES):
            stage = news.name
        elif kill and stage == kill[0] and news.name.startswith(kill[1]) and news.done >= kill[2]:
            os.kill(os.getpid(), signal.SIGKILL)
    reproduce(ReproduceConfig.model_validate(config), Path(data), Path(output), on_progress=progress)

for line in sys.stdin:
    child = os.fork()
    if not child:
        log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            run(*json.loads(line))
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

KILLS = [  # the stage, what is at work in it, and after how many items or steps
    ("preferences", "candidates", 20),
    ("preferences", "verify", 20),
    ("preferences", "dags", 20),
    ("reward_models", "training", 2),
    ("pair_table", "our reward model, seed 1", 1),
    ("pair_table", "prompt-only judge", 2),
    ("pair_table", "structured judge", 2),
    ("best_of_n_candidates", "candidates", 10),
    ("best_of_n", "reward model 0", 1),
    ("warm_up", "training", 11),
    ("grpo", "training", 2),
]


class Nursery:
    """Runs the recipe in processes of its own."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def run(self, config: ReproduceConfig, data: Path, output: Path, kill: Any = None) -> int:
        """Exit code; -9 for a run that killed itself."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        settings = config.model_dump(mode="json")
        self._process.stdin.write(json.dumps([settings, str(data), str(output), kill]) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        assert code in (0, -signal.SIGKILL), self._log.read_text()[-3000:]
        return code


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    log = tmp_path_factory.mktemp("log") / "log"
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", _NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "LOG": str(log), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        text=True,
    )
    with process:
        yield Nursery(process, log)
        process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(reply) as running:
        yield running


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_questions(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def config(server: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> ReproduceConfig:
    return tiny_config(server.url, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def whole(
    nursery: Nursery, config: ReproduceConfig, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of an undisturbed run."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    assert nursery.run(config, data, output) == 0
    return output


def report_of(output: Path) -> Any:
    """The report without times."""
    report = json.loads((output / "report.json").read_text())
    for row in [*report["policies"], *report["tables"][-1]["rows"]]:
        row.pop("minutes", None)
    for run in report["stages"]["reward_models"]["runs"]:
        run.pop("seconds")
    return report


def tables_of(report: Any) -> dict[str, list[dict[str, str]]]:
    return {table["title"].partition(" (")[0]: table["rows"] for table in report["tables"]}


def test_the_tables_of_the_paper_come_out_each_figure_with_its_interval(whole: Path) -> None:
    report = report_of(whole)
    tables = tables_of(report)
    assert list(tables) == [
        "Preference data, constructed pairs",
        "Which trace of a pair is better",
        "Best of N of openai/one",
        "Best of N of openai/two",
        "GRPO with gated rewards",
    ]
    ways = [row["way"] for row in tables["Which trace of a pair is better"]]
    assert ways == [
        "prompt-only judge",
        "structured judge",
        "our reward model",
        "shorter wins",
        "longer wins",
    ]
    interval = re.compile(r"-?\d+\.\d+ \[-?\d+\.\d+, -?\d+\.\d+\]")
    for row in tables["Which trace of a pair is better"]:
        assert interval.fullmatch(row["accuracy"])
        assert row["way"] == "our reward model" or interval.fullmatch(row["our reward model ahead by"])
    for row in tables["Best of N of openai/one"]:
        assert all(interval.fullmatch(value) for name, value in row.items() if name != "chosen by")
    arms = {row["way"]: row for row in tables["GRPO with gated rewards"]}
    assert list(arms) == ["the start", "verifier only", "gated", "gated less verifier only"]
    assert all(interval.fullmatch(row["accuracy"]) for row in arms.values())
    for arm in ("verifier only", "gated"):
        assert arms[arm]["seed 0"]
        assert arms[arm]["seed 1"]
        assert arms[arm]["spread"] != "–"
    assert all("constructed" in table["note"] + table["title"] for table in report["tables"])
    assert (whole / "curves.png").stat().st_size > 10_000
    text = (whole / "report.md").read_text()
    assert text == markdown(json.loads((whole / "report.json").read_text())) + "\n"
    assert all(limit in text for limit in report["limits"])


def test_results_show_the_tables_of_a_run(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (benchmark, benchmark_report, results):
        monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(sys, "argv", ["reproduce_small.py", str(whole)])
    benchmark.main()
    results.main()
    page = (tmp_path / "RESULTS.md").read_text()
    assert "## The paper in small, on real data" in page
    assert "Pairs are constructed. Samplers openai/one and openai/two" in page
    for table in report_of(whole)["tables"]:
        assert f"**{table['title']}.** {table['note']}" in page
    assert "What so small a run cannot show:" in page
    assert (tmp_path / "reproduce_small.png").read_bytes() == (whole / "curves.png").read_bytes()
    assert str(whole.parent) not in page + (tmp_path / "reproduce_small.json").read_text()


def test_the_mean_of_the_seeds_is_that_of_their_rows(whole: Path) -> None:
    stages = report_of(whole)["stages"]
    ours = next(row for row in stages["pair_table"]["rows"] if "seeds" in row)
    means = [one["accuracy"]["mean"] for one in ours["seeds"]]
    assert ours["accuracy"]["mean"] == pytest.approx(sum(means) / len(means))
    for row in stages["pair_table"]["rows"]:
        count = 3 if row["way"].endswith("judge") else 4 * len(row.get("seeds", "1"))
        assert sum(row[name] for name in ("right", "tie", "wrong", "failed")) == count
        if row is not ours and count == 4:
            ahead = stages["pair_table"]["ahead"][row["way"]]["mean"]
            assert ahead == pytest.approx(ours["accuracy"]["mean"] - row["accuracy"]["mean"])
    for rows in stages["best_of_n"]["models"].values():
        by = {row["method"]: row for row in rows}
        for name in ("2", "4"):
            each = [by[f"reward model {seed}"]["accuracy"][name]["mean"] for seed in (0, 1)]
            assert by["reward model, mean of the seeds"]["accuracy"][name]["mean"] == pytest.approx(
                sum(each) / 2
            )
        gains = [by[f"reward model {seed}"]["gain"]["mean"] for seed in (0, 1)]
        assert by["reward model, mean of the seeds"]["gain"]["mean"] == pytest.approx(sum(gains) / 2)


def test_no_question_serves_two_purposes(whole: Path) -> None:
    drawn = {
        path.stem: {row["question"] for row in read_rows(path)} for path in (whole / "questions").iterdir()
    }
    assert {name: len(found) for name, found in drawn.items()} == {"preferences": 24, "best_of_n": 4}
    assert not drawn["preferences"] & drawn["best_of_n"]
    splits = {
        split: {question_key(pair.question) for pair in read_preferences(whole / "pairs" / f"{split}.jsonl")}
        for split in ("train", "validation", "test")
    }
    assert all(splits.values())
    assert len(set.union(*splits.values())) == sum(map(len, splits.values()))


def test_no_keys_and_no_places_are_written(whole: Path, server: OpenAIServer) -> None:
    texts = [path.read_text() for path in whole.rglob("*.json*")] + [(whole / "report.md").read_text()]
    assert not any("sk-secret" in text or server.url in text for text in texts)
    assert str(whole.parent) not in (whole / "report.json").read_text() + (whole / "report.md").read_text()


def test_a_run_that_is_killed_in_every_stage_ends_like_an_undisturbed_one(
    nursery: Nursery, server: OpenAIServer, config: ReproduceConfig, data: Path, whole: Path
) -> None:
    output = whole.parent / "killed"
    before = len(server.requests)
    for kill in KILLS:
        assert nursery.run(config, data, output, kill) == -signal.SIGKILL, kill
        record = json.loads((output / "stages" / f"{kill[0]}.json").read_text())
        assert "result" not in record
        assert not (output / "report.json").exists()
    assert nursery.run(config, data, output) == 0
    assert report_of(output) == report_of(whole)
    # Each candidate is asked for once, but for those that were in flight at a kill.
    sampled = [
        (request.body["model"], request.text, request.body["seed"], request.body["temperature"])
        for request in server.requests[before:]
        if request.body["model"] in ("one", "two")
    ]
    assert len(sampled) - len(set(sampled)) <= 2 * config.max_concurrency
    settled = len(server.requests)
    assert nursery.run(config, data, output) == 0
    assert len(server.requests) == settled


def test_changed_settings_are_refused_before_any_work(
    config: ReproduceConfig, data: Path, whole: Path
) -> None:
    changed = config.model_copy(update={"grpo": {**config.grpo, "learning_rate": 1.0}})
    with pytest.raises(ConfigurationError, match=r"with other settings \(grpo.learning_rate: 0.001 -> 1.0"):
        reproduce(changed, data, whole)
    moved = [sampler.model_copy(update={"api_base": "http://elsewhere"}) for sampler in config.samplers]
    elsewhere = config.model_copy(update={"samplers": tuple(moved), "timeout": 1.0})
    assert reproduce(elsewhere, data, whole)["note"].startswith("Pairs are constructed.")


def test_judged_pairs_are_those_that_the_judge_kept(
    server: OpenAIServer, config: ReproduceConfig, data: Path, tmp_path: Path
) -> None:
    place = Place(config.model_copy(update={"pairs": "judged"}), data, tmp_path)
    run_stages(place, STAGES[:3])
    counts = place.result("preferences")["pairs"]
    assert counts["kept"] > 3
    found = [pair for split in ("train", "validation") for pair in read_preferences(place.pairs(split))]
    assert all(pair.provenance["judge"] == ["openai/judge"] for pair in found)
    doubts = [(pair.chosen.reasoning.count("Hmm"), pair.rejected.reasoning.count("Hmm")) for pair in found]
    assert all(chosen <= rejected for chosen, rejected in doubts)


def test_failed_calls_stop_the_run_and_the_same_command_goes_on(
    config: ReproduceConfig, data: Path, tmp_path: Path
) -> None:
    with OpenAIServer(error(400)) as broken:
        samplers = tuple(one.model_copy(update={"api_base": broken.url}) for one in config.samplers)
        place = Place(config.model_copy(update={"samplers": samplers}), data, tmp_path)
        with pytest.raises(ConfigurationError, match="Run the same command again"):
            run_stages(place, STAGES[:2])
    assert place.result("preferences") is None
    place = Place(config, data, tmp_path)
    run_stages(place, STAGES[:2])
    assert place.result("preferences")["questions"] == 24


def test_questions_of_gsm8k_for_every_part(config: ReproduceConfig, data: Path, tmp_path: Path) -> None:
    policy = config.policy.model_copy(update={"dataset": "gsm8k"})
    place = Place(config.model_copy(update={"policy": policy}), data, tmp_path)
    with pytest.raises(ConfigurationError, match="Ask for fewer"):
        run_stages(place, STAGES[:1])
    fewer = policy.model_copy(update={"warm_up": policy.warm_up.model_copy(update={"examples": 6})})
    place = Place(config.model_copy(update={"policy": fewer}), data, tmp_path / "fewer")
    run_stages(place, STAGES[:1])
    assert place.result("questions") == {
        "preferences": 24,
        "best_of_n": 4,
        "warm_up": 6,
        "grpo": 8,
        "held_out": 4,
    }
    assert read_rows(place.questions("warm_up"))[0]["solution"].partition("#### ")[2].isdigit()


@pytest.mark.parametrize("name", [path.stem for path in CONFIGS.glob("*.yaml")])
def test_shipped_settings_can_be_used(name: str) -> None:
    config = read_config(name, [])
    assert config.seeds >= 3
    assert config.best_of_n.samples == 16
    assert len(config.samplers) == 2


def test_settings_that_a_trainer_would_refuse_later_are_refused_at_once(config: ReproduceConfig) -> None:
    with pytest.raises(ValueError, match="learning_rates"):
        ReproduceConfig.model_validate({**config.model_dump(), "grpo": {**config.grpo, "learning_rates": 1}})
    with pytest.raises(ValueError, match="nothing to train on"):
        ReproduceConfig.model_validate(
            {**config.model_dump(), "preferences": {"questions": 4, "validation": 0.5, "test": 0.5}}
        )
