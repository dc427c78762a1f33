"""Runs verl's own reward code on `me2sdk.adapters.verl` and prints what came out, as JSON.

For the Python of verl's environment (``make verl``): ``python verl_program.py FOLDER_OF_A_TOKENIZER``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
import transformers
import verl
from omegaconf import DictConfig, OmegaConf
from verl import DataProto
from verl.experimental.reward_loop import RewardLoopManager, RewardLoopWorker
from verl.workers.reward_manager.batch import BatchRewardManager
from verl.workers.reward_manager.naive import NaiveRewardManager

from me2sdk.adapters.verl import compute_score_batch, compute_score_sync

QUESTION, REFERENCE = "How long is the diagonal of a square of side 2?", "2\\sqrt{2}"
# Right, but only mathematics tells; right as text; wrong; without an answer.
COMPLETIONS = (
    "2^2 + 2^2 = 4 + 4 = 8. \\boxed{\\sqrt{8}}",
    "2^2 + 2^2 = 8 and 8 = 4 * 2. \\boxed{2\\sqrt{2}}",
    "2 + 2 = 4. \\boxed{4}",
    "It depends.",
)
PROMPT, WIDTH = 8, 64


def batch(tokenizer: Any) -> DataProto:
    """Rollouts in verl's form: prompts padded on the left, responses on the right, and the dataset's columns."""
    responses = torch.full((len(COMPLETIONS), WIDTH), tokenizer.pad_token_id)
    mask = torch.zeros((len(COMPLETIONS), PROMPT + WIDTH), dtype=torch.int64)
    for row, text in enumerate(COMPLETIONS):
        tokens = tokenizer.encode(text, add_special_tokens=False)
        responses[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, PROMPT - 2 : PROMPT + len(tokens)] = 1
    tensors = {
        "prompts": torch.full((len(COMPLETIONS), PROMPT), 3),
        "responses": responses,
        "attention_mask": mask,
    }
    columns = {
        "data_source": "webinstruct",
        "reward_model": {"ground_truth": REFERENCE, "style": "rule"},
        "extra_info": {"question": QUESTION},
    }
    return DataProto.from_dict(
        tensors=tensors,
        non_tensors={
            name: np.array(
                [dict(value) if isinstance(value, dict) else value for _ in COMPLETIONS], dtype=object
            )
            for name, value in columns.items()
        },
    )


def config(tokenizer: str, manager: str, function: str) -> DictConfig:
    """The trainer's configuration as it ships, with our function."""
    own = {
        "reward": {
            "custom_reward_function": {
                "path": "pkg://me2sdk.adapters.verl",
                "name": function,
                "reward_kwargs": {"scorer": "mini", "alpha": 0.2},
            },
            "reward_manager": {"name": manager},
            "num_workers": 1,
        },
        "actor_rollout_ref": {"model": {"path": tokenizer}},
    }
    shipped = Path(verl.__file__).parent / "trainer" / "config" / "_generated_ppo_trainer.yaml"
    return DictConfig(OmegaConf.merge(OmegaConf.load(shipped), own))


async def reward_loop(folder: str, manager: str, function: str) -> list[dict[str, Any]]:
    """What verl's reward loop makes of a batch: its worker, its manager, our function."""
    worker = RewardLoopWorker(config(folder, manager, function))
    return await worker.compute_score_batch(batch(worker.input_tokenizer))


def whole_loop(folder: str, data: DataProto) -> DataProto:
    """The manager that the trainer calls, with its workers and ours as Ray actors."""
    # Ray gives its workers the lowest priority, so that on a busy machine they would not come to their turn.
    settings = {"worker_niceness": 0}
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, _system_config=settings)
    try:
        return RewardLoopManager(config(folder, "remote", "compute_score_sync")).compute_rm_score(data)
    finally:
        ray.shutdown()


def found(rewards: torch.Tensor, extra: dict[str, Any]) -> dict[str, Any]:
    """The reward of each response, which stands at its last token, and what is logged beside it."""
    return {
        "rewards": [row[row != 0].sum().item() for row in rewards],
        "extra": {name: list(map(float, values)) for name, values in extra.items()},
    }


def main(folder: str) -> None:
    """Run everything and print one JSON object."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    loops = {
        f"{manager} {function}": asyncio.run(reward_loop(folder, manager, function))
        for manager in ("naive", "dapo")
        for function in ("compute_score", "compute_score_sync")
    }
    tensors = {}
    for name, legacy in {
        "batch": BatchRewardManager(tokenizer, 0, compute_score_batch, scorer="mini"),
        "legacy naive": NaiveRewardManager(tokenizer, 0, compute_score_sync),
    }.items():
        done = legacy(batch(tokenizer), return_dict=True)
        tensors[name] = found(done["reward_tensor"], done["reward_extra_info"])
    whole = whole_loop(folder, batch(tokenizer))
    tensors["remote"] = found(whole.batch["rm_scores"], whole.non_tensor_batch)
    print(json.dumps({"verl": verl.__version__, "reward loop": loops, "tensors": tensors}))


if __name__ == "__main__":
    main(sys.argv[1])
