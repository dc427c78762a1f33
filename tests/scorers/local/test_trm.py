"""`TRMScorer` with real, tiny models on the CPU."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from support.scoring_server import ScoringServer

from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.schema import Question, Trace
from me2sdk.scorers import RemoteTRMScorer, TRMScorer, alone_scorer, is_joint

torch = pytest.importorskip("torch", reason="needs the extra [local]")
pytest.importorskip("transformers", reason="needs the extra [local]")

from me2sdk.scorers.local import loading, reward_model  # noqa: E402
from me2sdk.scorers.local.packed import PackedModel  # noqa: E402
from me2sdk.scorers.local.padded import PaddedModel, make_batches  # noqa: E402
from me2sdk.scorers.local.reward_model import RewardModel  # noqa: E402
from me2sdk.testing import tiny_reward_model  # noqa: E402

TRACES = [
    "So 17 × 3 = 51.",
    "x",
    "First I split the number.\n\nThen I add both parts. " * 20,
    "it ends as a text does <eos>",
    "it ends as a text does <eos><eos>",
    "<pad> at the start and at the end <pad>",
    "Ünïcödé 思考 🤔 " * 7,
    "y" * 400,
]
QUESTION = "What is 17 times 3?"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of the tiny model of an architecture, written once."""
    root = tmp_path_factory.mktemp("models")

    def folder(architecture: str = "llama") -> Path:
        path = root / architecture
        return path if path.exists() else tiny_reward_model(path, architecture=architecture)  # type: ignore[arg-type]

    return folder


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def copy(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A tiny Llama that a test may damage."""
    return shutil.copytree(tiny("llama"), tmp_path / "model")


def loaded(scorer: TRMScorer) -> RewardModel:
    """The `RewardModel` behind ``scorer``, for tests that watch it work."""
    models: list[RewardModel] = []
    original = RewardModel.__init__

    def spy(self: RewardModel, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        models.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RewardModel, "__init__", spy)
        scorer.load()
    return models[0]


@pytest.fixture
def padded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score decoders as if they could not be packed."""
    monkeypatch.setattr(PackedModel, "of", lambda *args: None)


PADDING: dict[str, dict[str, Any]] = {
    "own": {},
    "eos": {"pad_token": "<eos>"},
    "none": {"pad_token": None},
    "left": {"padding_side": "left"},
}


@pytest.mark.usefixtures("padded")
@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "bert"])
def test_a_padded_batch_gives_each_trace_the_score_it_gets_alone(
    tiny: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
    padding: str,
) -> None:
    monkeypatch.setattr("me2sdk.scorers.local.padded._MAX_PADDING", 1.0)  # let rows of any lengths meet
    path = shutil.copytree(tiny(architecture), tmp_path / "model")
    edit_json(path / "tokenizer_config.json", **PADDING[padding])
    if padding in ("eos", "none"):
        edit_json(path / "config.json", pad_token_id=1 if padding == "eos" else None)
    scorer = TRMScorer(str(path), batch_tokens=1500)
    alone = [scorer.score(QUESTION, [trace])[0] for trace in TRACES]
    assert scorer.score(QUESTION, TRACES) == pytest.approx(alone, abs=1e-4)
    assert scorer.score(QUESTION, TRACES[::-1]) == pytest.approx(alone[::-1], abs=1e-4)
    assert max(alone) - min(alone) > 0.1  # they are told apart at all


@pytest.mark.parametrize("way", ["packed", "padded"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "bert"])
def test_scores_are_the_models_own_logits(
    tiny: Callable[[str], Path], architecture: str, way: str, request: pytest.FixtureRequest
) -> None:
    import transformers

    if way == "padded":
        request.getfixturevalue("padded")
    path = tiny(architecture)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path)
    expected = []
    with torch.inference_mode():
        for trace in TRACES[:3]:
            inputs = tokenizer(f"{QUESTION}\n{trace.strip()}", return_tensors="pt")
            expected.append(float(model(**inputs).logits))
    assert TRMScorer(str(path)).score(QUESTION, TRACES[:3]) == pytest.approx(expected, abs=1e-4)


def test_the_last_token_is_read_even_if_it_is_also_the_padding(copy: Path) -> None:
    edit_json(copy / "tokenizer_config.json", pad_token="<eos>")
    edit_json(copy / "config.json", pad_token_id=1)
    with_eos, without = TRMScorer(str(copy)).score(
        QUESTION, [Trace(reasoning=text) for text in ("It is 51.<eos>", "It is 51.")]
    )
    assert abs(with_eos - without) > 1e-3


def test_questions_one_a_trace_and_chat_messages(tiny: Callable[[str], Path]) -> None:
    scorer = TRMScorer(str(tiny("llama")))
    messages: Question = [{"role": "user", "content": "Q1"}]
    expected = [scorer.score("Q1", ["a"])[0], scorer.score("Q2", [Trace(reasoning="b")])[0]]
    assert scorer.score([messages, "Q2"], ["a", Trace(reasoning="b")]) == pytest.approx(expected, abs=1e-4)
    assert scorer.score(messages, ["a"]) == pytest.approx(expected[:1], abs=1e-4)


def test_empty_input_and_hostile_input(tiny: Callable[[str], Path]) -> None:
    scorer = TRMScorer(str(tiny("llama")))
    assert scorer.score(QUESTION, []) == []
    assert (
        len(
            scorer.score("\ud800", [Trace(reasoning="\udfff"), Trace(reasoning="<bos><eos><pad>"), "\0" * 99])
        )
        == 3
    )
    with pytest.raises(InvalidTraceError, match="Trace 1 "):
        scorer.score(QUESTION, ["fine", " "])


def test_the_middle_of_a_long_trace_is_left_out_and_said(
    tiny: Callable[[str], Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = TRMScorer(str(tiny("llama")), max_tokens=50)
    model = loaded(scorer)
    seen: list[str] = []
    original = model._runner.scores

    def watch(rows: list[list[int]], shared: list[list[int]]) -> Any:
        seen.extend(str(model._tokenizer.decode(row)) for row in rows)
        return original(rows, shared)

    monkeypatch.setattr(model._runner, "scores", watch)
    with caplog.at_level(logging.WARNING):
        scores = scorer.score("Question?", ["short", "begin" + "." * 100 + "the end"])
    # 1 special token, 10 of the question with its line break, 39 of the trace: 19 first ones and 20 last
    # ones.
    assert seen == ["<bos>Question?\nshort", "<bos>Question?\nbegin" + "." * 14 + "." * 13 + "the end"]
    assert scores.truncated == [0, 112 - 39]
    assert "1 of 2 traces do not fit 50 tokens" in caplog.text


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_texts_that_are_tokenized_in_blocks_keep_their_places(
    kind: str, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = TRMScorer(str(tiny(kind)), max_tokens=60)
    questions = ["Q" * (20 * (i % 3)) or None for i in range(12)]
    traces = ["trace " * (1 + 7 * i % 11) for i in range(12)]
    expected = scorer.score(questions, traces)
    assert any(expected.truncated)
    monkeypatch.setattr(reward_model, "_BLOCK_CHARACTERS", 70)
    assert len(reward_model._blocks([("", "z" * 40)] * 5)) == 3
    found = scorer.score(questions, traces)
    assert found == pytest.approx(expected, abs=1e-4)
    assert found.truncated == expected.truncated


def test_a_text_that_cannot_be_scored_is_told_before_those_ahead_of_it_are_done(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = TRMScorer(str(tiny("llama")), max_tokens=60)
    model = loaded(scorer)
    monkeypatch.setattr(reward_model, "_BLOCK_CHARACTERS", 1)
    passes = 0
    scores = model._runner.scores
    submit = ThreadPoolExecutor.submit

    def tokenized_by_now(*work: Any) -> Any:
        future = submit(*work)
        future.exception(60)
        return future

    def counted(*rows: Any) -> Any:
        nonlocal passes
        for scored in scores(*rows):
            passes += 1
            yield scored

    monkeypatch.setattr(ThreadPoolExecutor, "submit", tokenized_by_now)
    monkeypatch.setattr(model._runner, "scores", counted)
    with pytest.raises(ScoringError, match="question of trace 8 alone"):
        scorer.score(["Q"] * 8 + ["Q" * 100], ["trace"] * 9)
    assert passes == 1


def test_a_closing_special_token_survives_truncation(tiny: Callable[[str], Path]) -> None:
    model = loaded(TRMScorer(str(tiny("bert")), max_tokens=20))
    ids = model._tokenizer("Question?\n" + "z" * 99)["input_ids"]
    alone = model._tokenizer("Question?\n")["input_ids"]
    kept = model._fit(ids, reward_model._common(alone, ids), 0)
    assert model._tokenizer.decode(kept) == "<bos>Question?\n" + "z" * 8 + "<eos>"


@given(st.text("abc \n", max_size=40), st.text("xyz \n", min_size=1, max_size=90), st.integers(1, 60))
def test_what_is_left_fits_and_keeps_the_question(question: str, trace: str, limit: int) -> None:
    model = RewardModel.__new__(RewardModel)
    model.max_tokens = limit
    prefix = question + "\n"
    ids = [0, *(prefix + trace).encode()]
    start = reward_model._common([0, *prefix.encode()], ids)
    if len(ids) <= limit:
        assert model._fit(ids, start, 0) == ids
    elif len(prefix) + 1 >= limit:
        with pytest.raises(ScoringError, match="question of trace 3 alone"):
            model._fit(ids, start, 3)
    else:
        kept = model._fit(ids, start, 0)
        assert len(kept) == limit
        assert kept[: len(prefix) + 1] == ids[: len(prefix) + 1]
        assert kept[-1] == ids[-1]


def test_the_default_limit_is_the_models_context(tiny: Callable[[str], Path], copy: Path) -> None:
    assert loaded(TRMScorer(str(tiny("llama")))).max_tokens == 8192
    edit_json(copy / "tokenizer_config.json", model_max_length=100)
    scorer = TRMScorer(str(copy))
    assert scorer.score("", ["z" * 150]).truncated == [51]
    with pytest.raises(ScoringError, match="question of trace 0 alone"):
        scorer.score("q" * 100, ["a"])


def test_more_tokens_than_the_context_are_refused(tiny: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigurationError, match="max_tokens=8193"):
        TRMScorer(str(tiny("llama")), max_tokens=8193).load()


@given(
    st.lists(st.integers(1, 50), max_size=30),
    st.integers(1, 200),
    st.sampled_from([1, 8]),
    st.sampled_from([0.0, 0.25, 1.0]),
)
def test_batches_hold_each_row_once_within_the_budget(
    lengths: list[int], budget: int, multiple: int, max_padding: float
) -> None:
    def pad(length: int) -> int:
        return -(-length // multiple) * multiple

    batches = list(make_batches(lengths, budget, pad, max_padding))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        rows = [lengths[index] for index in batch]
        assert len(rows) == 1 or pad(max(rows)) * len(rows) <= budget
        assert max(rows) * len(rows) - sum(rows) <= max_padding * max(rows) * len(rows)
        assert max_padding or len(set(rows)) == 1


def test_equal_rows_fill_the_budget() -> None:
    assert [len(batch) for batch in make_batches([10] * 10, 40, int, 0.25)] == [4, 4, 2]


@pytest.mark.usefixtures("padded")
def test_little_memory_means_smaller_batches(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = TRMScorer(str(tiny("llama")))
    expected = scorer.score(QUESTION, TRACES)
    model = loaded(TRMScorer(str(tiny("llama")), batch_tokens=16384))
    runner = model._runner
    assert isinstance(runner, PaddedModel)
    monkeypatch.setattr(runner, "_max_padding", 1.0)  # all in one batch
    sizes: list[int] = []
    forward = runner._forward

    def small(rows: list[list[int]], limit: int = 2) -> list[float]:
        sizes.append(len(rows))
        if len(rows) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(rows)

    parts = [(f"{QUESTION}\n", Trace.from_text(trace).reasoning.strip()) for trace in TRACES]
    monkeypatch.setattr(runner, "_forward", small)
    assert model.score(parts, threading.Event()) == pytest.approx(expected, abs=1e-4)
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    monkeypatch.setattr(runner, "_forward", lambda rows: small(rows, 0))
    with pytest.raises(ScoringError, match="too little memory for one trace"):
        model.score(parts, threading.Event())


@pytest.mark.usefixtures("padded")
def test_padded_bfloat16_on_a_cpu_meets_few_shapes(tiny: Callable[[str], Path]) -> None:
    def runner(**options: Any) -> PaddedModel:
        found = loaded(TRMScorer(str(tiny("llama")), device="cpu", **options))._runner
        assert isinstance(found, PaddedModel)
        return found

    low = runner(dtype="bfloat16", max_tokens=100)
    assert [low._pad_length(n) for n in (1, 64, 65, 100)] == [64, 64, 100, 100]
    assert runner(dtype="float32")._pad_length(65) == 65


@pytest.mark.parametrize(("amx", "usual"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_computes_in_bfloat16_where_it_has_units_for_it(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, amx: bool, usual: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert loaded(TRMScorer(str(tiny("llama")), device="cpu"))._model.dtype is usual
    exact = loaded(TRMScorer(str(tiny("llama")), device="cpu", dtype="float32"))
    assert exact._model.dtype is torch.float32


def save_classifier(path: Path, *, labels: int, head: bool) -> None:
    """Turn the tiny Llama at ``path`` into another checkpoint."""
    import transformers
    from safetensors.torch import load_file, save_file

    if labels != 1:
        config = transformers.AutoConfig.from_pretrained(path, num_labels=labels)
        config.save_pretrained(path)
    weights = load_file(path / "model.safetensors")
    if not head:
        del weights["score.weight"]
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


def test_a_classifier_with_several_labels_is_refused(copy: Path) -> None:
    save_classifier(copy, labels=2, head=True)
    with pytest.raises(ConfigurationError, match="2 labels"):
        TRMScorer(str(copy)).load()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_model_without_a_trained_head_is_refused(copy: Path) -> None:
    save_classifier(copy, labels=1, head=False)
    with pytest.raises(ConfigurationError, match=r"no weights for score\.weight"):
        TRMScorer(str(copy)).load()


class Trap:
    """Pickles to something that creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_weights_are_never_read(copy: Path, tmp_path: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ConfigurationError, match="safetensors"):
        TRMScorer(str(copy)).load()
    assert not (tmp_path / "sprung").exists()


def test_code_that_comes_with_a_model_does_not_run(copy: Path, tmp_path: Path) -> None:
    names = {"AutoConfig": "code.Config", "AutoModelForSequenceClassification": "code.Model"}
    edit_json(copy / "config.json", auto_map=names, model_type="never-heard-of")
    (copy / "code.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w').close()")
    with pytest.raises(ConfigurationError, match="could not be loaded"):
        TRMScorer(str(copy)).load()
    assert not (tmp_path / "sprung").exists()


def test_damaged_weights_and_missing_folders_are_configuration_errors(copy: Path, tmp_path: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    for path in (copy, tmp_path / "nothing"):
        with pytest.raises(ConfigurationError, match="could not be loaded"):
            TRMScorer(str(path)).load()


def test_scores_that_are_not_finite_are_an_error(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    weights["score.weight"][0, 0] = float("nan")
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ScoringError, match="no finite score for trace 0, 1"):
        TRMScorer(str(copy)).score(QUESTION, ["a", "b"])


needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes, from the extra [local]"
)


@needs_bitsandbytes
@pytest.mark.parametrize("quantization", ["int8", "nf4"])
@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_a_quantized_model_keeps_its_head(
    tiny: Callable[[str], Path], architecture: str, quantization: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tiny(architecture))
    scorer = TRMScorer(path, quantization=quantization, device="cpu")
    model = loaded(scorer)
    kinds = {type(module).__name__ for module in model._model.modules()}
    assert kinds & {"Linear8bitLt", "Linear4bit"}  # it was quantized
    assert type(model._head) is torch.nn.Linear
    assert scorer.name == f"{path} ({quantization})"
    scores = scorer.score(QUESTION, TRACES)
    exact = TRMScorer(path).score(QUESTION, TRACES)
    spread = max(exact) - min(exact)
    assert max(abs(a - b) for a, b in zip(scores, exact, strict=True)) < spread
    assert "MatMul8bitLt" not in caplog.text
    alone = [scorer.score(QUESTION, [trace])[0] for trace in reversed(TRACES)][::-1]
    # int8 depends on everything in a pass, so each trace has passes of its own.
    assert scores == pytest.approx(alone, abs=0 if quantization == "int8" else 0.02 * spread)


@needs_bitsandbytes
def test_a_quantized_head_is_refused(tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "head_modules", lambda config, trust_remote_code: ["lm_head"])
    with pytest.raises(ScoringError, match=r"score head of .* was quantized"):
        TRMScorer(str(tiny("llama")), quantization="int8", device="cpu").load()


@pytest.mark.parametrize("package", ["bitsandbytes", "accelerate"])
def test_a_missing_extra_is_named(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(ConfigurationError, match=rf'{package}\. Run: pip install "me2sdk\[local\]"'):
        TRMScorer(str(tiny("llama")), quantization="nf4", device="cpu").load()


def test_without_torch_the_extra_is_named(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "me2sdk.scorers.local.reward_model")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigurationError, match=r'pip install "me2sdk\[local\]"'):
        TRMScorer(str(tiny("llama"))).score(QUESTION, TRACES)


@pytest.mark.parametrize(
    "options",
    [
        {"quantization": "int4"},
        {"dtype": "int8"},
        {"max_tokens": 0},
        {"batch_tokens": 0},
        {"model": "mini", "quantization": "nf4"},
        {"model": "mini", "device": "cpu"},
        {"model": "mini", "max_tokens": 5},
        {"model": "mini", "trust_remote_code": True},
        {"model": "mini", "revision": "main"},
        {"model": "mini", "dtype": "float32"},
        {"model": "mini", "batch_tokens": 5},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        TRMScorer(**{"model": "some/model", **options})


@pytest.mark.parametrize("device", ["toaster", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(tiny: Callable[[str], Path], device: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"Device '{device}'"):
        TRMScorer(str(tiny("llama")), device=device).load()


async def test_both_twins_agree_and_work_one_at_a_time(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = TRMScorer(str(tiny("llama")))
    model = loaded(scorer)
    expected = scorer.score(QUESTION, TRACES)
    free = threading.Lock()
    forward = model._runner._forward

    def exclusive(*args: Any) -> Any:
        assert free.acquire(blocking=False), "two forward passes at once"
        try:
            return forward(*args)
        finally:
            free.release()

    monkeypatch.setattr(model._runner, "_forward", exclusive)
    calls = [scorer.ascore(QUESTION, [trace]) for trace in TRACES]
    calls += [asyncio.to_thread(scorer.score, QUESTION, [trace]) for trace in TRACES]
    found = [score for (score,) in await asyncio.gather(*calls)]
    assert found == pytest.approx([*expected, *expected], abs=1e-4)


@pytest.mark.usefixtures("padded")
async def test_cancelling_stops_before_the_next_batch(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = TRMScorer(str(tiny("llama")), batch_tokens=1)  # one trace a batch
    model = loaded(scorer)
    started, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    passes: list[int] = []

    def slow(rows: list[list[int]]) -> list[float]:
        passes.append(len(rows))
        loop.call_soon_threadsafe(started.set)
        assert go_on.wait(10)
        return [0.0] * len(rows)

    monkeypatch.setattr(model._runner, "_forward", slow)
    task = asyncio.create_task(scorer.ascore(QUESTION, TRACES))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    assert await scorer.ascore(QUESTION, ["next"]) == [0.0]  # queued behind the cancelled one
    assert passes == [1, 1]


def test_a_server_with_the_same_model_passes_the_check(tiny: Callable[[str], Path]) -> None:
    local = TRMScorer(str(tiny("llama")))
    expected = local.score(QUESTION, TRACES)
    with (
        ScoringServer(score=lambda texts: local.score(None, texts)) as server,
        RemoteTRMScorer(server.url, batch_size=3) as remote,
    ):
        assert remote.check(QUESTION, TRACES, expected, tolerance=1e-4) == pytest.approx(expected, abs=1e-4)


def test_the_tiny_model_is_reproducible_and_seeded(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    paths = [tiny_reward_model(tmp_path / str(k), seed=seed) for k, seed in enumerate([0, 0, 1])]
    weights = [(path / "model.safetensors").read_bytes() for path in paths]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(ConfigurationError, match="architecture"):
        tiny_reward_model(tmp_path / "x", architecture="gpt")  # type: ignore[arg-type]


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_importing_scorers_is_cheap() -> None:
    heavy = "{'torch', 'transformers', 'httpx', 'litellm', 'networkx'}"
    assert (
        run_python(f"import sys, me2sdk.scorers, me2sdk.testing; print({heavy} & set(sys.modules))")
        == "set()"
    )


def test_loading_and_scoring_prints_nothing(
    tiny: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    TRMScorer(str(tiny("qwen2")), max_tokens=50).score(QUESTION, TRACES)
    assert capfd.readouterr() == ("", "")


def test_the_bundled_scorer_needs_no_torch() -> None:
    if importlib.util.find_spec("me2sdk.scorers.mini") is None:
        pytest.skip("the bundled scorer is not in this build")
    code = (
        "import sys; from me2sdk.scorers import TRMScorer; s = TRMScorer();"
        "scores = s.score('What is 2+2?', ['2+2 = 4, so the answer is 4.', 'Hmm. 2+2 = 5. Wait. Hmm.']);"
        "print(s.name, len(scores), scores.truncated, 'torch' in sys.modules)"
    )
    assert run_python(code) == "mini 2 [0, 0] False"


def test_mini_compares_traces_and_other_models_do_not() -> None:
    mini, traces = TRMScorer("mini"), ["3 + 4 = 7", "4 + 3 = 7", "3 + 4 = 8"]
    assert [is_joint(scorer) for scorer in (mini, alone_scorer(mini), TRMScorer("someone/model"))] == [
        True,
        False,
        False,
    ]
    alone = [mini.score("What is 3 + 4?", [trace])[0] for trace in traces]
    assert mini.score("What is 3 + 4?", traces) != alone
    assert alone_scorer(mini).score("What is 3 + 4?", traces) == alone
