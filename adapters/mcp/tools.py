"""The tools: what agents may say of a call, checked, and the verbs that do the work."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import AfterValidator, Field

from me2sdk.adapters._shared import check_answer
from me2sdk.adapters.mcp.config import MCPConfig
from me2sdk.adapters.mcp.results import BestAnswer, Dag, Rewards, SortedCandidates, Verdict
from me2sdk.annotate import aparse_dag
from me2sdk.dag import DAGNode
from me2sdk.errors import ME2Error
from me2sdk.judge import ajudge_pair
from me2sdk.llm import LLM
from me2sdk.sampling import abest_of_n, arerank
from me2sdk.schema import Candidate, Message, Select
from me2sdk.scorers import Scorer, ask_scorer, bound_scorer, load_scorer, open_scorer

__all__ = ["Tools"]

P = ParamSpec("P")
T = TypeVar("T")

_Answer = Annotated[
    str,
    AfterValidator(check_answer),
    Field(description="What is compared: auto, text, similar, json, json:field.path or tool_calls."),
]
_Scorer = Annotated[str, Field(description="One of the scorers that the server names.")]
_Model = Annotated[str, Field(description="One of the models that the server names.")]
_Confidence = Annotated[
    float, Field(gt=0, le=1, description="Below this chance of being right the result says that it abstains.")
]
_Stop = Annotated[
    Literal["sure"] | Annotated[float, Field(ge=0.5, lt=1)],
    Field(
        description="Stop before all are sampled: at this chance that the leading answer stays it, or sure."
    ),
]
_Question = Annotated[str, Field(min_length=1)]
_Some = Annotated[list[str], Field(min_length=1)]


def _told(tool: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """The tool, whose errors an agent can read: what happened, and what to do."""

    @functools.wraps(tool)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await tool(*args, **kwargs)
        except ME2Error as error:
            raise ToolError(str(error)) from error

    return call


class Tools:
    """What the tools of one server share: models, scorers, limits.

    Args:
        config: the configuration.

    Raises:
        ConfigurationError: a model or scorer cannot work.
    """

    def __init__(self, config: MCPConfig) -> None:
        self._config = config
        self._scorers = {name: open_scorer(scorer) for name, scorer in config.scorers.items()}
        self._models: dict[str, LLM] = {}
        if config.models:
            llm = LLM(
                next(iter(config.models.values())),
                max_concurrency=config.max_concurrency,
                total_timeout=config.timeout,
                cache=config.cache,
                budget=config.budget,
                **config.params,
            )
            self._models = {name: llm.session(model) for name, model in config.models.items()}

    @property
    def with_model(self) -> list[Callable[..., Awaitable[Any]]]:
        """The tools that need a model."""
        return [self.ask_best_of_n, self.judge_pair] if self._models else []

    @property
    def without_model(self) -> list[Callable[..., Awaitable[Any]]]:
        """The tools that need none."""
        return [self.rerank, self.score, self.parse_dag]

    @_told
    async def ask_best_of_n(
        self,
        question: Annotated[
            _Question, Field(description="The whole question, with all that is needed to answer it.")
        ],
        context: Context,
        n: Annotated[int, Field(ge=1, description="Candidates to sample at most.")] | None = None,
        system: Annotated[str, Field(description="Instructions for the model.")] | None = None,
        model: _Model | None = None,
        scorer: _Scorer | None = None,
        select: Select | None = None,
        answer: _Answer | None = None,
        stop: _Stop | None = None,
        min_confidence: _Confidence | None = None,
        deadline: Annotated[
            float, Field(gt=0, description="Seconds after which what has come is decided on.")
        ]
        | None = None,
        temperature: Annotated[float, Field(ge=0)] | None = None,
        max_tokens: Annotated[int, Field(ge=1, description="Longest answer, in tokens.")] | None = None,
        candidates: Annotated[bool, Field(description="Return all candidates, too.")] = False,
    ) -> BestAnswer:
        """Ask a language model a question several times, and get the best answer and how sure that is.

        Use it where one answer may be wrong and answers can be compared: calculations, questions with a short answer,
        choices, structured data. It costs n calls. Look at `confidence` and `abstained` before you rely on the answer.
        """
        config = self._config
        count = min(config.n, config.max_n) if n is None else n
        if count > config.max_n:
            raise ToolError(f"n is at most {config.max_n}; it is {count}. Ask for fewer candidates.")
        llm = self._model(model)
        messages: list[Message] = [{"role": "system", "content": system}] if system else []
        arrived = 0

        async def on_candidate(candidate: Candidate) -> None:
            nonlocal arrived
            arrived += 1
            said = "refused" if candidate.refusal is not None else candidate.answer or "no short answer"
            await context.report_progress(arrived, count, f"candidate {arrived} of {count}: {said[:100]}")

        params: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
        # A call that chooses in another way than the server may not be one whose answers can be counted.
        stop = config.stop if stop is None and select is None and answer is None else stop
        result = await abest_of_n(
            [*messages, {"role": "user", "content": question}],
            model=llm,
            n=count,
            scorer=self._scorer(scorer),
            select=select or config.select,
            answer=answer or config.answer,
            stop=stop,
            min_confidence=config.min_confidence if min_confidence is None else min_confidence,
            deadline=min(deadline or config.timeout, config.timeout),
            on_candidate=on_candidate,
            **{name: value for name, value in params.items() if value is not None},
        )
        return BestAnswer.of(result, candidates)

    @_told
    async def judge_pair(
        self,
        question: Annotated[str, Field(description="What was asked.")],
        a: Annotated[str, Field(description="One trace: reasoning and answer.")],
        b: Annotated[str, Field(description="The other one.")],
        model: _Model | None = None,
        repeats: Annotated[int, Field(ge=1, description="Judgements in each of the two orders.")]
        | None = None,
        structure: Annotated[
            bool,
            Field(description="Judge the traces as graphs of steps; false is cheaper and judges the text."),
        ] = True,
    ) -> Verdict:
        """Let a language model say which of two traces is reasoned better, and why, in both orders.

        Use it to compare two answers whose reasoning matters. It costs many calls: five for each judgement, and those
        for the graphs. With structure=false and repeats=1 it costs ten.
        """
        config = self._config
        count = config.repeats if repeats is None else repeats
        if count > config.repeats:
            raise ToolError(f"repeats is at most {config.repeats}; it is {count}.")
        self._check("traces", [a, b])
        verdict = await ajudge_pair(
            question,
            a,
            b,
            model=self._model(model or config.judge),
            repeats=count,
            structure=structure,
            early_stop=True,
        )
        return Verdict.of(verdict)

    @_told
    async def rerank(
        self,
        candidates: Annotated[_Some, Field(description="Answers, with their reasoning if there is some.")],
        question: Annotated[str, Field(description="What was asked.")] | None = None,
        scorer: _Scorer | None = None,
        select: Select | None = None,
        answer: _Answer | None = None,
        min_confidence: _Confidence | None = None,
    ) -> SortedCandidates:
        """Put answers that you already have in order, best first, and say how sure the choice is.

        Use it on several answers to one question, from any source. With the scorer mini it runs on this machine and
        costs nothing.
        """
        config = self._config
        self._check("candidates", candidates)
        result = await arerank(
            question,
            candidates,
            scorer=self._scorer(scorer),
            select=select or config.select,
            answer=answer or config.answer,
            min_confidence=config.min_confidence if min_confidence is None else min_confidence,
        )
        return SortedCandidates.of(result)

    @_told
    async def score(
        self,
        traces: Annotated[_Some, Field(description="Traces of one question: reasoning and answer.")],
        question: Annotated[str, Field(description="What was asked.")] | None = None,
        scorer: _Scorer | None = None,
    ) -> Rewards:
        """Give each trace the reward of a scorer. Only differences within one call mean something.

        Use `rerank` to choose: agreement among answers says more than rewards.
        """
        self._check("traces", traces)
        name = scorer or next(iter(self._scorers))
        loaded = await load_scorer(self._scorer(name))
        rewards = await ask_scorer(loaded, question, traces)
        return Rewards(scorer=name, rewards=list(rewards), truncated=rewards.truncated)

    @_told
    async def parse_dag(
        self,
        trace: Annotated[_Question, Field(description="The trace.")],
        context: Context,
        question: Annotated[str, Field(description="What was asked.")] | None = None,
        model: Annotated[str, Field(description="A model that annotates; local rules do if left out.")]
        | None = None,
        characters: Annotated[int, Field(ge=0, description="Characters of each step to return.")] = 80,
        mermaid: Annotated[bool, Field(description="Return a Mermaid diagram, too.")] = False,
    ) -> Dag:
        """Turn a reasoning trace into a graph of its steps: where it branches, goes back and merges.

        Use it to see how long reasoning went, or why it failed. Without a model it runs on this machine and costs
        nothing; with one it costs a call for every eight steps.
        """
        self._check("traces", [trace])
        done = 0

        async def on_step(place: int, node: DAGNode) -> None:
            nonlocal done
            done += 1
            await context.report_progress(done, message=f"step {node.id}: {node.action}")

        how: dict[str, Any] = {} if model is None else {"model": self._model(model), "window": 8}
        dag = await aparse_dag(trace, question=question, on_step=on_step, **how)
        return Dag.of(dag, characters, mermaid)

    def _model(self, name: str | None) -> LLM:
        return _named("model", name, self._models).session()

    def _scorer(self, name: str | None) -> Scorer:
        scorer = _named("scorer", name, self._scorers)
        # Scorers that ask models of their own spend from the same budget.
        return bound_scorer(scorer, next(iter(self._models.values()))) if self._models else scorer

    def _check(self, name: str, items: Sequence[str]) -> None:
        config = self._config
        if len(items) > config.max_items:
            raise ToolError(f"{name} are at most {config.max_items}; there are {len(items)}.")
        if any(len(item) > config.max_characters for item in items):
            raise ToolError(f"{name} have at most {config.max_characters} characters each. Shorten them.")


def _named(kind: str, name: str | None, known: Mapping[str, T]) -> T:
    if name is None and known:
        return next(iter(known.values()))
    if name is None or name not in known:
        raise ToolError(f"There is no {kind} {name!r} here. Known are: {', '.join(known) or 'none'}.")
    return known[name]
