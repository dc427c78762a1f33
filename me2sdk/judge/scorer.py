"""`JudgeScorer`: a language model as scorer of `best_of_n`, `rerank`, the server and the adapters."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from me2sdk._sync import all_or_none, run_sync
from me2sdk.errors import ConfigurationError, ME2Error, ScoringError
from me2sdk.judge.grading import (
    Grade,
    ask_grade,
    ask_order,
    ask_with_logprobs,
    grade_prompt,
    order_prompt,
    read_criteria,
)
from me2sdk.judge.listing import knock_out
from me2sdk.judge.pair import check_repeats
from me2sdk.judge.ranking import arank_traces
from me2sdk.llm import (
    CONNECTION,
    LLM,
    Generation,
    Model,
    Structured,
    check_options,
    check_structured,
    same_provider,
)
from me2sdk.schema import Question, Scores, Trace, Usage, question_text
from me2sdk.scorers import (
    Questions,
    Scorer,
    asks_for,
    bound_scorer,
    open_scorer,
    read_inputs,
    score_each,
)

__all__ = ["JudgeScorer"]

Outcome = float | Exception

_LIMITS = frozenset(("budget", "cache", "max_concurrency", "max_retries", "timeout", "total_timeout"))
# Parameters of a model that answers questions, which are none of a judge's.
_OF_ANSWERS = frozenset(
    "audio extra_body frequency_penalty function_call functions input_cost_per_token logit_bias logprobs "
    "max_completion_tokens max_tokens min_p modalities output_cost_per_token parallel_tool_calls prediction "
    "presence_penalty reasoning_effort response_format seed stop temperature thinking tool_choice tools top_k "
    "top_logprobs top_p "
    "web_search_options".split()
)


class PartlyJudged(ScoringError):
    """Some of several traces could not be judged.

    Attributes:
        outcomes: for each trace its reward, or the error in which it ended.
    """

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        super().__init__(f"{len(errors)} of {len(outcomes)} traces could not be judged: {errors[0]}")
        self.outcomes = tuple(outcomes)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the outcomes, of which the message is made."""
        return type(self), (self.outcomes,)


class JudgeScorer:
    r"""A language model as scorer: it grades traces one by one, puts them in order, or compares them in pairs.

    Traces stand between fences, and only the judge's own last word counts, so that nothing in them passes for a reward.
    An answer that cannot be read is shown to the judge with the reason, and it is asked again, at most twice. What
    stays unreadable is an error, never a low reward.

    Within `best_of_n` the judge shares the budget, the cache and the concurrency of the model that answers, and its
    calls are part of the result's usage. Keys and addresses of an ``LLM(…, api_base=…)`` that answers hold for it only
    where both names start with the same provider and ``params`` has none; those that are passed to `best_of_n` itself,
    and ``temperature`` and the like, do not. A judge that is an `LLM` keeps its own limits and counts by itself.

    Args:
        model: the judge, as for `LLM`: a LiteLLM model string, a list of them (sample or repeat i goes to
            ``model[i % len(model)]``), a ``litellm.Router``, a function, or an `LLM`.
        mode: "points" grades each trace from 0 to 10. Where the provider sends probabilities of tokens, the reward is
            the mean of all grades weighted by the probability of each, else the mean of ``samples`` grades (answers
            from a cache hold no probabilities). "list" shows up to eight traces in one call, and the reward is the
            share of the others that a trace beats; of more traces the best of each list meet again, and a round won
            counts 1. "pairs" is `rank_traces` without DAGs: at least ten calls a pair, and the reward is the
            strength.
        criteria: "me2" for efficiency and effectiveness of structure and steps (paper §3), or a text or a list of
            texts in its place. "pairs" has its own.
        samples: of "points", how many grades a trace gets where there are no probabilities.
        repeats: of "list", how often a list is shown, each second time in reverse; of "pairs", as in `rank_traces`.
        top: judge only that many traces of a question, the best by ``first``. The others stand below them in the order
            of ``first``. None judges all.
        first: the scorer that ``top`` goes by, as `best_of_n` takes it.
        structured: as in `judge_pair`.
        **params: sent with every call: ``temperature``, ``max_tokens``, ``api_base``, …

    Attributes:
        name: what results call it.

    Raises:
        ConfigurationError: an argument cannot work.

    Example:
        ```python
        from me2sdk import JudgeScorer, rerank

        def judge(messages, **params):  # or "openai/gpt-4o-mini"
            return "It is brief.\n<|decision|>" + ("3" if "Hmm" in messages[0]["content"] else "8")

        result = rerank("2 + 2?", ["Hmm, 4.", "It is 4."], scorer=JudgeScorer(judge), select="best")
        print(result.best.index, result.best.score)  # 1 8.0
        ```
    """

    def __init__(
        self,
        model: Model | LLM,
        mode: Literal["points", "list", "pairs"] = "points",
        *,
        criteria: str | Sequence[str] = "me2",
        samples: int = 1,
        repeats: int = 2,
        top: int | None = None,
        first: str | Scorer = "mini",
        structured: Structured = "auto",
        **params: Any,
    ) -> None:
        check_options(JudgeScorer, params)
        check_repeats(repeats)
        check_structured(structured)
        if limits := sorted(_LIMITS & params.keys()):
            raise ConfigurationError(
                f"JudgeScorer takes no {' and no '.join(limits)}. Give it an LLM(…) that has them."
            )
        if mode not in ("points", "list", "pairs"):
            raise ConfigurationError(f'mode is "points", "list" or "pairs", not {mode!r:.80}.')
        if samples < 1 or (top is not None and top < 1):
            raise ConfigurationError("samples and top are at least 1.")
        if mode == "pairs" and criteria != "me2":
            raise ConfigurationError(
                'mode="pairs" judges by ME² alone. Use "points" or "list" for other criteria.'
            )
        self._given = model
        self._llm = model if isinstance(model, LLM) else LLM(model)
        self._mode = mode
        self._criteria = read_criteria(criteria)
        self._samples, self._repeats = samples, repeats
        self._top = top
        self._structured = structured
        self._first = None if top is None else open_scorer(first)
        self._params = params
        self._without_logprobs: set[str] = set()
        self.name = f"judge:{'+'.join(self._llm.models)}"

    @property
    def joint(self) -> bool:
        """Whether it looks at all traces of a question side by side."""
        return self._mode != "points" or self._top is not None

    @property
    def request(self) -> dict[str, Any]:
        """What ``first`` needs with each call of the model that answers."""
        return asks_for(self._first)

    @property
    def usage(self) -> Usage:
        """What its own calls cost so far; within `best_of_n` a judge that is no `LLM` counts in the result instead."""
        return self._llm.usage

    def within(self, llm: LLM) -> JudgeScorer:
        """A view of it whose calls keep to the limits of ``llm`` and count there, unless the judge is an `LLM` itself.

        Raises:
            ConfigurationError: the judge is a function, and ``llm`` has a cache.
        """
        view = copy.copy(self)
        if not isinstance(self._given, LLM):
            alike = same_provider(self._llm, llm) and not CONNECTION & self._params.keys()
            view._llm = llm.session(self._given, without=_OF_ANSWERS if alike else _OF_ANSWERS | CONNECTION)
        if self._first is not None:
            view._first = bound_scorer(self._first, llm)
        return view

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> list[float]:
        """Score traces; see `ascore`."""
        return run_sync(self.ascore(question, traces))

    async def ascore(self, question: Questions, traces: Sequence[Trace | str]) -> list[float]:
        """Score traces.

        Args:
            question: as for `Scorer.score`.
            traces: the traces. Where traces of several questions come together, those of one question are compared.

        Returns:
            A reward per trace, in the same order; higher is better.

        Raises:
            JudgeError: the judge's answers could not be read.
            GenerationError: the call of the judge failed for good.
            BudgetExceeded: the budget has no room for it.
            ScoringError: some of several traces could not be judged; its ``outcomes`` hold the rewards and errors.
            InvalidTraceError: a trace is empty.
            ConfigurationError: an argument cannot work.
        """
        pairs = read_inputs(question, traces)
        groups: dict[str, list[int]] = {}
        for place, (asked, _) in enumerate(pairs):
            groups.setdefault(question_text(asked), []).append(place)
        outcomes: list[Outcome] = [0.0] * len(pairs)

        async def judge(places: list[int]) -> None:
            found = await self._judge_some(pairs[places[0]][0], [pairs[place][1] for place in places])
            for place, outcome in zip(places, found, strict=True):
                outcomes[place] = outcome

        await all_or_none(*map(judge, groups.values()))
        return _rewards(outcomes)

    async def _judge_some(self, question: Question | None, traces: list[Trace]) -> list[Outcome]:
        """What becomes of the traces of one question, of which perhaps only the best are judged."""
        if self._first is None or self._top is None or len(traces) <= self._top:
            return await self._judge(question, traces)
        scored = await score_each(self._first, question, traces)
        found: list[Outcome] = [one.error or ScoringError("It has no score.") for one in scored]
        known = {place: one.score for place, one in enumerate(scored) if one.score is not None}
        order = sorted(known, key=lambda place: -known[place])
        best, rest = order[: self._top], order[self._top :]
        judged = await self._judge(question, [traces[place] for place in best])
        for place, outcome in zip(best, judged, strict=True):
            found[place] = outcome
        rewards = [outcome for outcome in judged if isinstance(outcome, float)]
        for place in rest:
            # Without a judged trace above it, it would be taken for the best.
            found[place] = min(rewards) - 1 + known[place] - known[rest[0]] if rewards else judged[0]
        return found

    async def _judge(self, question: Question | None, traces: list[Trace]) -> list[Outcome]:
        text = question_text(question)
        if not traces:
            return []
        if self._mode == "points":
            return await all_or_none(*(self._points(text, trace) for trace in traces))
        if self._mode == "pairs":
            return await self._strengths(text, traces)

        async def order(places: Sequence[int], repeat: int) -> list[list[int]]:
            shown = [traces[place] for place in places]
            prompt = partial(_order_prompt, self._criteria, text, shown)
            return await ask_order(self._llm, prompt, len(shown), repeat, self._params, self._structured)

        return list(await knock_out(len(traces), order, self._repeats))

    async def _points(self, question: str, trace: Trace) -> Outcome:
        """The grade of a trace, or why there is none."""
        prompt = partial(_grade_prompt, self._criteria, question, trace)
        found = [await self._grade(prompt, 0)]
        if isinstance(found[0], Exception) or not found[0].expected:
            more = range(1, self._samples)
            found += await all_or_none(*(self._grade(prompt, sample) for sample in more))
        grades = [one.value for one in found if isinstance(one, Grade)]
        errors = [one for one in found if isinstance(one, Exception)]
        return sum(grades) / len(grades) if grades else errors[0]

    async def _grade(self, prompt: Callable[[bool], str], sample: int) -> Grade | ME2Error:
        def ask(messages: Question, more: Mapping[str, Any]) -> Awaitable[Generation]:
            params = {**self._params, **more}
            return ask_with_logprobs(self._llm, messages, sample, params, self._without_logprobs)

        try:
            return await ask_grade(self._llm, ask, prompt, sample, self._params, self._structured)
        except ConfigurationError:
            raise
        except ME2Error as error:
            return error

    async def _strengths(self, question: str, traces: list[Trace]) -> list[Outcome]:
        """The strength of each trace among the others, or why there is none."""
        try:
            ranking = await arank_traces(
                question,
                traces,
                model=self._llm,
                repeats=self._repeats,
                structure=False,
                early_stop=True,
                structured=self._structured,
                **self._params,
            )
        except ConfigurationError:
            raise
        except ME2Error as error:
            return [error] * len(traces)
        reasons = "; ".join(dict.fromkeys(failure.message for failure in ranking.failures))[:1000]
        return [
            ScoringError(f"It could be compared with no other trace. {reasons}")
            if strength is None
            else strength
            for strength in ranking.strengths
        ]


def _grade_prompt(criteria: str, question: str, trace: Trace, as_json: bool) -> str:
    return grade_prompt(criteria, question, trace, as_json=as_json)


def _order_prompt(criteria: str, question: str, traces: Sequence[Trace], as_json: bool) -> str:
    return order_prompt(criteria, question, traces, as_json=as_json)


def _rewards(outcomes: list[Outcome]) -> list[float]:
    """The rewards, where all are there.

    Raises:
        PartlyJudged: some traces failed.
        Exception: all of them did, for one reason.
    """
    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if not errors:
        return Scores([outcome for outcome in outcomes if isinstance(outcome, float)])
    if len(errors) == len(outcomes) and all(one is errors[0] for one in errors):
        raise errors[0]
    raise PartlyJudged(outcomes) from errors[0]
