"""Settings of the reproduction."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from me2sdk.llm import without_secrets
from me2sdk.schema import Value
from me2sdk.train import DataConfig, GRPOConfig, RewardModelConfig
from me2sdk.train.pipeline.config import JudgeConfig, SamplerConfig

__all__ = ["BestOfNSettings", "PolicySettings", "PreferenceSettings", "ReproduceConfig", "WarmUpSettings"]

GSM8K, WORD_PROBLEMS = "gsm8k", "word_problems"


class PreferenceSettings(Value):
    """Preference data (paper §5).

    Attributes:
        questions: GSM8K training questions that are sampled for it.
        samples: candidates of each model for each question.
        max_tokens: longest candidate in tokens.
        max_pairs: pairs of a question at most.
        validation: expected share of questions that choose the checkpoint.
        test: expected share of questions that only the table is measured on.
        measured: test pairs in the table at most; None for all.
    """

    questions: int = Field(ge=1)
    samples: int = Field(4, ge=1)
    max_tokens: int = Field(512, ge=1)
    max_pairs: int = Field(4, ge=1)
    validation: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.2, gt=0, lt=1)
    measured: int | None = Field(None, ge=1)


class BestOfNSettings(Value):
    """Best of n (paper §5.3).

    Attributes:
        questions: GSM8K training questions, none of them among those of the preference data.
        samples: candidates of each model for each question.
        max_tokens: longest candidate in tokens.
    """

    questions: int = Field(ge=1)
    samples: int = Field(16, ge=1)
    max_tokens: int = Field(512, ge=1)


class WarmUpSettings(Value):
    """Worked solutions that the policy sees before GRPO, since a very small model answers hardly anything as it comes.

    Attributes:
        examples: how many; 0 for none. They are GSM8K's human solutions, or those of word problems, of which half
            hedge and repeat a step.
        epochs: passes over them.
        learning_rate: of AdamW, on all weights.
        batch_size: examples per step.
        max_length: longest example in tokens.
    """

    examples: int = Field(0, ge=0)
    epochs: float = Field(1.0, gt=0)
    learning_rate: float = Field(5e-5, gt=0)
    batch_size: int = Field(8, ge=1)
    max_length: int = Field(256, ge=1)


class PolicySettings(Value):
    """Questions of GRPO (paper §5.4).

    Attributes:
        dataset: "gsm8k" for GSM8K training questions that nothing else has used, or "word_problems" for easier ones
            made by rule, for a policy that solves hardly any of GSM8K.
        train: questions to train on.
        held_out: questions that accuracy is measured on, with greedy answers.
        every: steps between two measurements; there is always one before the first step and after the last.
        alpha: share of a right answer's reward that the reward model decides in the gated arm.
        warm_up: what both arms start from.
    """

    dataset: Literal["gsm8k", "word_problems"] = GSM8K
    train: int = Field(ge=1)
    held_out: int = Field(ge=1)
    every: int = Field(50, ge=1)
    alpha: float = Field(0.2, gt=0, le=1)
    warm_up: WarmUpSettings = WarmUpSettings()


class ReproduceConfig(Value):
    """Settings of `recipes.reproduce_small`.

    Attributes:
        samplers: the models whose answers are compared and chosen from.
        judge: the judge of pairs, and of the table where the pairs are constructed.
        judge_pairs: test pairs that judges are shown for the table, the first ones; None for all. On two cores a judge
            takes minutes for one.
        pairs: "judged": the judge's labels, as in the paper; "constructed": a known fault is put into right answers
            of the samplers, for judges that are too small to agree with themselves.
        seeds: how many reward models, and how many runs of each arm of GRPO.
        seed: of the choice of questions and pairs.
        params: parameters of the calls of all models.
        max_concurrency: calls in flight at most.
        timeout: seconds that one try of a call may take.
        preferences: preference data.
        reward_model: settings of `RewardModelConfig`; output, data, seed and ``merged`` are the recipe's.
        best_of_n: best of n.
        policy: the questions and the start of GRPO.
        grpo: settings of `GRPOConfig`; output, data, reward and seed are the recipe's.
    """

    samplers: tuple[SamplerConfig, ...] = Field(min_length=1)
    judge: JudgeConfig
    judge_pairs: int | None = Field(None, ge=1)
    pairs: Literal["judged", "constructed"]
    seeds: int = Field(3, ge=1)
    seed: int = 0
    params: dict[str, Any] = Field(default_factory=dict)
    max_concurrency: int = Field(4, ge=1)
    timeout: float = Field(600.0, gt=0)
    preferences: PreferenceSettings
    reward_model: dict[str, Any]
    best_of_n: BestOfNSettings
    policy: PolicySettings
    grpo: dict[str, Any]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """What would only be noticed hours later: the settings of the trainers, and the split."""
        if self.preferences.validation + self.preferences.test >= 1:
            raise ValueError("preferences.validation and preferences.test leave nothing to train on")
        RewardModelConfig.model_validate({**self.reward_model, "output": "-", "train": ["-"], "seed": 0})
        GRPOConfig.model_validate({**self.grpo, "output": "-", "seed": 0})
        return self

    def build(self, output: Path, questions: Path, kind: Literal["preferences", "best_of_n"]) -> DataConfig:
        """Settings of `build_preferences` for the pairs, or for the candidates of best of n."""
        judged = kind == "preferences" and self.pairs == "judged"
        # The paper's, App. G.4 and §5.3.
        temperature = 0.7 if kind == "preferences" else 0.6
        of = self.preferences if kind == "preferences" else self.best_of_n
        return DataConfig(
            output=output,
            prompts={"source": str(questions)},
            models=self.samplers,
            sampling={
                "samples": of.samples,
                "max_tokens": of.max_tokens,
                "temperature": temperature,
                "seed": self.seed,
            },
            judge=self.judge if judged else None,
            max_pairs=self.preferences.max_pairs if kind == "preferences" else 1,
            validation=0,
            seed=self.seed,
            params=self.params,
            max_concurrency=self.max_concurrency,
            timeout=self.timeout,
        )

    def identity(self) -> dict[str, Any]:
        """The settings that results depend on: no keys, and not where a model is served."""
        settings = self.model_dump(mode="json", exclude={"max_concurrency", "timeout"})
        models = [*settings["samplers"], settings["judge"]]
        for model in models:
            del model["api_base"]
            model["params"] = _lasting(model["params"])
        settings["params"] = _lasting(settings["params"])
        for part in ("reward_model", "grpo"):
            settings[part].pop("threads", None)
        return settings


def _lasting(params: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in without_secrets(params).items() if name not in ("api_base", "base_url")
    }
