from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.pipeline_doubles import Models, config, finals

from me2sdk.errors import ConfigurationError
from me2sdk.llm import LLM, Budget
from me2sdk.train import Progress, read_preferences
from me2sdk.train.pipeline import (
    BuildReport,
    DataConfig,
    abuild_preferences,
    build_preferences,
    estimate_build,
)
from me2sdk.train.pipeline.config import BudgetConfig, PromptConfig


def quality(text: str) -> int:
    return int(text.partition("quality ")[2][0])


def stage(output: Path, name: str) -> list[dict[str, Any]]:
    """The records of a stage, without the line of settings."""
    return [json.loads(line) for line in (output / "stages" / f"{name}.jsonl").read_text().splitlines()[1:]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataConfig, BuildReport, Models]:
    settings = config(tmp_path_factory.mktemp("data"), 6, licence="cc0-1.0")
    models = Models()
    return settings, build_preferences(settings, models=models), models


def test_pairs_hold_right_answers_and_the_better_side_is_chosen(
    undisturbed: tuple[DataConfig, BuildReport, Models],
) -> None:
    settings, report, models = undisturbed
    assert report.complete
    train, validation = (list(read_preferences(settings.output, split)) for split in ("train", "validation"))
    assert (len(train), len(validation)) == (report.train, report.validation)
    assert report.pairs.kept == len(train) + len(validation) > 10
    assert min(report.pairs.tied, report.pairs.inconsistent, len(validation)) > 0
    assert not {pair.question for pair in train} & {pair.question for pair in validation}
    for pair in [*train, *validation]:
        first, second = (int(number) for number in str(pair.question).rstrip("?").split()[2::2])
        assert pair.chosen.answer == pair.rejected.answer == str(first + second)
        assert quality(pair.chosen.reasoning) > quality(pair.rejected.reasoning)
        assert not pair.chosen.truncated
    assert max(Counter(str(pair.question) for pair in [*train, *validation]).values()) <= 4
    for split, pairs in (("train", train), ("validation", validation)):
        assert list(read_preferences(settings.output / f"{split}.parquet")) == pairs
    told = Counter(name for name, _ in models.calls)
    assert [r.usage.calls for r in report.stages] == [told["one"] + told["two"], 0, 0, told["judge"]]
    assert models.most <= settings.max_concurrency


def test_each_label_says_where_it_comes_from(undisturbed: tuple[DataConfig, BuildReport, Models]) -> None:
    settings, _, _ = undisturbed
    pair = next(read_preferences(settings.output))
    told = pair.provenance
    for side, trace in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        assert told[side]["model"] in ("openai/one", "openai/two")
        assert f"says {told[side]['model'].removeprefix('openai/')} " in trace.reasoning
        assert (told[side]["annotator"], told[side]["verified_by"]) == ("local 2", "text")
    assert set(told["dimensions"].values()) == {"chosen"}
    assert told["judge"] == ["openai/judge"]
    assert told["prompts"]["aggregate"] >= 1
    aggregate = [vote for vote in told["votes"] if vote["subject"] == "aggregate"]
    assert [(vote["shown_first"], vote["decision"]) for vote in aggregate] in (
        [("chosen", "chosen"), ("rejected", "chosen")],
        [("rejected", "chosen"), ("chosen", "chosen")],
    )
    assert told["usage"]["calls"] == 12
    assert told["usage"]["prompt_tokens"] > 0


def test_the_card_counts_what_is_there(undisturbed: tuple[DataConfig, BuildReport, Models]) -> None:
    import datasets

    settings, report, _ = undisturbed
    card = (settings.output / "README.md").read_text()
    rows = dict(line[2:-2].split(" | ") for line in card.splitlines() if line.count(" | ") == 1)
    assert rows["traces sampled"] == "48"
    states = Counter(record["truncated"] for record in stage(settings.output, "candidates"))
    assert rows["… cut off by the limit on tokens"] == str(states[True])
    assert rows["pairs kept"] == str(report.pairs.kept)
    assert rows["… tied"] == str(report.pairs.tied)
    pairs = [pair for split in ("train", "validation") for pair in read_preferences(settings.output, split)]
    longer = sum(len(pair.chosen.reasoning) > len(pair.rejected.reasoning) for pair in pairs)
    assert rows["the chosen side is the longer one"].startswith(f"{longer} of {len(pairs)} ")
    assert 'license: "cc0-1.0"' in card
    assert '"temperature": 0.7' in card
    # The hub's library finds the splits by the card's header, and takes none of the other files for data.
    loaded = datasets.load_dataset(str(settings.output), cache_dir=str(settings.output / "cache"))
    assert {name: split.num_rows for name, split in loaded.items()} == {
        "train": report.train,
        "validation": report.validation,
    }


def test_a_second_run_asks_nobody_and_writes_the_same(
    undisturbed: tuple[DataConfig, BuildReport, Models],
) -> None:
    settings, first, _ = undisturbed
    before = finals(settings.output)
    models = Models()
    again = build_preferences(settings, models=models)
    assert models.calls == []
    assert finals(settings.output) == before
    assert (again.pairs, [r.kept for r in again.stages]) == (first.pairs, [r.wanted for r in first.stages])


def test_a_run_goes_on_wherever_its_files_end(
    undisturbed: tuple[DataConfig, BuildReport, Models], tmp_path: Path
) -> None:
    settings, _, _ = undisturbed
    expected = finals(settings.output)
    sizes = {path: path.stat().st_size for path in (settings.output / "stages").glob("*.jsonl")}
    cuts = [(path, int(size * share)) for path, size in sizes.items() for share in (0.01, 0.7)]
    for number, (cut, length) in enumerate(cuts):
        output = tmp_path / str(number)
        (output / "stages").mkdir(parents=True)
        order = ["candidates", "verify", "dags", "judge"]
        for path in sizes:  # a kill in one stage means that the later ones have not begun
            if path.stem in order and cut.stem in order and order.index(path.stem) <= order.index(cut.stem):
                data = path.read_bytes()
                (output / "stages" / path.name).write_bytes(data[:length] if path == cut else data)
        report = build_preferences(settings.model_copy(update={"output": output}), models=Models())
        assert report.complete
        assert finals(output) == expected, (cut.name, length)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"sampling": {"temperature": 0.2}}, r"candidates.jsonl .*models.openai/one.temperature: 0.7 -> 0.2"),
        (
            {"models": [{"model": "openai/one"}, {"model": "openai/two", "params": {"top_k": 5}}]},
            "top_k: None -> 5",
        ),
        (
            {"verifier": {"model": "openai/verifier"}},
            r"verify.jsonl .*verifier.model: None -> 'openai/verifier'",
        ),
        ({"annotator": {"model": "openai/annotator"}}, r"dags.jsonl .*annotator: 'local' -> None"),
        ({"judge": {"model": "openai/judge", "repeats": 2}}, r"judge.jsonl .*judge.repeats: 1 -> 2"),
    ],
)
def test_settings_that_records_depend_on_cannot_change(
    change: dict[str, Any], difference: str, undisturbed: tuple[DataConfig, BuildReport, Models]
) -> None:
    settings, _, _ = undisturbed
    changed = DataConfig.model_validate({**settings.model_dump(exclude_unset=True), **change})
    before, models = finals(settings.output), Models()
    with pytest.raises(ConfigurationError, match=difference):
        build_preferences(changed, models=models)
    assert models.calls == []
    assert finals(settings.output) == before


def test_settings_that_records_do_not_depend_on_may_change(tmp_path: Path) -> None:
    small = config(tmp_path / "a", 2)
    build_preferences(small, models=Models())
    (tmp_path / "a").rename(tmp_path / "b")
    models = Models()
    larger = config(
        tmp_path / "b",
        3,
        sampling={"samples": 5},
        max_concurrency=3,
        max_pairs=5,
        budget={"tokens": 10**9},
        params={"api_base": "http://localhost:9/v1", "api_key": "sk-other"},
        timeout=20,
        validation=0.5,
    )
    report = build_preferences(larger, models=models)
    assert report.complete
    assert models.most <= 3
    assert report.stages[0].kept == 16
    assert report.stages[0].done == 14
    fresh = larger.model_copy(update={"output": tmp_path / "c"})
    build_preferences(fresh, models=Models())
    assert finals(tmp_path / "b") == finals(tmp_path / "c")
    assert not any(b"sk-other" in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())


def failing(**share: int) -> Any:
    """Fails every n-th call of a model, once."""
    counts: Counter[str] = Counter()

    def fails(name: str, prompt: str) -> None:
        counts[name] += 1
        if name in share and counts[name] % share[name] == 0:
            raise ValueError("no luck")

    return fails


def test_what_fails_is_kept_apart_and_tried_again(
    undisturbed: tuple[DataConfig, BuildReport, Models], tmp_path: Path
) -> None:
    expected = finals(undisturbed[0].output)
    settings = undisturbed[0].model_copy(update={"output": tmp_path})
    told: list[Progress] = []
    report = build_preferences(settings, models=Models(failing(one=5, judge=40)), on_progress=told.append)
    assert not report.complete
    last = {progress.name: (progress.done, progress.total) for progress in told}
    assert last == {stage.stage: (stage.done, stage.wanted) for stage in report.stages}
    candidates, _, _, judge = report.stages
    assert (candidates.failed, candidates.done, candidates.left) == (4, 44, 0)
    assert judge.failed > 0
    assert judge.done + judge.failed == judge.wanted
    assert report.pairs.missing == judge.failed
    assert report.pairs.kept > 0  # the rest goes on
    log = [json.loads(line) for line in (tmp_path / "stages" / "failures.jsonl").read_text().splitlines()]
    assert Counter(line["stage"] for line in log) == {"candidates": 4, "judge": judge.failed}
    assert {line["error"] for line in log} == {"GenerationError"}
    assert all("no luck" in line["message"] for line in log)
    # A verdict that lacks votes, since their calls failed, is not taken for a verdict.
    votes = [record["votes"] for record in stage(tmp_path, "judge")]
    assert {len(cast) for cast in votes} == {10}
    again = build_preferences(settings, models=Models())
    assert again.complete
    assert finals(tmp_path) == expected


def test_a_model_that_always_fails_is_not_asked_for_ever(tmp_path: Path) -> None:
    models = Models(failing(two=1))
    report = build_preferences(config(tmp_path, 12, max_concurrency=4), models=models)
    candidates = report.stages[0]
    assert 10 <= candidates.failed < 10 + 4
    assert candidates.failed + candidates.left == 48
    assert candidates.done == 48
    assert "openai/two failed 10 times in a row, the last time so: openai/two failed after 1 attempt" in str(
        candidates.stopped
    )
    assert report.pairs.kept > 0


def test_a_budget_stops_in_time_and_keeps_what_is_finished(
    undisturbed: tuple[DataConfig, BuildReport, Models], tmp_path: Path
) -> None:
    expected = finals(undisturbed[0].output)
    spent = 0
    for limit in (60_000, 120_000):
        settings = undisturbed[0].model_copy(
            update={"output": tmp_path, "budget": BudgetConfig(tokens=limit)}
        )
        report = build_preferences(settings, models=Models())
        assert not report.complete
        assert any(r.stopped == "the budget is spent" for r in report.stages)
        used = report.usage.total_tokens
        assert used is not None
        spent += used
        assert 0.8 * limit < spent <= limit  # of both runs together
        done = len(stage(tmp_path, "judge"))
        assert done * 7000 > 0.7 * limit  # most of it went into what is finished
    report = build_preferences(undisturbed[0].model_copy(update={"output": tmp_path}), models=Models())
    assert report.stages[3].kept == done
    assert finals(tmp_path) == expected


def test_models_annotate_and_verify_where_the_settings_say_so(tmp_path: Path) -> None:
    models = Models()
    settings = config(
        tmp_path, 3, annotator={"model": "openai/annotator"}, verifier={"model": "openai/verifier"}
    )
    report = build_preferences(settings, models=models)
    assert report.complete
    told = Counter(name for name, _ in models.calls)
    assert [r.usage.calls for r in report.stages] == [
        24,
        told["verifier"],
        told["annotator"],
        told["judge"],
    ]
    assert min(told.values()) > 0
    checks = stage(tmp_path, "verify")
    assert {check["method"] for check in checks if check["usage"]["calls"]} == {"model"}
    dags = stage(tmp_path, "dags")
    assert {dag["dag"]["annotator"] for dag in dags} == {"openai/annotator (annotate 3)"}
    assert {node["action"] for dag in dags for node in dag["dag"]["nodes"]} >= {
        "root",
        "continue",
        "backtrack",
    }


def test_prompts_may_be_chat_messages(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2 + 3?"}]
    settings = config(tmp_path, prompts=1).model_copy(
        update={"prompts": PromptConfig(records=({"question": chat, "answer": "5"},))}
    )
    report = build_preferences(settings, models=Models())
    assert report.pairs.kept > 0
    pairs = [pair for split in ("train", "validation") for pair in read_preferences(tmp_path, split)]
    assert {json.dumps(pair.question) for pair in pairs} == {json.dumps(chat)}


async def test_an_llm_stands_in_with_its_own_limits(tmp_path: Path) -> None:
    models = Models()
    budget = Budget(tokens=10**6)
    models["openai/judge"] = LLM(models["openai/judge"], max_concurrency=2, budget=budget)
    report = await abuild_preferences(config(tmp_path, 1), models=models)
    assert report.complete
    assert budget.spent.calls == report.stages[3].usage.calls > 0
    costly = config(tmp_path / "b", 1, budget={"tokens": 10**6})
    with pytest.raises(ConfigurationError, match="has its own budget"):
        await abuild_preferences(costly, models=models)


def test_a_judge_that_cannot_be_read_gives_no_label(tmp_path: Path) -> None:
    models = Models()

    async def mumbles(messages: list[dict[str, Any]], **params: Any) -> str:
        return "Both are nice."

    models["openai/judge"] = mumbles
    report = build_preferences(config(tmp_path, 2), models=models)
    assert report.complete  # that is a result, too: another run would bring the same
    assert report.pairs.unreadable == report.pairs.chosen > 0
    assert report.train == report.validation == 0
    assert list(read_preferences(tmp_path / "train.parquet")) == []


def test_two_builds_cannot_write_to_one_folder(tmp_path: Path) -> None:
    from me2sdk.train.pipeline.store import locked

    (tmp_path / "stages").mkdir()
    with (
        locked(tmp_path / "stages" / "lock"),
        pytest.raises(ConfigurationError, match="Another process is writing"),
    ):
        build_preferences(config(tmp_path, 1), models=Models())
    build_preferences(config(tmp_path, 1), models=Models())


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    foreign = tmp_path / "stages" / "dags.jsonl"
    foreign.write_text('{"mine": 1}\n')
    with pytest.raises(ConfigurationError, match="did not write"):
        build_preferences(config(tmp_path, 1), models=Models())
    assert foreign.read_text() == '{"mine": 1}\n'


def test_without_a_judge_everything_before_it_is_done_and_one_may_be_named_later(tmp_path: Path) -> None:
    models = Models()
    settings = config(tmp_path, judge=None)
    assert [one.stage for one in estimate_build(settings).stages] == ["candidates", "verify", "dags"]
    report = build_preferences(settings, models=models)
    assert [one.stage for one in report.stages] == ["candidates", "verify", "dags"]
    assert report.pairs.missing == report.pairs.chosen > 0
    assert (report.train, report.validation) == (0, 0)
    asked = len(models.calls)
    judged = build_preferences(config(tmp_path), models=models)
    assert judged.pairs.missing == 0
    assert judged.train > 0
    assert {name for name, _ in models.calls[asked:]} == {"judge"}
