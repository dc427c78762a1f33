"""Settings of `build_preferences`, and which of them the records of each stage depend on."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from me2sdk.annotate import prompt_name
from me2sdk.judge import prompt_versions
from me2sdk.llm import without_secrets
from me2sdk.prompts import load
from me2sdk.schema import Question, Value

__all__ = ["STAGES", "DataConfig", "ModelConfig", "Stage", "stage_settings"]

Stage = Literal["candidates", "verify", "dags", "judge"]
STAGES: tuple[Stage, ...] = ("candidates", "verify", "dags", "judge")

# Where a model is served says nothing about what it answers: a server may come back at another address.
_PLACE = frozenset(
    ("api_base", "base_url", "custom_llm_provider", "input_cost_per_token", "output_cost_per_token")
)


class ModelConfig(Value):
    """A model to ask.

    Attributes:
        model: LiteLLM model string.
        api_base: base URL of an OpenAI-compatible server, or None for the provider's own.
        params: parameters of every call, as LiteLLM takes them.
    """

    model: str = Field(min_length=1)
    api_base: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)


class SamplerConfig(ModelConfig):
    """A model whose traces are compared.

    Attributes:
        name: what records call it; by default its model string.
    """

    name: str = ""

    @model_validator(mode="after")
    def _named(self) -> Self:
        return self if self.name else self.model_copy(update={"name": self.model})


class AnnotatorConfig(Value):
    """How traces become DAGs.

    Attributes:
        model: LiteLLM model string, or None for the local annotator, which asks no model.
        api_base: as for any model.
        params: as for any model.
        samples: annotations per step, of which the majority counts.
        window: steps per call.
    """

    model: str | None = None
    api_base: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    samples: int = Field(1, ge=1)
    window: int = Field(1, ge=1)


class JudgeConfig(ModelConfig):
    """The judge.

    Attributes:
        repeats: judgements in each of the two orders. The paper has 3.
        early_stop: stop asking once the label can only be a tie. It saves calls on pairs that are dropped
            anyway; what these cost then depends on timing.
    """

    repeats: int = Field(3, ge=1)
    early_stop: bool = False


class PromptConfig(Value):
    """Where the questions come from.

    Attributes:
        source: a ``.jsonl`` or ``.parquet`` file, or the name of a data set on the hub.
        records: the prompts themselves, in place of a source.
        subset: which configuration of a data set on the hub.
        split: which split of it.
        question: name of the column with the question: a text, or chat messages.
        reference: name of the column with the right answer. Of a worked solution, the answer that it marks
            (``\\boxed{…}``, ``#### …``) is taken.
        limit: how many prompts to use, the first ones.
    """

    source: str | None = None
    records: tuple[dict[str, Any], ...] = ()
    subset: str | None = None
    split: str = "train"
    question: str = "question"
    reference: str = "answer"
    limit: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.source is None) == (not self.records):
            raise ValueError("give either source or records")
        return self


class SamplingConfig(Value):
    """How candidates are sampled (paper App. G.4).

    Attributes:
        samples: candidates of each model for each prompt.
        temperature: None for the provider's default.
        top_p: None for the provider's default.
        max_tokens: longest completion in tokens; a trace that reaches it is not used.
        seed: seed of the first sample, counted up for the others; None to send none, for providers that refuse it.
        instruction: added after the question, so that the answer can be found.
    """

    samples: int = Field(4, ge=1)
    temperature: float | None = 0.7
    top_p: float | None = 0.95
    max_tokens: int = Field(8192, ge=1)
    seed: int | None = 0
    instruction: str = "Reason step by step, and put the final answer into \\boxed{}."

    def params(self) -> dict[str, Any]:
        """Parameters of the calls."""
        given = {name: getattr(self, name) for name in ("temperature", "top_p", "max_tokens", "seed")}
        return {name: value for name, value in given.items() if value is not None}


class BudgetConfig(Value):
    """The most that the whole data set may cost, earlier runs into the same folder included.

    Attributes:
        usd: US dollars.
        tokens: tokens, prompts and answers together.
    """

    usd: float | None = Field(None, ge=0)
    tokens: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.usd is None and self.tokens is None:
            raise ValueError("give usd, tokens, or both")
        return self


class RayConfig(Value):
    """The cluster of ``engine: ray``.

    Attributes:
        address: of a running cluster, or None for one on this machine.
        workers: processes that make calls, each with its share of ``max_concurrency`` and of the budget.
    """

    address: str | None = None
    workers: int = Field(2, ge=1)


class Assumptions(Value):
    """What ``--dry-run`` assumes about traces that do not exist yet.

    Attributes:
        right: share of candidates that are finished and right.
        steps: steps of a trace.
        step_tokens: tokens of a step.
        annotation_tokens: tokens that an annotator writes per step.
        judgement_tokens: tokens that a judge or verifier writes per call.
    """

    right: float = Field(0.5, ge=0, le=1)
    steps: int = Field(30, ge=1)
    step_tokens: int = Field(60, ge=1)
    annotation_tokens: int = Field(60, ge=1)
    judgement_tokens: int = Field(200, ge=1)


class DataConfig(Value):
    """Settings of `build_preferences` (paper §5.1, App. F, G.4, G.5).

    Attributes:
        output: the folder to write.
        prompts: the questions.
        models: the models whose traces are compared.
        sampling: how they are sampled.
        verifier: the model that is asked where the final answer cannot be checked by rule, or None.
        annotator: what turns traces into DAGs.
        judge: what compares them; null to sample, verify and annotate only, and to judge when one is named later.
        max_pairs: pairs of a prompt at most.
        validation: expected share of prompts whose pairs are held out.
        seed: of the choice of pairs.
        licence: licence of the data, for the data card.
        params: parameters of the calls of all models; those of a model itself win.
        engine: "asyncio" for one process, "ray" for a cluster.
        ray: the cluster.
        max_concurrency: calls in flight at most, of all models together.
        timeout: seconds that one try of a call may take.
        budget: a limit on spending, or None.
        assume: what an estimate assumes.
    """

    output: Path
    prompts: PromptConfig
    models: tuple[SamplerConfig, ...] = Field(min_length=1)
    sampling: SamplingConfig = SamplingConfig()
    verifier: ModelConfig | None = None
    annotator: AnnotatorConfig = AnnotatorConfig()
    judge: JudgeConfig | None
    max_pairs: int = Field(4, ge=1)
    validation: float = Field(0.05, ge=0, le=1)
    seed: int = 0
    licence: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    engine: Literal["asyncio", "ray"] = "asyncio"
    ray: RayConfig = RayConfig()
    max_concurrency: int = Field(16, ge=1)
    timeout: float = Field(600.0, gt=0)
    budget: BudgetConfig | None = None
    assume: Assumptions = Assumptions()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [model.name for model in self.models]
        if len(set(names)) < len(names):
            raise ValueError("two models have the same name; give each a name of its own")
        return self

    def call_params(self, role: ModelConfig | AnnotatorConfig) -> dict[str, Any]:
        """Parameters of a model's calls, its place included."""
        given = {**self.params, **({"api_base": role.api_base} if role.api_base else {}), **role.params}
        return {name: value for name, value in given.items() if value is not None}

    def described(self, role: ModelConfig | AnnotatorConfig, **more: Any) -> dict[str, Any]:
        """What the answers of a model depend on: no keys, and not where it is served."""
        params = {
            name: v for name, v in without_secrets(self.call_params(role)).items() if name not in _PLACE
        }
        return {"model": role.model, **more, **params}


def stage_settings(config: DataConfig, stage: Stage) -> dict[str, Any]:
    """What the records of a stage depend on, those of the stages before it included."""
    annotator, judge = config.annotator, config.judge
    sampling = config.sampling.params()
    parts: dict[Stage, Mapping[str, Any]] = {
        "candidates": {
            # Not how many samples: more of them, or more prompts, change none that are there.
            "instruction": config.sampling.instruction,
            "models": {model.name: {**sampling, **config.described(model)} for model in config.models},
        },
        "verify": {
            "math_verify": importlib.util.find_spec("math_verify") is not None,
            "verifier": config.described(config.verifier, prompt=load("verify").version)
            if config.verifier
            else None,
        },
        "dags": {
            "annotator": config.described(
                annotator,
                prompt=prompt_name(annotator.window),
                samples=annotator.samples,
                window=annotator.window,
            )
            if annotator.model
            else "local",
        },
        "judge": {
            "judge": config.described(
                judge,
                repeats=judge.repeats,
                early_stop=judge.early_stop,
                prompts=prompt_versions(structure=True),
            )
            if judge
            else None,
        },
    }
    upstream = STAGES[: STAGES.index(stage) + 1]
    return {name: value for part in upstream for name, value in parts[part].items()}


def asked(question: Question, instruction: str) -> Question:
    """What a candidate's model is sent: the question with the instruction after it."""
    if not instruction:
        return question
    if isinstance(question, str):
        return f"{question}\n\n{instruction}"
    *before, last = question
    if isinstance(last.get("content"), str):
        return [*before, {**last, "content": f"{last['content']}\n\n{instruction}"}]
    return [*question, {"role": "user", "content": instruction}]
