"""`rank_traces`: several traces in order, from verdicts on few of their pairs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from me2sdk._sync import run_sync
from me2sdk._tracing import traced
from me2sdk.errors import InvalidTraceError, JudgeError
from me2sdk.judge.pair import check_repeats, shared_question
from me2sdk.judge.tournament import JudgedTournament
from me2sdk.judge.verdicts import Ranking
from me2sdk.judge.views import DagParser, Judged, JudgedTrace
from me2sdk.llm import LLM, Budget, Model, Structured, check_options, check_structured, open_llm
from me2sdk.schema import Question

if TYPE_CHECKING:
    from me2sdk.annotate import Annotator

__all__ = ["arank_traces", "rank_traces"]


@traced("rank_traces")
async def arank_traces(
    question: Question | None,
    traces: Sequence[Judged],
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
) -> Ranking:
    """Put several traces in order, best-reasoned first; `rank_traces` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk import arank_traces

        judge = lambda messages, **params: "Both are right. <|decision|>Tie"  # or "openai/gpt-4o-mini"
        ranking = asyncio.run(arank_traces("2 + 2?", ["It is 4.", "Four."], model=judge, structure=False))
        print(ranking.ranks)  # (1, 1)
        ```
    """
    check_options(rank_traces, params)
    started = time.perf_counter()
    check_repeats(repeats)
    check_structured(structured)
    if isinstance(traces, str) or len(traces) == 0:
        raise InvalidTraceError("rank_traces needs a list with at least one trace.")
    llm = open_llm(
        model,
        verb="rank_traces",
        budget=budget,
        cache=cache,
        max_concurrency=max_concurrency,
        timeout=timeout,
    )
    parser = DagParser(llm, annotator, params, structured) if structure else None
    async with AsyncExitStack() as stack:
        judged = [await stack.enter_async_context(JudgedTrace(item, question, parser)) for item in traces]
        text = shared_question(question, *judged)
        tournament = JudgedTournament(
            text, judged, llm, params, repeats=repeats, early_stop=early_stop, structured=structured
        )
        order = await tournament.sort()
        strengths = tournament.strengths()
    if len(judged) > 1 and not tournament.comparisons:
        reasons = "; ".join(dict.fromkeys(failure.message for failure in tournament.failures))[:1000]
        raise JudgeError(f"None of the pairs could be compared. {reasons}", usage=llm.usage)
    compared = {place for pair in tournament.comparisons for place in pair}
    return Ranking(
        order=tuple(order),
        ranks=tuple(tournament.ranks(order)),
        strengths=tuple(
            strength if place in compared or len(judged) == 1 else None
            for place, strength in enumerate(strengths)
        ),
        comparisons=tuple(tournament.comparisons.values()),
        failures=tuple(tournament.failures),
        dags=tuple(trace.dag for trace in judged),
        usage=llm.usage,
        seconds=time.perf_counter() - started,
    )


def rank_traces(
    question: Question | None,
    traces: Sequence[Judged],
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
) -> Ranking:
    """Put several traces in order, best-reasoned first, from verdicts on pairs of them.

    Pairs are compared in the rounds of a sorting network (Batcher's merge exchange); the pairs of a round are judged
    side by side, and a pair whose order already follows from other verdicts is skipped. A Bradley-Terry model is
    fitted to the verdicts (a tie is half a win for each), and neighbours in its order that have not met are compared
    too. Each DAG and summary is made once. A pair that fails does not affect the others.

    Args:
        question: as in `judge_pair`.
        traces: the traces, each as `judge_pair` takes it.
        model: as in `judge_pair`.
        repeats: as in `judge_pair`.
        structure: as in `judge_pair`.
        early_stop: as in `judge_pair`.
        annotator: as in `judge_pair`.
        structured: as in `judge_pair`.
        max_concurrency: as in `judge_pair`, over all pairs.
        cache: as in `judge_pair`.
        budget: as in `judge_pair`.
        timeout: as in `judge_pair`.
        **params: as in `judge_pair`.

    Returns:
        A `Ranking`: ``.order`` holds places in ``traces``, best first; ``.strengths`` and ``.comparisons`` say why.

    Raises:
        JudgeError: no pair could be compared.
        InvalidTraceError: there are no traces, or one is empty.
        ConfigurationError: an argument cannot work.

    Example:
        ```python
        from me2sdk import rank_traces

        judge = lambda messages, **params: "Both are right. <|decision|>Tie"  # or "openai/gpt-4o-mini"
        ranking = rank_traces("2 + 2?", ["It is 4.", "Four.", "2 + 2 = 4."], model=judge, structure=False)
        print(ranking.order, ranking.ranks)  # (0, 1, 2) (1, 1, 1)
        ```
    """
    return run_sync(
        arank_traces(
            question,
            traces,
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
