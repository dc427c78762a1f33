"""Accuracy on held-out questions while a policy is trained."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from me2sdk._sync import run_sync
from me2sdk.train.grpo.config import GRPOSettings, HeldOut
from me2sdk.train.grpo.data import Row
from me2sdk.train.rewards import GatedReward

__all__ = ["HeldOutCallback", "measure", "trainer_prompt"]


def trainer_prompt(row: Row, tokenizer: Any) -> Row:
    """A row as the trainer takes it: chat messages, or text where the tokenizer knows no chat."""
    if tokenizer.chat_template:
        return row
    return {**row, "prompt": "\n".join(message["content"] for message in row["prompt"]) + "\n"}


def measure(
    model: Any,
    tokenizer: Any,
    rows: list[Row],
    reward: GatedReward,
    *,
    step: int,
    most: int,
    batch_size: int = 32,
) -> HeldOut:
    """Let a model answer questions greedily, and verify what it says.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer, which pads on the left.
        rows: prompts, questions and references.
        reward: verifies and scores.
        step: kept in the result.
        most: tokens a completion may have.
        batch_size: completions at a time.
    """
    texts: list[str] = []
    lengths: list[int] = []
    for start in range(0, len(rows), batch_size):
        prompts = [trainer_prompt(row, tokenizer)["prompt"] for row in rows[start : start + batch_size]]
        if tokenizer.chat_template:
            prompts = tokenizer.apply_chat_template(prompts, add_generation_prompt=True, tokenize=False)
        inputs = tokenizer(
            prompts, return_tensors="pt", padding=True, add_special_tokens=not tokenizer.chat_template
        )
        with torch.no_grad():
            output = model.generate(
                input_ids=inputs["input_ids"].to(model.device),
                attention_mask=inputs["attention_mask"].to(model.device),
                max_new_tokens=most,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        for said in output[:, inputs["input_ids"].shape[1] :].tolist():
            ends = [
                i for i, token in enumerate(said) if token in (tokenizer.eos_token_id, tokenizer.pad_token_id)
            ]
            lengths.append(ends[0] if ends else most)
            texts.append(tokenizer.decode(said, skip_special_tokens=True))
    rewarded = run_sync(
        reward.areward([row["question"] for row in rows], texts, [row["reference"] for row in rows])
    )
    scores = [item.r_t for item in rewarded if item.r_t is not None]
    return HeldOut(
        step=step,
        questions=len(rows),
        accuracy=sum(item.r_v == 1 for item in rewarded) / len(rows),
        r_t=sum(scores) / len(scores) if scores else None,
        length=sum(lengths) / len(lengths),
        clipped=sum(length == most for length in lengths) / len(lengths),
    )


class HeldOutCallback(TrainerCallback):  # type: ignore[misc]
    """Measures every so many steps, and appends each measurement to a file.

    Args:
        settings: of the run.
        rows: what to measure on; empty to measure nothing.
        tokenizer: of the policy.
        reward: verifies and scores.
        path: the file. Measurements past the checkpoint that a run resumes from are dropped.
    """

    def __init__(
        self, settings: GRPOSettings, rows: list[Row], tokenizer: Any, reward: GatedReward, path: Path
    ) -> None:
        self.settings = settings
        self.rows = rows
        self.tokenizer = tokenizer
        self.reward = reward
        self.path = path
        self.measured: list[HeldOut] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        """Take up where the checkpoint was written; measure before the first step."""
        if self.path.exists():
            for line in self.path.read_text("utf-8").splitlines(keepends=True):
                if line.endswith("\n"):  # else half a line, from a kill
                    one = HeldOut.model_validate(json.loads(line))
                    if one.step <= state.global_step:
                        self.measured.append(one)
            self.path.write_text("".join(one.model_dump_json() + "\n" for one in self.measured), "utf-8")
        if self.rows and not self.measured:
            self._measure(model, state)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        """Measure where it is due."""
        if self.settings.held_out is not None and self.rows:
            due = (
                state.global_step % self.settings.held_out.every == 0 or state.global_step >= state.max_steps
            )
            if due and all(one.step != state.global_step for one in self.measured):
                self._measure(model, state)

    def _measure(self, model: Any, state: Any) -> None:
        training = model.training
        model.eval()
        one = measure(
            model,
            self.tokenizer,
            self.rows,
            self.reward,
            step=state.global_step,
            most=self.settings.max_completion_length,
        )
        model.train(training)
        self.measured.append(one)
        if state.is_world_process_zero:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(one.model_dump_json() + "\n")
                file.flush()
                os.fsync(file.fileno())
