"""`judge_pair`: which of two traces is reasoned better (paper §4.3, App. J.4)."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from me2sdk._choices import Dimension
from me2sdk._sync import all_or_none, run_sync
from me2sdk._tracing import traced
from me2sdk.errors import ConfigurationError, JudgeError
from me2sdk.judge.decisions import settled, tally
from me2sdk.judge.prompts import Judgement, aggregate_prompt, dimension_prompt, judge_once, prompt_versions
from me2sdk.judge.verdicts import DimensionVerdict, PairVerdict
from me2sdk.judge.views import DagParser, Judged, JudgedTrace
from me2sdk.llm import LLM, Budget, Model, Structured, check_options, check_structured, open_llm
from me2sdk.schema import Question, Vote, question_text

if TYPE_CHECKING:
    from me2sdk.annotate import Annotator

__all__ = ["ajudge_pair", "judge_pair"]

Order = Literal["ab", "ba"]
_NUMBERED = re.compile(r"\b(traces?[ _-]?)([12])\b(?:( ?(?:and|or|&|/|,) ?)([12])\b)?", re.IGNORECASE)


@traced("judge_pair")
async def ajudge_pair(
    question: Question | None,
    a: Judged,
    b: Judged,
    *,
    model: Model | LLM,
    repeats: int = 3,
    structure: bool = True,
    early_stop: bool = False,
    annotator: Annotator | Literal["local"] | None = None,
    structured: Structured = "auto",
    max_concurrency: int = 16,
    cache: bool | str | Path | None = None,
    budget: Budget | None = None,
    timeout: float = 120.0,
    **params: Any,
) -> PairVerdict:
    """Say which of two traces is reasoned better; `judge_pair` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk import ajudge_pair

        judge = lambda messages, **params: "Both are right. <|decision|>Tie"  # or "openai/gpt-4o-mini"
        verdict = asyncio.run(ajudge_pair("2 + 2?", "It is 4.", "Four.", model=judge, structure=False))
        print(verdict.preference)  # tie
        ```
    """
    check_options(judge_pair, params)
    check_repeats(repeats)
    check_structured(structured)
    llm = open_llm(
        model,
        verb="judge_pair",
        budget=budget,
        cache=cache,
        max_concurrency=max_concurrency,
        timeout=timeout,
    )
    parser = DagParser(llm, annotator, params, structured)
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(JudgedTrace(item, question, parser if structure else None))
            for item in (a, b)
        ]
        text = shared_question(question, first, second)
        comparison = PairComparison(text, first, second, llm, params, structured=structured)
        return await comparison.judge(repeats, early_stop=early_stop)


def judge_pair(
    question: Question | None,
    a: Judged,
    b: Judged,
    *,
    model: Model | LLM,
    repeats: int = 3,
    structure: bool = True,
    early_stop: bool = False,
    annotator: Annotator | Literal["local"] | None = None,
    structured: Structured = "auto",
    max_concurrency: int = 16,
    cache: bool | str | Path | None = None,
    budget: Budget | None = None,
    timeout: float = 120.0,
    **params: Any,
) -> PairVerdict:
    """Say which of two traces is reasoned better, apart from which is right (paper §4.3, App. J.4).

    Both traces become DAGs. A judge compares them on each of the four dimensions of ME², then weighs the four
    decisions against both full traces. That is done ``repeats`` times with a shown first and as often with b
    shown first, and a label is kept only where all votes agree: ``10 * repeats`` calls, besides those for DAGs
    and summaries. They run side by side, as far as ``max_concurrency`` allows.

    The method is meant for traces whose final answers are both right; the judge assumes that they are.

    Args:
        question: what was asked: a string, a list of chat messages, or None to use that of the traces.
        a: a `Trace`, a completion as text, or a `ReasoningDAG`, which is not parsed again.
        b: the other.
        model: the judge, as for `LLM`: a LiteLLM model string, a list of them (repeat i goes to
            ``model[i % len(model)]``), a ``litellm.Router``, a callable, or an `LLM`, whose own limits then
            hold.
        repeats: how often the pair is judged in each order. The paper uses 3.
        structure: False shows the judge raw traces instead of views, without calls for DAGs and summaries:
            the paper's prompt-only baseline.
        early_stop: stop asking once the label can only be a tie. For this, one repeat per order is judged first
            and the others after it, which doubles the wall time of pairs whose votes stay consistent.
        annotator: what builds the DAGs: None for the same model as the judge, "local" for the annotator that
            needs no model, or any annotator.
        structured: whether the model is held to a JSON schema: "auto" where LiteLLM knows that it takes one, and until
            it refuses; True in any case; False never, so that it ends with a marker. Both forms are read.
        max_concurrency: calls in flight at most.
        cache: True or a folder keeps the answers to each repeat on disk, so that the same call again costs
            nothing. Off by default.
        budget: a `Budget`. Judgements that it has no room for count as failed.
        timeout: seconds that one attempt of a call may take.
        **params: sent with every call: ``temperature``, ``max_tokens``, ``api_base``, … Without them the
            provider's defaults hold.

    Returns:
        A `PairVerdict`: ``.preference`` is "a", "b" or "tie"; ``.dimensions``, ``.rationale``, ``.votes`` and
        ``.agreement`` say why.

    Raises:
        JudgeError: in one of the orders no judgement could be read. Its ``votes`` and ``usage`` hold what
            happened and what it cost.
        InvalidTraceError: a trace is empty.
        GenerationError: every call for a DAG failed. (Where the model answers, but nothing can be read, the DAG is a
            chain; ``verdict.dag_a.errors`` says so.)
        ConfigurationError: an argument cannot work.

    Example:
        ```python
        from me2sdk import judge_pair

        judge = lambda messages, **params: "Both are right. <|decision|>Tie"  # or "openai/gpt-4o-mini"
        verdict = judge_pair("What is 2 + 2?", "2 + 2 = 4.", "Two twos are 4.", model=judge, structure=False)
        print(verdict.preference, verdict.consistent)  # tie True
        ```
    """
    return run_sync(
        ajudge_pair(
            question,
            a,
            b,
            model=model,
            repeats=repeats,
            structure=structure,
            early_stop=early_stop,
            annotator=annotator,
            structured=structured,
            max_concurrency=max_concurrency,
            cache=cache,
            budget=budget,
            timeout=timeout,
            **params,
        )
    )


def _renamed(rationale: str, names: Mapping[str, str]) -> str:
    """A rationale that speaks of Trace A and Trace B, whichever was shown first."""

    def rename(found: re.Match[str]) -> str:
        return found[1] + names[found[2]].upper() + (found[3] + names[found[4]].upper() if found[3] else "")

    return _NUMBERED.sub(rename, rationale)


def check_repeats(repeats: int) -> None:
    """Refuse fewer than one repeat."""
    if repeats < 1:
        raise ConfigurationError(f"repeats must be at least 1; it is {repeats}.")


def shared_question(question: Question | None, *traces: JudgedTrace) -> str:
    """The question as text; without one, that of the first trace that has one."""
    for judged in traces:
        question = question if question is not None else judged.trace.question
    return question_text(question)


class PairComparison:
    """The comparison of two traces by one judge.

    Args:
        question: what was asked, as text.
        a: one trace.
        b: the other.
        llm: the judge; its usage is reported as that of the verdict.
        params: parameters of the calls.
        structured: whether the judge is held to a JSON schema.
    """

    def __init__(
        self,
        question: str,
        a: JudgedTrace,
        b: JudgedTrace,
        llm: LLM,
        params: Mapping[str, Any],
        *,
        structured: Structured = False,
    ) -> None:
        self._question = question
        self._a, self._b = a, b
        self._llm = llm
        self._params = params
        self._structured = structured
        self._votes: list[Vote] = []

    async def judge(self, repeats: int, *, early_stop: bool) -> PairVerdict:
        """Judge in both orders, ``repeats`` times each.

        Raises:
            JudgeError: one of the orders has no aggregate judgement that could be read.
        """
        started = time.perf_counter()
        chains: list[tuple[Order, int]] = [(o, r) for r in range(repeats) for o in ("ab", "ba")]
        # If one repeat per order settles the label, the others need not be asked for.
        waves = [chains[:2], chains[2:]] if early_stop else [chains]
        finished = 0
        for wave in waves:
            finished += await self._run(wave, early_stop)
            if early_stop and settled(self._on("aggregate")):
                break
        aggregate = tally(self._on("aggregate"))
        if aggregate.preference == "failed":
            raise self._error()
        return PairVerdict(
            preference=aggregate.preference,
            agreement=aggregate.agreement,
            consistent=aggregate.consistent,
            rationale=aggregate.rationale,
            dimensions={dimension: self._verdict(dimension) for dimension in Dimension},
            aggregate=self._on("aggregate"),
            stopped_early=finished < len(chains),
            models=tuple(dict.fromkeys(vote.model for vote in self._votes if vote.model)),
            prompts=prompt_versions(structure=self._a.structured),
            dag_a=self._a.dag,
            dag_b=self._b.dag,
            failures=(*self._a.failures, *self._b.failures),
            usage=self._llm.usage,
            seconds=time.perf_counter() - started,
        )

    async def _run(self, chains: list[tuple[Order, int]], early_stop: bool) -> int:
        """Run chains side by side, with ``early_stop`` until the label is settled; return how many ended."""
        running = {asyncio.create_task(self._chain(*chain)) for chain in chains}
        tasks = set(running)
        try:
            while running and not (early_stop and settled(self._on("aggregate"))):
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            return len(tasks) - len(running)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _chain(self, order: Order, repeat: int) -> None:
        """Judge the four dimensions side by side, then the traces as a whole."""
        pair = (self._a, self._b) if order == "ab" else (self._b, self._a)

        async def dimension(which: Dimension) -> Judgement:
            first, second = await all_or_none(*(trace.view(which, self._question) for trace in pair))

            def prompt(as_json: bool) -> str:
                return dimension_prompt(which, self._question, first, second, as_json=as_json)

            return self._record(which, order, repeat, await self._ask(prompt, repeat))

        judgements = dict(zip(Dimension, await all_or_none(*map(dimension, Dimension)), strict=True))
        if all(judgement.choice is None for judgement in judgements.values()):
            error = "None of the four dimensions could be judged, so there was nothing to weigh."
            self._record("aggregate", order, repeat, Judgement(None, asked=0, error=error))
            return
        first, second = (judged.trace.reasoning for judged in pair)

        def prompt(as_json: bool) -> str:
            return aggregate_prompt(self._question, first, second, judgements, as_json=as_json)

        self._record("aggregate", order, repeat, await self._ask(prompt, repeat))

    async def _ask(self, prompt: Callable[[bool], str], repeat: int) -> Judgement:
        return await judge_once(self._llm, prompt, repeat, self._params, self._structured)

    def _record(
        self, subject: Dimension | Literal["aggregate"], order: Order, repeat: int, judgement: Judgement
    ) -> Judgement:
        names = {"1": order[0], "2": order[1]}
        fields = judgement._replace(rationale=_renamed(judgement.rationale, names))._asdict()
        choice = fields.pop("choice")
        decision = "failed" if choice is None else names.get(choice, "tie")
        self._votes.append(Vote(subject=subject, order=order, repeat=repeat, decision=decision, **fields))
        return judgement

    def _on(self, subject: Dimension | Literal["aggregate"]) -> tuple[Vote, ...]:
        votes = (vote for vote in self._votes if vote.subject == subject)
        return tuple(sorted(votes, key=lambda vote: (vote.repeat, vote.order)))

    def _verdict(self, dimension: Dimension) -> DimensionVerdict:
        votes = self._on(dimension)
        label = tally(votes)
        return DimensionVerdict(
            preference=label.preference, agreement=label.agreement, rationale=label.rationale, votes=votes
        )

    def _error(self) -> JudgeError:
        votes = sorted(self._votes, key=lambda vote: (vote.subject == "aggregate", vote.repeat, vote.order))
        reasons = "; ".join(dict.fromkeys(vote.error for vote in votes if vote.error))[:1000]
        return JudgeError(
            "No verdict: each order needs a judgement that can be read, and one has none. "
            f"{reasons} Check the model, or raise max_tokens= so that an answer fits after its thinking.",
            votes=tuple(votes),
            usage=self._llm.usage,
        )
