import json
from pathlib import Path

import pytest
from support.needs import needs

from me2sdk.train.data import read_preferences


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    rows = [
        {
            "question": f"Ann has {n} pens and buys {n + 2} boxes of 4 pens. How many pens has Ann?",
            "answer": f"The boxes hold {n + 2} * 4 = <<{n + 2}*4={4 * n + 8}>>{4 * n + 8} pens.\n"
            f"So Ann has {4 * n + 8} + {n} = <<{4 * n + 8}+{n}={5 * n + 8}>>{5 * n + 8} pens.\n#### {5 * n + 8}",
        }
        for n in range(11, 31)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["pairs.jsonl", pytest.param("pairs.parquet", marks=needs("pyarrow"))])
def test_pairs_are_written(me2, traces: Path, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    done = me2("data", "perturb", str(traces), "--output", str(tmp_path / name), "--seed", "3")
    assert done.code == 0, done.err
    pairs = list(read_preferences(tmp_path / name))
    assert f"{len(pairs)} pairs of 20 traces" in done.out
    assert "abandoned_detour" in done.out
    assert len(pairs) > 60
    assert {pair.dimension for pair in pairs} > {"micro_efficiency", "macro_effectiveness"}
    assert all(pair.provenance["seed"] == 3 for pair in pairs)


def test_json_and_one_dimension(me2, traces: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "pairs.jsonl"
    done = me2(
        *("data", "perturb", str(traces), "--output", str(out), "--dimension", "micro_efficiency"),
        *("--per-trace", "1", "--json"),
    )
    result = json.loads(done.out)
    assert {row["kind"] for row in result["kinds"]} == {"filler", "restatement", "hedging", "all"}
    assert 15 < result["kinds"][-1]["pairs"] == sum(1 for _ in read_preferences(out)) <= 20
    assert (result["traces"], result["wrong"], result["unreadable"]) == (20, 0, 0)


def test_lines_that_cannot_be_read_are_told(me2, traces: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    lines = traces.read_text() + '{"question": "q", "trace": "\\\\boxed{1}", "answer": "2"}\nnonsense\n'
    done = me2("data", "perturb", "-", "--output", str(tmp_path / "pairs.jsonl"), stdin=lines)
    assert done.code == 3
    assert "line 22" in done.err
    assert "1 wrong traces left out" in done.out


def test_an_output_that_cannot_be_written_is_refused_first(me2, traces: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for output in ("pairs.csv", "nowhere/pairs.jsonl"):
        done = me2("data", "perturb", str(traces), "--output", str(tmp_path / output))
        assert done.code == 2
        assert "--output must be" in done.err
