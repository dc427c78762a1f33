"""Packed passes with real, tiny decoders on the CPU."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from me2sdk.errors import ScoringError

torch = pytest.importorskip("torch", reason="needs the extra [local]")
transformers = pytest.importorskip("transformers", reason="needs the extra [local]")

from me2sdk.scorers.local import packed_attention  # noqa: E402
from me2sdk.scorers.local.packed import PackedModel, plan  # noqa: E402

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.3,
    "num_labels": 1,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 1,
}
ARCHITECTURES = {
    "llama": ("LlamaConfig", {}),
    "qwen2": ("Qwen2Config", {}),
    "qwen2-windows": (
        "Qwen2Config",
        {"use_sliding_window": True, "sliding_window": 50, "max_window_layers": 2},
    ),
    "qwen3": ("Qwen3Config", {"head_dim": 16}),
    "gemma": ("GemmaConfig", {"head_dim": 16}),
    "gemma2": ("Gemma2Config", {"head_dim": 16, "sliding_window": 50}),
    "gemma3": ("Gemma3TextConfig", {"head_dim": 16, "sliding_window": 50, "query_pre_attn_scalar": 16}),
    "mistral": ("MistralConfig", {"sliding_window": 50}),
}


def classifier(name: str, **more: Any) -> Any:
    kind, fields = ARCHITECTURES[name]
    config = getattr(transformers, kind)(**{**SMALL, **fields, **more})
    torch.manual_seed(0)
    way = "eager" if name == "gemma2" else "sdpa"  # as transformers loads it
    model = transformers.AutoModelForSequenceClassification.from_config(config, attn_implementation=way)
    return model.eval()


def texts(shared: int, *lengths: int) -> tuple[list[list[int]], list[list[int]]]:
    draw = random.Random(0)
    start = [draw.randrange(2, 300) for _ in range(shared)]
    rows = [start + [draw.randrange(2, 300) for _ in range(length)] for length in lengths]
    return rows, [start] * len(rows)


def one_by_one(model: Any, rows: list[list[int]]) -> list[float]:
    with torch.inference_mode():
        return [float(model(input_ids=torch.tensor([row])).logits[0, 0]) for row in rows]


def packed(model: Any, budget: int = 2048, multiple: int = 1) -> PackedModel:
    found = PackedModel.of("test", model, model.score, CPU, budget, multiple)
    assert found is not None
    return found


def run(model: PackedModel, rows: list[list[int]], shared: list[list[int]]) -> list[float]:
    values = {index: value for scored in model.scores(rows, shared) for index, value in scored.items()}
    return [values[index] for index in range(len(rows))]


@pytest.mark.parametrize("budget", [2048, 200])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scores_are_those_of_one_text_at_a_time(name: str, budget: int) -> None:
    model = classifier(name)
    rows, shared = texts(70, 5, 900, 64, 1, 333)
    expected = one_by_one(model, rows)
    assert max(expected) - min(expected) > 0.1
    runner = packed(model, budget)
    assert run(runner, rows, shared) == pytest.approx(expected, abs=1e-4)
    assert run(runner, rows[::-1], shared) == pytest.approx(expected[::-1], abs=1e-4)


@given(
    st.lists(st.integers(1, 80), min_size=1, max_size=12),
    st.integers(0, 40),
    st.integers(1, 100),
    st.booleans(),
    st.booleans(),
)
def test_a_plan_holds_every_token_once_and_in_order(
    own: list[int], shared: int, budget: int, have: bool, isolated: bool
) -> None:
    lengths = [shared + length for length in own]
    passes = list(plan(lengths, shared, budget, have, isolated))
    seen: dict[int, list[int]] = {}
    for segments in passes:
        assert 0 < sum(segment.stop - segment.start for segment in segments) <= budget
        assert not isolated or len({segment.text for segment in segments}) == 1
        for segment in segments:
            seen.setdefault(segment.text, []).extend(range(segment.start, segment.stop))
    with_first = shared and not have and not isolated and lengths[0] <= budget
    assert seen.pop(-1, []) == ([] if have or with_first else list(range(shared)))
    starts = [0 if with_first else shared, *[shared] * (len(own) - 1)]
    assert list(seen.items()) == [
        (text, list(range(start, length)))
        for text, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]
    order = [segment.text for segments in passes for segment in segments]
    assert order == sorted(order)


def test_the_question_is_computed_once_also_for_traces_that_arrive_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = classifier("llama")
    rows, shared = texts(100, 50, 60, 70)
    expected = one_by_one(model, rows)
    runner = packed(model)
    tokens: list[int] = []
    forward = runner._forward

    def count(group: Any, segments: Any, cache: Any) -> Any:
        tokens.append(sum(segment.stop - segment.start for segment in segments))
        return forward(group, segments, cache)

    monkeypatch.setattr(runner, "_forward", count)
    assert run(runner, rows[:1], shared[:1]) + run(runner, rows[1:], shared[1:]) == pytest.approx(
        expected, abs=1e-4
    )
    assert tokens == [150, 130]
    other, of_other = texts(33, 20)
    run(runner, other, of_other)
    run(runner, rows[:1], shared[:1])
    assert tokens[2:] == [53, 150]  # only the last question stays


def test_questions_may_differ_within_a_call() -> None:
    model = classifier("qwen3")
    one, of_one = texts(64, 30, 40)
    two, of_two = [row[::-1] for row in one], [start[::-1] for start in of_one]
    two = [start + row[:25] for start, row in zip(of_two, two, strict=True)]
    rows, shared = [one[0], two[0], one[1], two[1]], [of_one[0], of_two[0], of_one[1], of_two[1]]
    expected = one_by_one(model, rows)
    assert run(packed(model), rows, shared) == pytest.approx(expected, abs=1e-4)


def test_little_memory_means_smaller_passes_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier("llama")
    rows, shared = texts(100, 300, 310, 320, 330)
    expected = one_by_one(model, rows)
    runner = packed(model)
    sizes: list[int] = []
    forward = runner._forward

    def small(group: Any, segments: Any, cache: Any) -> Any:
        sizes.append(sum(segment.stop - segment.start for segment in segments))
        if sizes[-1] > limit:
            forward(group, segments, cache)  # what it kept must not be taken for whole
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(group, segments, cache)

    monkeypatch.setattr(runner, "_forward", small)
    limit = 600
    assert run(runner, rows, shared) == pytest.approx(expected, abs=1e-4)
    assert sizes[:2] == [1360, 710]
    assert max(sizes[2:]) <= 600
    limit = 5
    with pytest.raises(ScoringError, match="too little memory for a trace of 430 tokens"):
        run(runner, rows, shared)
    limit = 10_000
    assert run(runner, rows, shared) == pytest.approx(expected, abs=1e-4)


def test_a_failed_pass_is_a_scoring_error_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier("llama")
    rows, shared = texts(100, 300)
    runner = packed(model, budget=128)
    forward, calls = runner._forward, []

    def fail(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("the device is gone")
        return forward(*args)

    monkeypatch.setattr(runner, "_forward", fail)
    with pytest.raises(ScoringError, match="the device is gone"):
        run(runner, rows, shared)
    assert run(runner, rows, shared) == pytest.approx(one_by_one(classifier("llama"), rows), abs=1e-4)


def test_bfloat16_meets_few_shapes_and_keeps_the_order() -> None:
    rows, shared = texts(70, 40, 200, 300, 120, 90)
    expected = one_by_one(classifier("llama", initializer_range=0.1), rows)
    low = classifier("llama", initializer_range=0.1).to(torch.bfloat16)
    shapes: list[int] = []
    low.model.layers[0].register_forward_pre_hook(lambda module, args: shapes.append(args[0].shape[1]))
    plain = max(abs(a - b) for a, b in zip(one_by_one(low, rows), expected, strict=True))
    del shapes[:]
    runner = packed(low, budget=500, multiple=64)
    found = run(runner, rows, shared)
    assert all(shape % 64 == 0 for shape in shapes[2:])
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) < 2 * plain
    assert sorted(range(5), key=found.__getitem__) == sorted(range(5), key=expected.__getitem__)


def test_a_model_that_packing_would_change_is_left_as_it_was() -> None:
    model = classifier("llama")
    model.model.rotary_emb.forward = lambda x, position_ids: type(model.model.rotary_emb).forward(
        model.model.rotary_emb, x, torch.arange(x.shape[1])[None]
    )  # positions of its own, as some remote code has
    assert PackedModel.of("odd", model, model.score, CPU, 2048, 1) is None
    assert model.config._attn_implementation == "sdpa"


def test_encoders_are_not_packed() -> None:
    config = transformers.BertConfig(
        vocab_size=300,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        num_labels=1,
    )
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    assert PackedModel.of("bert", model, model.classifier, CPU, 2048, 1) is None


def test_masks_stay_small_for_long_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier("llama")
    rows, shared = texts(64, 3000)
    expected = one_by_one(model, rows)
    masks: list[int] = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def watch(*args: Any, **options: Any) -> Any:
        mask = options.get("attn_mask")
        masks.append(0 if mask is None else mask.numel())
        return attend(*args, **options)

    runner = packed(model)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watch)
    assert run(runner, rows, shared) == pytest.approx(expected, abs=1e-4)
    assert 0 < max(masks) <= packed_attention._BLOCK * 3064
