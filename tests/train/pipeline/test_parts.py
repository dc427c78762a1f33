"""Choosing pairs, reading prompts, keeping records."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from support.needs import needs
from support.pipeline_doubles import config

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Usage
from me2sdk.train.pipeline import DataConfig
from me2sdk.train.pipeline.config import PromptConfig, asked
from me2sdk.train.pipeline.pairs import Usable, choose_pairs
from me2sdk.train.pipeline.questions import read_prompts
from me2sdk.train.pipeline.store import Failures, StageFile, usage_record

traces = st.lists(
    st.builds(
        Usable, st.uuids().map(str), st.sampled_from("abc"), st.integers(1, 9999), st.sampled_from("uvwxyz")
    ),
    max_size=12,
    unique_by=lambda trace: trace.key,
)


@given(traces, st.integers(1, 6), st.integers(0, 3), st.randoms(use_true_random=False))
def test_pairs_are_distinct_and_do_not_depend_on_order(
    found: list[Usable], most: int, seed: int, chance: random.Random
) -> None:
    pairs = choose_pairs("p", found, most, seed)
    texts = {trace.key: trace.digest for trace in found}
    assert len(pairs) <= most
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    assert all(texts[a] != texts[b] and a < b for a, b in pairs)
    possible = sum(a.digest != b.digest for i, a in enumerate(found) for b in found[:i])
    assert len(pairs) == min(most, possible)
    chance.shuffle(found)
    assert choose_pairs("p", found, most, seed) == pairs


def test_pairs_are_spread_over_models_traces_and_lengths() -> None:
    found = [
        Usable(f"{model}{sample}", model, 100 * (place + 1), f"{model}{sample}")
        for place, (model, sample) in enumerate((m, s) for m in "abcdefg" for s in range(4))
    ]
    length = {trace.key: trace.length for trace in found}
    used: Counter[str] = Counter()
    ratios = []
    for prompt in range(100):
        pairs = choose_pairs(str(prompt), found, 4, 0)
        assert len({key for pair in pairs for key in pair}) == 8
        models = Counter(key[0] for pair in pairs for key in pair)
        assert len(models) >= 6
        used += models
        ratios += [max(length[a], length[b]) / min(length[a], length[b]) for a, b in pairs]
    assert max(used.values()) < 1.3 * min(used.values())
    ratios.sort()
    assert ratios[40] < 1.3  # neighbours
    assert ratios[-40] > 3  # and others
    assert choose_pairs("0", found, 4, 1) != choose_pairs("0", found, 4, 0)


def write_source(folder: Path, kind: str, records: list[dict[str, Any]]) -> str:
    path = folder / f"prompts.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, records)) + "\n")
    elif kind == "parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(records), path)
    else:
        import datasets

        path.mkdir()
        datasets.Dataset.from_list(records).to_parquet(path / "train-00000-of-00001.parquet")
    return str(path)


@pytest.mark.parametrize(
    "kind",
    [
        "jsonl",
        pytest.param("parquet", marks=needs("pyarrow")),
        pytest.param("folder", marks=needs("datasets")),
    ],
)
def test_prompts_come_from_files_and_data_sets(kind: str, tmp_path: Path) -> None:
    records = [
        {"q": "One?", "a": "1", "more": 5},
        {"q": "Two?", "a": "It is 1 + 1.\n#### 2", "more": 6},
        {"q": "", "a": "3", "more": 7},
        {"q": "One?", "a": "1", "more": 8},
        {"q": "Essay?", "a": "word " * 300, "more": 9},
        {"q": "Three?", "a": "so \\boxed{3}", "more": 10},
    ]
    source = write_source(tmp_path, kind, records)
    settings = PromptConfig(source=source, question="q", reference="a")
    found = read_prompts(settings)
    assert [(p.question, p.reference) for p in found.prompts] == [
        ("One?", "1"),
        ("Two?", "2"),
        ("Three?", "3"),
    ]
    assert (found.skipped, found.repeated) == (2, 1)
    assert len({prompt.key for prompt in found.prompts}) == 3
    assert read_prompts(settings.model_copy(update={"limit": 2})).prompts == found.prompts[:2]
    with pytest.raises(ConfigurationError, match="no column 'x'; they have q, a, more"):
        read_prompts(settings.model_copy(update={"question": "x"}))


def test_prompts_may_be_chat_messages(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "One?"}]
    found = read_prompts(PromptConfig(records=({"question": chat, "answer": 1},)))
    assert found.prompts[0].question == chat
    assert found.prompts[0].reference == "1"
    assert asked(chat, "Box it.") == [chat[0], {"role": "user", "content": "One?\n\nBox it."}]
    assert asked("One?", "Box it.") == "One?\n\nBox it."
    assert asked("One?", "") == "One?"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.jsonl", None, "Cannot read"),
        pytest.param("none.parquet", None, "Cannot read", marks=needs("pyarrow")),
        pytest.param("bad.parquet", "x", "Cannot read", marks=needs("pyarrow")),
        ("bad.jsonl", "{", "Line 1 of .* is not JSON"),
        ("list.jsonl", "[1]", "not a JSON object"),
        ("empty.jsonl", '{"question": "", "answer": ""}', "There are no prompts"),
        pytest.param("no_such_data_set", None, "neither", marks=needs("datasets")),
    ],
)
def test_sources_that_cannot_be_used(name: str, text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_prompts(PromptConfig(source=str(tmp_path / name)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": {}}, "either source or records"),
        ({"prompts": {"source": "x", "records": [{}]}}, "either source or records"),
        ({"models": []}, "models"),
        ({"models": [{"model": "a"}, {"model": "a"}]}, "same name"),
        ({"budget": {}}, "usd, tokens, or both"),
    ],
)
def test_settings_that_cannot_work(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig.model_validate({**config(tmp_path, 1).model_dump(exclude_unset=True), **change})
    twice = [{"model": "a", "name": "cold"}, {"model": "a", "params": {"temperature": 1}}]
    assert [m.name for m in config(tmp_path, 1, models=twice).models] == ["cold", "a"]


def test_records_come_back_by_key_and_input(tmp_path: Path) -> None:
    path = tmp_path / "stage.jsonl"
    usage = usage_record(Usage(calls=1, prompt_tokens=5, completion_tokens=None, cost=0.1 + 0.2))
    with StageFile(path, "s", {"a": 1}, lambda record: record["x"]) as file:
        file.write("k", "in", {"x": "é\n", "usage": usage})
        file.write("l", "in", {"x": 2})
        file.write("k", "new", {"x": 3, "usage": usage})
        assert file.read("k")["x"] == 3
    with StageFile(path, "s", {"a": 1}, lambda record: record["x"]) as file:
        assert file.has("k", "new")
        assert not file.has("k", "in")  # made from something else
        assert not file.has("m", "in")
        assert (file.note("k"), file.note("l"), file.read("l")["x"]) == (3, 2, 2)
        assert file.usage("k") == Usage(calls=1, prompt_tokens=5, completion_tokens=None, cost=0.3)
        assert (file.spent.calls, file.spent.cost) == (2, pytest.approx(0.6))
    with pytest.raises(ConfigurationError, match=r"a: 1 -> 2, b.c: None -> 3"):
        StageFile(path, "s", {"a": 2, "b": {"c": 3}}, lambda record: None)


@pytest.mark.parametrize("line", ["{}", "[]", "x", '{"stage": "other", "settings": {}}'])
def test_files_of_something_else_are_refused_and_left(line: str, tmp_path: Path) -> None:
    path = tmp_path / "stage.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ConfigurationError, match=r"the stage 's' did not write\. Give another output folder"):
        StageFile(path, "s", {}, lambda record: None)
    assert path.read_text() == line + "\n"


def test_failures_count_what_they_cost(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    usage = usage_record(Usage(calls=2, cost=0.5))
    with Failures(path) as failures:
        failures.write("judge", "k", {"error": "GenerationError", "usage": usage})
        failures.write("judge", "l", {"error": "GenerationError"})
    with Failures(path) as failures:
        assert (failures.spent.calls, failures.spent.cost) == (2, 0.5)
    path.write_text("x\n")
    with pytest.raises(ConfigurationError, match="no build wrote"):
        Failures(path)


def test_the_config_is_plain_data(tmp_path: Path) -> None:
    small = config(tmp_path, 1)
    assert DataConfig.model_validate_json(small.model_dump_json()) == small
