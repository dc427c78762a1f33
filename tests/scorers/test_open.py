"""Every door takes a scorer by the same names."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply
from support.needs import needs
from support.scoring_server import ScoringServer
from typer.testing import CliRunner

from me2sdk import (
    ConfigurationError,
    JudgeScorer,
    RemoteTRMScorer,
    Trace,
    TRMScorer,
    arerank,
    best_of_n,
    completion,
    rerank,
)
from me2sdk._sync import run_sync
from me2sdk.schema import RerankResult
from me2sdk.scorers import (
    LengthScorer,
    PRMScorer,
    RandomScorer,
    Scorer,
    load_scorer,
    open_scorer,
    options_for,
)
from me2sdk.scorers.mini import MiniScorer

QUESTION = "What is 12 * 13?"
TEXTS = ["12 * 13 = 156.\n#### 156", "12 * 13 is 120 + 36. Hmm, that is 156, or is it? Yes.\n#### 156"]
Door = Callable[[Any], list[float | None]]


def by_index(result: RerankResult) -> list[float | None]:
    assert not result.failures
    return [candidate.score for candidate in sorted(result.candidates, key=lambda one: one.index)]


def of_best_of_n(scorer: Any) -> list[float | None]:
    texts = iter(TEXTS)
    result = best_of_n(QUESTION, model=lambda messages: next(texts), n=2, max_concurrency=1, scorer=scorer)
    return by_index(result)


def of_rerank(scorer: Any) -> list[float | None]:
    return by_index(rerank(QUESTION, TEXTS, scorer=scorer))


def of_completion(scorer: Any) -> list[float | None]:
    chat = [{"role": "user", "content": QUESTION}]
    with OpenAIServer(Reply(TEXTS)) as server:
        response = completion(
            "openai/unpriced", chat, best_of=2, scorer=scorer, api_base=server.url, api_key="k"
        )
    found = {c.response: c.score for c in response._hidden_params["me2sdk"].candidates}
    # Told apart by their reasoning, since the question is a chat here.
    return [found[text] for text in TEXTS]


def of_a_wrapper(scorer: Any) -> list[float | None]:
    from me2sdk.adapters._shared import Answered, WrapperConfig, best_native

    texts = iter(TEXTS)
    result, _, _ = best_native(
        QUESTION,
        lambda model: Answered(None, {"role": "assistant", "content": next(texts)}),
        WrapperConfig(n=2, scorer=scorer, max_concurrency=1),
    )
    return by_index(result)


def of_a_reranker(scorer: Any) -> list[float | None]:
    from me2sdk.adapters._shared import aorder

    _, result = run_sync(aorder(QUESTION, TEXTS, scorer=scorer, select="best"))
    return by_index(result)


def of_the_server(scorer: Any) -> list[float | None]:
    import httpx

    from me2sdk.adapters.openai_server import ServerConfig, serving

    with serving(ServerConfig(scorers={"s": scorer}, port=0)) as url:
        answer = httpx.post(f"{url}/v1/score", json={"question": QUESTION, "traces": TEXTS}, timeout=60)
    rewards: list[float | None] = answer.json()["rewards"]
    return rewards


def of_the_gated_reward(scorer: Any) -> list[float | None]:
    from me2sdk.train import GatedReward

    rewarded = run_sync(GatedReward(scorer).areward([QUESTION] * 2, TEXTS, ["156"] * 2))
    return [one.r_t for one in rewarded]


def of_the_thinking_reward(scorer: Any) -> list[float | None]:
    from me2sdk.train import ThinkingReward

    return run_sync(ThinkingReward(scorer)([QUESTION] * 2, TEXTS))


def of_evaluation(scorer: Any) -> list[float | None]:
    from me2sdk.train.evaluate.journal import Journal
    from me2sdk.train.evaluate.scorers import ScoringItem, run_scorer

    item = ScoringItem(QUESTION, [Trace.from_text(text, QUESTION) for text in TEXTS])
    run = run_sync(run_scorer("s", scorer, [item], Journal(None)))
    assert not run.failures
    return run.items[0].scores


def command(*arguments: str, stdin: str = "") -> str:
    from me2sdk.cli import app

    done = CliRunner().invoke(app, arguments, input=stdin, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def of_me2_score(scorer: Any) -> list[float | None]:
    lines = "".join(json.dumps({"question": QUESTION, "text": text}) + "\n" for text in TEXTS)
    printed = command("score", "-", "--scorer", scorer, "--json", stdin=lines)
    return [json.loads(line)["score"] for line in printed.splitlines()]


def of_me2_rerank(scorer: Any) -> list[float | None]:
    line = json.dumps({"question": QUESTION, "candidates": TEXTS})
    printed = command("rerank", "-", "--scorer", scorer, "--json", stdin=line)
    return by_index(RerankResult.model_validate(json.loads(printed)["result"]))


def of_me2_eval(scorer: Any) -> list[float | None]:
    record = {"question": QUESTION, "candidates": TEXTS, "correct": [True, False]}
    report = json.loads(command("eval", "bon", "-", "--scorer", scorer, "--json", stdin=json.dumps(record)))
    assert (report["scored"], report["failures"]) == ({scorer: 2}, [])
    return []


def of_me2_parity(scorer: Any) -> list[float | None]:
    assert json.loads(command("parity", scorer, scorer, "--json"))["verdict"] == "same"
    return []


DOORS: list[Any] = [
    of_best_of_n,
    of_rerank,
    of_completion,
    of_a_wrapper,
    of_a_reranker,
    pytest.param(of_the_server, marks=needs("starlette")),
    of_the_gated_reward,
    of_the_thinking_reward,
    of_evaluation,
]
COMMANDS: list[Any] = [of_me2_score, of_me2_rerank, of_me2_eval, of_me2_parity]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each kind of name stands for here."""
    from me2sdk.testing import tiny_process_reward_model, tiny_reward_model

    found = {"mini": "mini", "longest": "longest"}
    folder = tmp_path_factory.mktemp("scorers")
    if not needs("torch", "transformers").args[0]:
        found["folder"] = str(tiny_reward_model(folder / "trm"))
        found["prm:folder"] = f"prm:{tiny_process_reward_model(folder / 'prm')}"
    with ScoringServer(score=lambda texts: [len(text) / 100 for text in texts]) as server:
        yield {**found, "http": server.url}


LOCAL = needs("torch", "transformers")
KINDS = [
    "mini",
    "longest",
    "http",
    pytest.param("folder", marks=LOCAL),
    pytest.param("prm:folder", marks=LOCAL),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", [*DOORS, *COMMANDS])
def test_every_door_understands_every_name(names: dict[str, str], door: Door, kind: str) -> None:
    name = names[kind]
    expected = open_scorer(name).score(QUESTION, [Trace.from_text(text) for text in TEXTS])
    assert door(name) in ([], pytest.approx(expected, abs=1e-4))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("thing", [object(), 7, len])
def test_what_is_no_scorer_is_refused_alike(door: Door, thing: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"scorer must be a name or have score\(question, traces\)"):
        door(thing)


def test_names() -> None:
    assert isinstance(open_scorer("mini"), MiniScorer)
    assert isinstance(open_scorer("random"), RandomScorer)
    assert isinstance(open_scorer("shortest"), LengthScorer)
    assert all(isinstance(open_scorer(name), Scorer) for name in ("mini", "shortest", "longest", "random"))
    assert type(open_scorer("small")) is TRMScorer
    remote = open_scorer("http://localhost:1/v1", api="vllm", model="trm")
    assert isinstance(remote, RemoteTRMScorer)
    assert (remote.api, remote.model) == ("vllm", "trm")
    chat = open_scorer("http://localhost:1", reads="response", template="chat", tokenizer="some/model")
    assert isinstance(chat, RemoteTRMScorer)
    assert (chat.reads, chat.template) == ("response", "chat")
    process = open_scorer("prm:some/model", max_tokens=7)
    assert isinstance(process, PRMScorer)
    assert (process.model, process.max_tokens) == ("some/model", 7)
    assert open_scorer(process) is process
    judge = open_scorer("judge:openai/gpt-4o")
    assert isinstance(judge, JudgeScorer)
    assert judge.name == "judge:openai/gpt-4o"


@pytest.mark.parametrize(
    ("scorer", "options"),
    [
        ("mini", {"max_tokens": 7}),
        ("longest", {"dtype": "float32"}),
        ("http://localhost:1", {"quantization": "nf4"}),
        ("small", {"api": "vllm"}),
        (RandomScorer(), {"device": "cpu"}),
        ("mini", {"template": "plain"}),
        ("small", {"tokenizer": "x"}),
        ("prm:some/model", {"reads": "response"}),
        ("judge:openai/gpt-4o", {"model": "x"}),
    ],
)
def test_options_that_do_not_go_with_a_name_are_refused(scorer: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"does not take {next(iter(options))}"):
        open_scorer(scorer, **options)
    if isinstance(scorer, str):
        open_scorer(scorer, **options_for(scorer, **options))


@pytest.mark.parametrize("name", ["", " ", "prm:", "judge:"])
def test_an_empty_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        open_scorer(name)


def test_a_folder_tells_by_its_config_what_it_is(tmp_path: Path) -> None:
    for name, architecture in (("a", "Qwen2ForProcessRewardModel"), ("b", "LlamaForSequenceClassification")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(f'{{"architectures": ["{architecture}"]}}')
    assert isinstance(open_scorer(str(tmp_path / "a")), PRMScorer)
    with pytest.raises(ConfigurationError, match="does not take template"):
        open_scorer(str(tmp_path / "a"), template="plain")
    plain = open_scorer(str(tmp_path / "b"), reads="both", template="plain")
    assert isinstance(plain, TRMScorer)
    assert (plain.reads, plain.template) == ("both", "plain")
    other = open_scorer(str(tmp_path / "b"), quantization="nf4", max_tokens=9, device="cpu", batch_tokens=128)
    assert type(other) is TRMScorer
    assert (other.quantization, other.max_tokens, other.device, other.batch_tokens) == ("nf4", 9, "cpu", 128)


async def test_calls_by_the_same_name_share_one_scorer() -> None:
    first, second = await asyncio.gather(load_scorer("shortest"), load_scorer("shortest"))
    assert first is second
    assert (await arerank(QUESTION, TEXTS, scorer="shortest")).scorer == "shortest"


async def test_an_object_is_loaded_outside_the_event_loop() -> None:
    class Slow(LengthScorer):
        loaded_in: threading.Thread | None = None

        def load(self) -> None:
            self.loaded_in = threading.current_thread()

    scorer = Slow("longest")
    assert await load_scorer(scorer) is scorer
    assert scorer.loaded_in not in (None, threading.current_thread())
