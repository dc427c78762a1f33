from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request
from support.pipeline_doubles import answer, config

from me2sdk.llm import prices_of
from me2sdk.train.config import load_config
from me2sdk.train.pipeline import DataConfig, build_preferences, estimate_build

STEPS = 14
PRICED = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}


def always_right(request: Request) -> Reply:
    """Samples with as many steps as the estimate assumes, all of them right; the others as in the small world."""
    model, text = request.body["model"], request.text
    if model in ("one", "two"):
        total, seed = sum(map(int, text.split("?")[0].split()[2::2])), request.body["seed"]
        steps = [f"So step {n}, quality {seed}, of {model}." for n in range(STEPS - 1)]
        text = "\n\n".join([*steps, f"So, quality {seed}: it is \\boxed{{{total}}}."])
    elif model == "annotator" and "<|step|>" in text:
        text = "\n".join(f"<|step|>{n}\n<|action|>continue" for n in range(STEPS))
    elif model == "annotator":
        text = "<|action|>continue"
    else:
        text, _ = answer(model, text.replace("{seed}", "0"))
    return Reply(text)


@pytest.mark.parametrize("window", [1, 4])
def test_the_estimate_of_calls_is_what_a_run_makes(window: int, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "annotator": {"model": "openai/annotator", "window": window},
        "judge": {"model": "openai/judge", "repeats": 2},
        "sampling": {"samples": 2},
        "assume": {"right": 1.0, "steps": STEPS},
    }
    with OpenAIServer(always_right) as server:
        small = config(tmp_path, 1, **settings, params={"api_base": server.url, "api_key": "none"})
        estimate = estimate_build(small)
        assert server.requests == []
        report = build_preferences(small)
        assert report.complete
        assert [stage.calls for stage in estimate.stages] == [stage.usage.calls for stage in report.stages]
        assert [stage.items for stage in estimate.stages] == [stage.wanted for stage in report.stages]
        assert estimate.total.calls == len(server.requests)


def test_a_price_that_is_not_known_is_not_zero(tmp_path: Path) -> None:
    unknown = estimate_build(config(tmp_path, 1))
    assert [stage.usd for stage in unknown.stages] == [None, 0.0, 0.0, None]
    assert unknown.total.usd is None
    known = estimate_build(config(tmp_path, 1, params=PRICED))
    for stage in (*known.stages, known.total):
        assert stage.usd == pytest.approx(1e-6 * stage.prompt_tokens + 2e-6 * stage.completion_tokens)
    assert known.total.usd
    assert not list(tmp_path.iterdir())


def test_prices_come_from_the_table_or_from_the_caller() -> None:
    found = prices_of("openai/gpt-4o-mini", {})
    assert found is not None
    assert 0 < found.prompt < found.completion < 1e-4
    assert prices_of("openai/nobody-knows-this", {}) is None
    assert prices_of("ollama/llama2", {}) is None  # zeros in the table
    assert prices_of("openai/nobody-knows-this", PRICED) == (1e-6, 2e-6)
    assert prices_of("ollama/llama2", {"input_cost_per_token": 0, "output_cost_per_token": 0}) == (0, 0)


def test_an_answer_is_no_longer_than_the_settings_allow(tmp_path: Path) -> None:
    short = estimate_build(config(tmp_path, 1, sampling={"max_tokens": 100}))
    assert short.stages[0].completion_tokens == 100 * short.stages[0].calls
    assert any("at most 100 tokens" in line for line in short.assumptions)


@pytest.mark.parametrize("name", ["paper", "small"])
def test_shipped_settings_can_be_used(name: str) -> None:
    settings = load_config(name, "data", DataConfig)
    assert settings.licence == ""
    if name == "small":
        estimate = estimate_build(settings)
        assert estimate.stages[0].calls == 8 * 4
    else:
        assert (len(settings.models), settings.sampling.samples, settings.prompts.limit) == (7, 4, 64000)
        assert settings.sampling.params() == {
            "temperature": 0.7,
            "top_p": 0.95,
            "max_tokens": 8192,
            "seed": 0,
        }
        assert settings.judge.repeats == 3
