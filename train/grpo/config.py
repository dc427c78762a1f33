"""Settings and results of GRPO. Loads no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from me2sdk.schema import Value
from me2sdk.train.config import LoraConfig
from me2sdk.train.grpo.word_problems import LEVELS

__all__ = [
    "GRPOConfig",
    "GRPOReport",
    "HeldOut",
    "HeldOutAnswer",
    "HeldOutConfig",
    "ProblemConfig",
    "RewardConfig",
]

WORD_PROBLEMS = "word_problems"


class RewardConfig(Value):
    """The reward (paper §5.4).

    Attributes:
        alpha: share of a right answer's reward that the thinking reward decides; 0 is the verifier alone.
        scorer: "mini", the hub name or folder of a reward model, or the URL of an SGLang server that holds one;
            None for none. With alpha = 0 it is logged only.
        verifier: a LiteLLM model string that judges answers which math-verify does not find equal; None for none.
    """

    alpha: float = Field(0.2, ge=0, le=1)
    scorer: str | None = "mini"
    verifier: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> RewardConfig:
        if self.scorer is None and self.alpha > 0:
            raise ValueError("alpha above 0 needs a scorer; set reward.scorer, or reward.alpha=0")
        return self


class ProblemConfig(Value):
    """Which word problems ``dataset: word_problems`` makes; see `make_word_problems`.

    Attributes:
        count: how many.
        levels: their difficulties, from 1 to 4.
        seed: of the problems.
    """

    count: int = Field(2000, ge=1)
    levels: tuple[int, ...] = LEVELS
    seed: int = 0


class HeldOutConfig(Value):
    """How accuracy on held-out questions is measured, with greedy answers, before the first step and then on.

    Attributes:
        dataset: a file as for training, or "word_problems" for the evaluation split, of the training levels.
        count: how many questions.
        every: steps between two measurements. There is always one after the last step.
    """

    dataset: str = WORD_PROBLEMS
    count: int = Field(100, ge=1)
    every: int = Field(10, ge=1)


class GRPOConfig(Value):
    """How a language model is trained by GRPO (paper §5.4, App. G.3).

    One optimizer step takes ``batch_size * gradient_accumulation`` completions per device, ``generations`` of each
    prompt.

    Attributes:
        model: what to start from: the hub name or folder of a language model, or "smollm2" for
            SmolLM2-135M-Instruct from this machine or the hub.
        output: folder for everything that comes out.
        dataset: a JSONL or Parquet file with a prompt and a reference answer per row, or "word_problems".
        problems: which word problems, for that dataset.
        prompt_column: the file's column with the prompt, text or chat messages. None takes "prompt", else
            "question".
        reference_column: the file's column with the right answer.
        system: a system message before every prompt, or None for none.
        instruction: what is added to the end of every prompt, such as how to mark the answer.
        reward: the reward.
        held_out: accuracy on held-out questions while training, or None to do without.
        learning_rate: constant, after ``warmup_steps``. The paper has 5e-7; adapters want 1e-5 and more.
        warmup_steps: steps in which the learning rate rises.
        generations: completions per prompt, the group that rewards are compared within.
        batch_size: completions per device in one forward pass.
        gradient_accumulation: forward passes per optimizer step.
        steps_per_generation: forward passes that a batch of completions is generated for; None for
            ``gradient_accumulation``, which is on-policy.
        steps: optimizer steps. A finished run continues where this is raised.
        temperature: of sampling.
        max_prompt_length: most tokens of a prompt. Rows with a longer one are left out and counted.
        max_completion_length: most tokens of a completion; what is longer is cut, and has no answer then.
        max_clipped: the run stops where more than this share of completions was cut in three steps
            in a row, because it learns nothing from them. 1 for never.
        kl_beta: weight of the KL divergence from the starting model.
        clip: how far the probability of a token may move from where it was sampled before it is clipped.
        dual_clip: bound of the loss for tokens of bad completions that became more likely; None for none.
        entropy_coef: weight of the entropy bonus.
        dtype: what layers compute in. A frozen base (``lora``) is held in it too.
        lora: adapters instead of training every weight.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
        seed: of sampling and the order of prompts.
        save_steps: steps between two checkpoints.
        threads: how many threads torch may use on a CPU; None leaves it to torch.
    """

    model: str
    output: str
    dataset: str = WORD_PROBLEMS
    problems: ProblemConfig = ProblemConfig()
    prompt_column: str | None = None
    reference_column: str = "reference"
    system: str | None = None
    instruction: str | None = None
    reward: RewardConfig = RewardConfig()
    held_out: HeldOutConfig | None = None
    learning_rate: float = Field(5e-7, gt=0)
    warmup_steps: int = Field(0, ge=0)
    generations: int = Field(8, ge=2)
    batch_size: int = Field(8, ge=1)
    gradient_accumulation: int = Field(1, ge=1)
    steps_per_generation: int | None = Field(None, ge=1)
    steps: int = Field(300, ge=1)
    temperature: float = Field(1.0, gt=0)
    max_prompt_length: int = Field(2048, ge=1)
    max_completion_length: int = Field(8192, ge=1)
    max_clipped: float = Field(0.95, ge=0, le=1)
    kl_beta: float = Field(1e-4, ge=0)
    clip: float = Field(0.3, gt=0)
    dual_clip: float | None = Field(10.0, gt=1)
    entropy_coef: float = Field(1e-3, ge=0)
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    lora: LoraConfig | None = None
    gradient_checkpointing: bool = False
    seed: int = 0
    save_steps: int = Field(50, ge=1)
    threads: int | None = Field(None, ge=1)

    def identity(self) -> dict[str, Any]:
        """The settings that a run must share to go on from another's checkpoint."""
        return self.model_dump(mode="json", exclude={"output", "steps", "threads"})


class HeldOutAnswer(Value):
    """A greedy answer to one held-out question.

    Attributes:
        right: whether it is right.
        r_t: its thinking reward, or None where it is not right or there is no scorer.
        length: its tokens.
    """

    right: bool
    r_t: float | None
    length: int


class HeldOut(Value):
    """Greedy answers to held-out questions at one step.

    Attributes:
        step: optimizer steps so far.
        questions: how many.
        accuracy: share of right answers.
        r_t: mean thinking reward of the right ones, or None where there are none or no scorer.
        length: mean tokens of a completion.
        clipped: share of completions that were cut.
        answers: each of them, in the order of the questions, for intervals and for comparisons of two runs.
    """

    step: int
    questions: int
    accuracy: float
    r_t: float | None
    length: float
    clipped: float
    answers: tuple[HeldOutAnswer, ...] = ()


class GRPOReport(Value):
    """What a run did.

    Attributes:
        output: folder with the model, or with the adapter where ``lora`` was set.
        model: name of the model that was started from.
        prompts: how many prompts there were to train on.
        left_out: how many were left out for their length.
        steps: optimizer steps.
        resumed_from: the step that this run went on from, or None.
        seconds: time in training, runs before a stop included.
        score_failures: scores that failed twice, of this process.
        undecided: completions whose answer could not be judged, of this process.
        curve: one record per step: ``step``, ``r`` (reward), ``r_v``, ``r_t`` (of right answers), ``r_std`` (spread
            within groups), ``length`` (tokens), ``clipped`` (share of completions cut), ``kl``, ``entropy``.
        held_out: every measurement on held-out questions in order.
    """

    output: str
    model: str
    prompts: int
    left_out: int
    steps: int
    resumed_from: int | None
    seconds: float
    score_failures: int
    undecided: int
    curve: tuple[dict[str, int | float | None], ...]
    held_out: tuple[HeldOut, ...]
