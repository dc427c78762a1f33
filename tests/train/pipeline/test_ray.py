"""The same build over a Ray cluster: two worker processes on this machine."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_provider import OpenAIServer
from support.pipeline_doubles import Models, config, finals, reply

from me2sdk.errors import ConfigurationError
from me2sdk.train.pipeline import build_preferences

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Ray itself
]


@pytest.fixture
def quiet_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else it writes a token into the home folder
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    yield
    import ray

    assert not ray.is_initialized()  # what the library opened, it closed


def test_a_cluster_finishes_what_one_process_began(quiet_ray: None, tmp_path: Path) -> None:
    both = {"params": {"max_tokens": 4000}, "budget": {"tokens": 10**8}}
    whole = build_preferences(config(tmp_path / "whole", 2, **both), models=Models())
    seen = threading.Event()

    def only_one(name: str, prompt: str) -> None:
        if name == "two" or (name == "judge" and seen.is_set()):
            raise ValueError("away")
        if name == "judge":
            seen.set()

    first = build_preferences(config(tmp_path / "ray", 2, **both), models=Models(only_one))
    assert not first.complete

    with OpenAIServer(reply) as server:
        place = {"api_base": server.url, "api_key": "none", **both["params"]}
        report = build_preferences(
            config(tmp_path / "ray", 2, engine="ray", max_concurrency=8, **{**both, "params": place})
        )
        asked = len(server.requests)
        assert server.max_in_flight <= 8
    assert report.complete
    assert report.usage.calls == asked
    assert report.stages[0].kept == first.stages[0].done == 8
    assert report.pairs == whole.pairs
    assert finals(tmp_path / "ray") == finals(tmp_path / "whole")


def test_models_that_are_objects_stay_in_this_process(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="LiteLLM names"):
        build_preferences(config(tmp_path, 1, engine="ray"), models=Models())
