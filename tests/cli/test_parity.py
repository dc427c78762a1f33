from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Me2 = Callable[..., Any]


def test_a_scorer_agrees_with_itself(me2: Me2) -> None:
    done = me2("parity", "mini", "mini,batch=1")
    assert done.code == 0
    assert done.out.startswith("mini and mini, 1 at a time: same. Over 20 traces")
    assert len(done.err.splitlines()) == 20


def test_precisions_of_a_model_and_traces_of_ones_own(me2: Me2, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra [local]")
    from me2sdk.testing import tiny_reward_model

    model = str(tiny_reward_model(tmp_path / "model"))
    traces = tmp_path / "traces.jsonl"
    traces.write_text(json.dumps({"question": "1 + 1?", "traces": ["It is 2.", "It is 3, or 2."]}) + "\n")
    exact = f"{model},dtype=float32"
    done = me2("parity", exact, f"{exact},batch=1", "--traces", str(traces), "--tolerance", "1e-4", "--json")
    report = json.loads(done.out)
    assert (done.code, report["verdict"], len(report["scores"])) == (0, "same", 2)
    done = me2("parity", exact, f"{model},quantization=nf4", "--tolerance", "0", "--json")
    report = json.loads(done.out)
    assert done.code == (1 if report["flipped"] else 0)
    assert report["largest_difference"] > 0.01


def test_different_scorers_give_exit_code_1(me2: Me2, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra [local]")
    from me2sdk.testing import tiny_reward_model

    done = me2("parity", "mini", str(tiny_reward_model(tmp_path / "model")))
    assert done.code == 1
    assert ": different. Over 20 traces" in done.out


@pytest.mark.parametrize("spec", ["mini,speed=9", "mini,batch=x", "mini,batch=0", "mini,api=vllm"])
def test_options_that_cannot_work_are_refused(me2: Me2, spec: str) -> None:
    done = me2("parity", "mini", spec)
    assert done.code == 2
    assert done.err.startswith("error: ")
