from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.fake_provider import OpenAIServer, Request, error
from support.needs import needs
from support.pipeline_doubles import config, reply

from me2sdk.train import BuildReport, read_preferences

Me2 = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> str:
    settings = config(tmp_path / "out", 2).model_dump(mode="json", exclude_unset=True)
    path = tmp_path / "data.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def served(server: OpenAIServer) -> list[str]:
    return ["--set", f"params.api_base={server.url}"]


@needs("pyarrow")
def test_build_writes_pairs_and_says_what_it_did(me2: Me2, file: str, tmp_path: Path) -> None:
    with OpenAIServer(reply) as server:
        done = me2("data", "build", file, *served(server))
        asked = len(server.requests)
    assert done.code == 0, done.err
    pairs = list(read_preferences(tmp_path / "out")) + list(read_preferences(tmp_path / "out", "validation"))
    assert pairs
    assert f"{len(pairs)} kept" in done.out
    assert f"{asked} calls" in done.out
    assert str(tmp_path / "out") in done.out
    again = me2("data", "build", file, "--json")  # no server any more: nothing is left to ask
    report = BuildReport.model_validate_json(again.out)
    assert (again.code, report.usage.calls, report.pairs.kept) == (0, 0, len(pairs))


@needs("pyarrow")
def test_build_reports_failed_items_with_exit_code_3(me2: Me2, file: str) -> None:
    def sometimes(request: Request) -> Any:
        return error(400, "no {key}") if request.number == 3 else reply(request)

    with OpenAIServer(sometimes) as server:
        done = me2("data", "build", file, "--json", *served(server))
        assert done.code == 3
        assert BuildReport.model_validate_json(done.out).stages[0].failed == 1
        assert "failures.jsonl" in done.err
        assert "sk-secret" not in done.err + done.out
        again = me2("data", "build", file, "--json", *served(server))
    assert again.code == 0
    assert BuildReport.model_validate_json(again.out).stages[0].done == 1


@needs("pyarrow")
def test_build_says_why_it_stopped(me2: Me2, file: str) -> None:
    with OpenAIServer(reply) as server:
        done = me2(
            "data", "build", file, *served(server), "--set", "budget.tokens=9000", "--set", "engine=asyncio"
        )
    assert done.code == 3
    assert "the budget is spent" in done.err


def test_dry_run_asks_nobody(me2: Me2, file: str, tmp_path: Path) -> None:
    table = me2("data", "build", file, "--dry-run")
    assert table.code == 0
    assert "unknown" in table.out
    assert "It is assumed" in table.out
    done = me2("data", "build", file, "--dry-run", "--json")
    stages = {stage["stage"]: stage for stage in json.loads(done.out)["stages"]}
    assert list(stages) == ["candidates", "verify", "dags", "judge", "all"]
    assert stages["candidates"]["calls"] == 16
    assert stages["all"]["usd"] is None
    assert not (tmp_path / "out").exists()


def test_settings_that_cannot_be_used_are_named(me2: Me2, file: str) -> None:
    done = me2("data", "build", file, "--set", "sampling.sample=3")
    assert (done.code, done.out) == (2, "")
    assert "sampling.sample" in done.err
    assert "Shipped: paper, small" in me2("data", "build", "nothing").err
