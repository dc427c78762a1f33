"""What is done with one item of each stage: a candidate, a check, a DAG, a judgement.

Items and outcomes are JSON, so that a stage can run in this process or anywhere in a cluster.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Any, NamedTuple

from me2sdk._jsonl import fingerprint
from me2sdk.annotate import aparse_dag
from me2sdk.dag import ReasoningDAG
from me2sdk.errors import BudgetExceeded, ConfigurationError, GenerationError, InvalidTraceError, JudgeError
from me2sdk.judge import PairVerdict, ajudge_pair
from me2sdk.llm import LLM, Budget, Generation
from me2sdk.schema import Failure, Question, Trace, Usage, Vote
from me2sdk.traces import is_cut_off
from me2sdk.train.pipeline.config import AnnotatorConfig, DataConfig, ModelConfig, Stage, asked
from me2sdk.train.pipeline.store import usage_record
from me2sdk.verify import averify_answer

__all__ = ["Item", "Outcome", "Worker"]

_log = logging.getLogger(__name__)


class Item(NamedTuple):
    """A piece of work.

    Attributes:
        key: names it among the items of its stage.
        group: the model that it needs, where a stage has several.
        input: a hash of what it is made from.
        payload: what it is made from, as JSON.
    """

    key: str
    group: str
    input: str
    payload: dict[str, Any]


class Outcome(NamedTuple):
    """What became of an item.

    Attributes:
        record: the result, or None where there is none.
        failure: why there is none: the error's class and message.
        usage: what it cost.
        over_budget: whether the budget stopped it.
        wasted_usage: what an earlier try cost that the budget had stopped.
    """

    record: dict[str, Any] | None
    failure: dict[str, str] | None
    usage: Usage
    over_budget: bool = False
    wasted_usage: Usage = Usage()


class _FailureRecorder(LLM):
    """A session that records calls that failed for good, even where a verb continues without them.

    A verdict that lacks votes because a server was down is not the verdict that the pair gets when the server works,
    so it must not count as finished.
    """

    failed: list[Exception]

    @classmethod
    def of(cls, llm: LLM) -> _FailureRecorder:
        view = cls.__new__(cls)
        vars(view).update(vars(llm.session()))
        view.failed = []  # sessions of this one are copies, and share the list
        return view

    async def agenerate(self, messages: Question, *, sample_index: int = 0, **params: Any) -> Generation:
        try:
            return await super().agenerate(messages, sample_index=sample_index, **params)
        except (GenerationError, BudgetExceeded) as error:
            self.failed.append(error)
            raise

    async def asample(
        self, messages: Question, n: int, **params: Any
    ) -> AsyncGenerator[Generation | Failure, None]:
        async for item in super().asample(messages, n, **params):
            if isinstance(item, Failure):
                kind = BudgetExceeded if item.error == BudgetExceeded.__name__ else GenerationError
                self.failed.append(kind(item.message))
            yield item


class Worker:
    """Does the work of one stage.

    Args:
        config: the settings.
        stage: the stage.
        budget: what may still be spent, or None.
        models: models that replace names in the settings: functions, routers, or `LLM` objects.

    Raises:
        ConfigurationError: the settings of a model cannot work.
    """

    def __init__(
        self,
        config: DataConfig,
        stage: Stage,
        budget: Budget | None = None,
        models: Mapping[str, Any] | None = None,
    ) -> None:
        self._config = config
        self._stage = stage
        self._budget = budget
        self._models = models or {}
        self._samplers = {model.name: model for model in config.models}
        roles: dict[Stage, Mapping[str, ModelConfig | AnnotatorConfig | None]] = {
            "candidates": self._samplers,
            "verify": {"": config.verifier},
            "dags": {"": config.annotator if config.annotator.model else None},
            "judge": {"": config.judge},
        }
        self._llms = {name: self._open(role) for name, role in roles[stage].items() if role is not None}
        self._running = 0
        self._alone = False
        self._known = False  # whether any item is finished; the most that one took so far:
        self._tokens, self._usd = 0, 0.0
        self._changed = asyncio.Condition()

    def _open(self, role: ModelConfig | AnnotatorConfig) -> LLM:
        assert role.model is not None
        model = self._models.get(role.model, role.model)
        if isinstance(model, LLM):
            if self._budget is not None:
                raise ConfigurationError(
                    f"The model {role.model!r} was given as an LLM, which has its own budget. Give the budget to "
                    "LLM(…) and not in the settings, or pass the model itself."
                )
            return model
        return LLM(
            model,
            max_concurrency=self._config.max_concurrency,
            timeout=self._config.timeout,
            total_timeout=3 * self._config.timeout,
            budget=self._budget,
            **self._config.call_params(role),
        )

    async def run(self, item: Item) -> Outcome:
        """Do one item. What goes wrong with it is its outcome.

        An item that the budget stops half-way is money spent for nothing. So none is begun without room for the
        largest so far beside those that are running. A budget also sets aside the most that each call in flight may
        use, and so can stop an item although little is spent; such an item is tried once more when no other runs.

        Raises:
            ConfigurationError: the settings cannot work, for this item or any other.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and self._room())
            self._running += 1
        try:
            outcome = await self._try(item)
            self._learn(outcome.usage)
        finally:
            self._running -= 1
            await self._notify()
        if not outcome.over_budget:
            return outcome
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and not self._running)
            self._alone = True
        try:
            return (await self._try(item))._replace(wasted_usage=outcome.usage)
        finally:
            self._alone = False
            await self._notify()

    def _room(self) -> bool:
        """Whether one more item can be expected to stay within the budget."""
        if self._budget is None or not self._running:
            return True
        if not self._known:
            return False  # the first one shows what an item takes
        spent = self._budget.spent
        limits = (
            (self._budget.tokens, spent.total_tokens, self._tokens),
            (self._budget.usd, spent.cost, self._usd),
        )
        return all(
            limit is None or (used or 0) + (self._running + 1) * each <= limit for limit, used, each in limits
        )

    def _learn(self, usage: Usage) -> None:
        self._known = True
        self._tokens = max(self._tokens, usage.total_tokens or 0)
        self._usd = max(self._usd, usage.cost or 0.0)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _try(self, item: Item) -> Outcome:
        llm = _FailureRecorder.of(self._llms[item.group]) if item.group in self._llms else None
        work = {
            "candidates": self._candidate,
            "verify": self._verify,
            "dags": self._dag,
            "judge": self._judge,
        }[self._stage]
        record: dict[str, Any] | None = None
        error: Exception | None = None
        try:
            record = await work(item, llm)
        except ConfigurationError:
            raise
        except Exception as caught:
            if not isinstance(caught, (GenerationError, BudgetExceeded, JudgeError, InvalidTraceError)):
                _log.exception("%s %s failed", self._stage, item.key)
            error = caught
        usage = llm.usage if llm else Usage()
        failed = llm.failed if llm else []
        over_budget = any(isinstance(one, BudgetExceeded) for one in (*failed, error))
        error = failed[0] if failed else error
        if error is not None:
            failure = {"error": type(error).__name__, "message": str(error)[:2000]}
            return Outcome(None, failure, usage, over_budget)
        assert record is not None
        return Outcome({**record, "usage": usage_record(usage)}, None, usage)

    async def _candidate(self, item: Item, llm: LLM | None) -> dict[str, Any]:
        assert llm is not None
        question = item.payload["question"]
        generation = await llm.agenerate(
            asked(question, self._config.sampling.instruction),
            sample_index=item.payload["sample"],
            **{**self._config.sampling.params(), **self._config.call_params(self._samplers[item.group])},
        )
        try:
            trace = Trace.from_message(generation.message, finish_reason=generation.finish_reason)
        except InvalidTraceError:  # empty, or a refusal
            trace = Trace(reasoning="")
        cut = trace.truncated or bool(is_cut_off(generation.finish_reason))
        parts = {"reasoning": trace.reasoning, "response": trace.response}
        return {
            **parts,
            "truncated": cut,
            "finish_reason": generation.finish_reason,
            "digest": fingerprint(json.dumps(parts)),
        }

    async def _verify(self, item: Item, llm: LLM | None) -> dict[str, Any]:
        payload = item.payload
        trace = Trace(reasoning=payload["reasoning"], response=payload["response"])
        found = await averify_answer(
            trace, payload["reference"], **({"question": payload["question"], "model": llm} if llm else {})
        )
        return {"outcome": found.outcome, "method": found.method, "answer": found.answer}

    async def _dag(self, item: Item, llm: LLM | None) -> dict[str, Any]:
        settings = self._config.annotator
        trace = Trace(reasoning=item.payload["reasoning"], question=item.payload["question"])
        if llm is None:
            dag = await aparse_dag(trace)
        else:
            dag = await aparse_dag(trace, model=llm, samples=settings.samples, window=settings.window)
        stored = {**dag.model_dump(mode="json"), "usage": usage_record(dag.usage)}
        return {"dag": stored, "digest": fingerprint(json.dumps(stored))}

    async def _judge(self, item: Item, llm: LLM | None) -> dict[str, Any]:
        assert llm is not None
        assert self._config.judge is not None  # without one the stage is left out
        dags = [ReasoningDAG.model_validate(dag) for dag in item.payload["dags"]]
        settings = self._config.judge
        try:
            verdict = await ajudge_pair(
                item.payload["question"],
                *dags,
                model=llm,
                repeats=settings.repeats,
                early_stop=settings.early_stop,
            )
        except JudgeError as error:
            # The judge answered, but not so that it could be read: that is known now, and stays so.
            return {"label": "unreadable", "votes": [_vote(vote) for vote in error.votes]}
        shown = verdict.model_dump(mode="json", include={"agreement", "rationale", "models", "prompts"})
        return {
            "label": _label(verdict),
            "dimensions": {name.value: found.preference for name, found in verdict.dimensions.items()},
            **shown,
            "votes": [_vote(vote) for vote in verdict.votes],
            "extracts": len(verdict.failures),
        }


def _label(verdict: PairVerdict) -> str:
    """ "a" or "b" where every vote could be read and says so; else why there is no label."""
    said = {vote.decision for vote in verdict.aggregate}
    if len(said - {"failed"}) > 1:
        return "inconsistent"
    if "failed" in said:
        return "unreadable"
    return "tied" if verdict.preference == "tie" else verdict.preference


def _vote(vote: Vote) -> dict[str, Any]:
    return vote.model_dump(mode="json", exclude_defaults=True)
