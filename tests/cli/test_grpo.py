from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")


def test_train_grpo(me2: Callable[..., Any], tmp_path: Path) -> None:
    from support.tiny_policy import tiny_policy

    policy = tiny_policy(tmp_path / "policy")
    options = ["--set", f"model={policy}", "--set", f"output={tmp_path / 'run'}"]
    done = me2("train", "grpo", "tiny", *options)
    assert done.code == 0, done.err
    assert "2 steps on 20 prompts (0 too long)" in done.out
    assert "4 held-out questions" in done.out
    assert done.out.splitlines()[-1] == str(tmp_path / "run")
    assert "step 2," in done.err
    again = me2("train", "grpo", "tiny", *options, "--json")
    assert json.loads(again.out)["steps"] == 2
    changed = me2("train", "grpo", "tiny", *options, "--set", "reward.alpha=0.5")
    assert changed.code == 2
    assert "reward.alpha: 0.2 -> 0.5" in changed.err
