"""Accuracy on held-out questions while a policy is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from me2sdk._sync import run_sync
from me2sdk.train._runs import StepLog
from me2sdk.train.grpo.config import GRPOConfig, HeldOut, HeldOutAnswer
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
    max_tokens: int,
    batch_size: int = 32,
) -> HeldOut:
    """Let a model answer questions greedily, and verify its answers.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer, which pads on the left.
        rows: prompts, questions and references.
        reward: verifies and scores.
        step: kept in the result.
        max_tokens: most tokens of a completion.
        batch_size: completions in one forward pass.
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
                max_new_tokens=max_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        for tokens in output[:, inputs["input_ids"].shape[1] :].tolist():
            ends = [
                i
                for i, token in enumerate(tokens)
                if token in (tokenizer.eos_token_id, tokenizer.pad_token_id)
            ]
            lengths.append(ends[0] if ends else max_tokens)
            texts.append(tokenizer.decode(tokens, skip_special_tokens=True))
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
        clipped=sum(length == max_tokens for length in lengths) / len(lengths),
        answers=tuple(
            HeldOutAnswer(right=item.r_v == 1, r_t=item.r_t, length=length)
            for item, length in zip(rewarded, lengths, strict=True)
        ),
    )


class HeldOutCallback(StepLog):
    """Measures every so many steps, and appends each measurement to a file.

    Args:
        config: of the run.
        rows: what to measure on; empty to measure nothing.
        tokenizer: of the policy.
        reward: verifies and scores.
        path: the file. Measurements past the checkpoint that a run resumes from are dropped.
    """

    def __init__(
        self, config: GRPOConfig, rows: list[Row], tokenizer: Any, reward: GatedReward, path: Path
    ) -> None:
        super().__init__(path)
        self.config = config
        self.rows = rows
        self.tokenizer = tokenizer
        self.reward = reward

    @property
    def measured(self) -> list[HeldOut]:
        """The measurements so far, in order."""
        return [HeldOut.model_validate(record) for record in self.records]

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        """Take up where the checkpoint was written; measure before the first step."""
        super().on_train_begin(args, state, control, **rest)
        if self.rows and not self.records:
            self._measure(model, state)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        """Measure where it is due."""
        if self.config.held_out is not None and self.rows:
            due = state.global_step % self.config.held_out.every == 0 or state.global_step >= state.max_steps
            if due and all(record["step"] != state.global_step for record in self.records):
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
            max_tokens=self.config.max_completion_length,
        )
        model.train(training)
        self.append(one.model_dump(mode="json"))
