"""Settings and results of training a reward model. Loads no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from me2sdk.schema import Value
from me2sdk.train.config import LoraConfig

__all__ = ["Curve", "PairAccuracy", "RewardModelConfig", "RewardModelReport"]


class RewardModelConfig(Value):
    """How a reward model is trained (paper §5.1, App. G.1).

    Attributes:
        base: what to start from: the hub name or folder of a language model or a reward model, or "smollm2"
            for SmolLM2-135M-Instruct from this machine or the hub.
        base_name: the name of the base that an exported adapter records, where ``base`` is a folder of this
            machine.
        blocks: how many transformer blocks of the base to keep, from the first on; None for all. The middle of a
            small model may be as good as its end, and costs less.
        output: folder for everything that comes out.
        train: sources of pairs, as `read_preferences` takes them.
        validation: sources of pairs to choose the checkpoint by; or a share of the questions in ``train`` to
            hold out; or None to train without.
        epochs: passes over the training pairs, where ``max_steps`` is None.
        max_steps: optimizer steps.
        learning_rate: peak, after warm-up; then a cosine down to 0. The paper states 1e-6, the launch script
            released with it has 5e-6 (with weight decay 1e-3). Adapters want about 1e-4.
        warmup: share of the steps in which the learning rate rises.
        weight_decay: of AdamW.
        batch_size: pairs per device in one forward pass.
        gradient_accumulation: forward passes per optimizer step.
        eval_batch_size: pairs per device in one forward pass of a validation.
        center_rewards_coefficient: weight of the term ``(r_chosen + r_rejected)^2`` that keeps rewards near 0;
            None for none.
        max_length: most tokens of question and trace. Pairs with a longer side are left out and counted.
        max_left_out: share of pairs that may be left out, above which training refuses to start.
        dtype: what layers compute in. A frozen base (``lora``) is held in it too; weights that are trained, and
            the score head, are always held in float32.
        quantization: "nf4" holds the frozen base in 4 bits (QLoRA); needs ``lora``.
        lora: adapters instead of training every weight.
        merged: whether a run with ``lora`` also writes a whole checkpoint, to ``output/merged``.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
        seed: of the head, the order of pairs, and dropout.
        eval_steps: steps between two validations. There is always one after the last step.
        save_steps: steps between two checkpoints. The best one so far is always kept as well.
        log_steps: steps between two lines of the log.
        threads: how many threads torch may use on a CPU; None leaves it to torch.
    """

    base: str
    base_name: str | None = None
    blocks: int | None = Field(None, ge=1)
    output: str
    train: list[str] = Field(min_length=1)
    validation: Annotated[float, Field(gt=0, lt=1)] | list[str] | None = 0.05
    epochs: float = Field(1.0, gt=0)
    max_steps: int | None = Field(None, ge=1)
    learning_rate: float = Field(1e-6, gt=0)
    warmup: float = Field(0.03, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    batch_size: int = Field(2, ge=1)
    gradient_accumulation: int = Field(1, ge=1)
    eval_batch_size: int = Field(8, ge=1)
    center_rewards_coefficient: float | None = Field(0.001, ge=0)
    max_length: int = Field(8192, ge=1)
    max_left_out: float = Field(0.05, ge=0, le=1)
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    quantization: Literal["nf4"] | None = None
    lora: LoraConfig | None = None
    merged: bool = False
    gradient_checkpointing: bool = False
    seed: int = 0
    eval_steps: int = Field(100, ge=1)
    save_steps: int = Field(100, ge=1)
    log_steps: int = Field(10, ge=1)
    threads: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> RewardModelConfig:
        if self.lora is None and (self.quantization or self.merged):
            name = "quantization" if self.quantization else "merged"
            raise ValueError(f"{name} needs lora: set lora.r, or leave {name} out")
        return self

    def identity(self) -> dict[str, Any]:
        """The settings that a run must share to go on from another's checkpoint."""
        return self.model_dump(mode="json", exclude={"output", "threads"})


class PairAccuracy(Value):
    """How often the better side of a pair gets the higher reward.

    Attributes:
        pairs: how many.
        accuracy: share of them; equal rewards count as wrong.
        shorter_wins: the same for taking the side with fewer tokens; equal lengths count half.
    """

    pairs: int
    accuracy: float
    shorter_wins: float


class Curve(Value):
    """One validation of a run: its step, accuracy, loss (Bradley-Terry, without centring) and mean margin."""

    step: int
    accuracy: float
    loss: float
    margin: float


class RewardModelReport(Value):
    """What a run did.

    Attributes:
        output: folder that `TRMScorer` loads.
        base: name of the model that was started from.
        train_pairs: how many pairs were trained on.
        validation_pairs: how many chose the checkpoint.
        left_out: how many pairs were left out, by reason.
        trainable: number of weights that were trained.
        steps: optimizer steps.
        best_step: the step whose weights were exported.
        resumed_from: the step that this run went on from, or None.
        seconds: time in training and validations, runs before a stop included.
        validation: the exported weights on the validation pairs, or None where there are none.
        by_category: the same for each category of pairs.
        by_length: the same where the better side is the "longer", the "shorter", or as long ("equal").
        curve: every validation in order.
    """

    output: str
    base: str
    train_pairs: int
    validation_pairs: int
    left_out: dict[str, int]
    trainable: int
    steps: int
    best_step: int
    resumed_from: int | None
    seconds: float
    validation: PairAccuracy | None
    by_category: dict[str, PairAccuracy]
    by_length: dict[str, PairAccuracy]
    curve: tuple[Curve, ...]
