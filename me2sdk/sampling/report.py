"""A result as a self-contained web page: the answers, and every candidate to read.

Candidates stand in the page as JSON of HTML and are shown when they are opened, so that many long ones do not slow it
down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from me2sdk.dag import excerpt, figure_script
from me2sdk.page import (
    bar,
    escaped,
    fill,
    page,
    percent,
    question_block,
    read_file,
)
from me2sdk.sampling.cards import ShownCandidate, answer_html, badges, card_data, usage_facts
from me2sdk.sampling.reasons import reasons
from me2sdk.schema import Answer, BestOfNResult, Candidate, Failure, RerankResult, question_text
from me2sdk.scorers.mini import MiniScorer

__all__ = ["write_page"]

_HERE = "me2sdk.sampling"

Explanations = Mapping[int, Mapping[str, float]]


def write_page(result: RerankResult, title: str | None = None, scorer: Any = None) -> str:
    """What `RerankResult.to_html` returns; its arguments are explained there."""
    count = len(result.candidates)
    question = question_text(result.candidates[0].trace.question) if count else ""
    explanations, why = _explanations(result, scorer), reasons(result)
    shown = [
        ShownCandidate(rank, one, why[rank - 1], explanations.get(one.index, {}))
        for rank, one in enumerate(result.candidates, start=1)
    ]
    with_models = len({one.model for one in result.candidates}) > 1
    rewards = [one.score for one in result.candidates if one.score is not None]
    body = fill(
        read_file(_HERE, "result.html"),
        heading=escaped(title or f"{count} {'candidate' if count == 1 else 'candidates'}"),
        question=question_block(question, unfolded=True),
        verdict=_verdict(result),
        answers=_answers(result),
        rows="\n".join(_row(one, rewards, with_models) for one in shown),
        failures=_failures(result.failures),
        data="\n".join(block for one in shown for block in card_data(one)),
    )
    scripts = [figure_script(), read_file(_HERE, "result.js")]
    return page(title or excerpt(question, 80) or "Candidates", "result", body, scripts)


def _explanations(result: RerankResult, scorer: Any) -> Explanations:
    """For each candidate, by its index, what its reward is made of, where the scorer can say so."""
    scored = [one for one in result.candidates if one.score is not None]
    if (scorer is None and result.scorer == "mini") or getattr(scorer, "name", "") == "mini":
        scorer = MiniScorer.load()
    explain = getattr(scorer, "explanations", None)
    if not scored or explain is None:
        return {}
    found = explain(scored[0].trace.question, [one.trace for one in scored])
    # Another version of the scorer, or other candidates beside it, made another reward of the same trace.
    return {
        one.index: parts
        for one, parts in zip(scored, found, strict=True)
        if math.isclose(math.fsum(parts.values()), one.score or 0.0, rel_tol=1e-6, abs_tol=1e-6)
    }


def _verdict(result: RerankResult) -> str:
    """What was chosen, how sure that is, and what it took."""
    said = []
    if result.candidates:
        best = result.best
        name = "Best answer" if best.answer is not None else "Best response"
        said.append(f'<p class="chosen"><span class="label">{name}</span> {_answer_of(best)}</p>')
    if result.confidence is not None:
        said.append(
            f'<p class="sure"><span class="label">Confidence</span> {bar(result.confidence, "sure")} '
            f"<strong>{percent(result.confidence)}</strong></p>"
        )
    if result.abstained:
        said.append('<p><span class="badge warning">abstained</span></p>')
    chosen = {"order": "no answers and no rewards: the first that came"}.get(
        result.chosen_by, result.chosen_by
    )
    facts = [f"chosen by {chosen}", f"scorer {result.scorer}" if result.scorer else "no scorer"]
    if isinstance(result, BestOfNResult):
        early = " (stopped early)" if result.stopped_early else ""
        facts += [f"{result.asked} asked for{early}", *(["stronger model asked"] if result.escalated else [])]
        facts += [f"{result.usage.calls:,} calls", *usage_facts(result.usage)]
    facts.append(f"{result.seconds:.1f} s")
    return "\n".join([*said, f'<p class="facts">{escaped(" · ".join(facts))}</p>'])


def _answer_of(candidate: Candidate) -> str:
    """A candidate in a line or two: its answer, or the beginning of its response."""
    text = candidate.answer
    if candidate.refusal is not None or text is None:
        words = excerpt(candidate.refusal or candidate.response, 160)
        return f'<bdi class="answer words">{escaped(words)}</bdi>'
    return f'<bdi class="answer">{answer_html(text)}</bdi>'


def _answers(result: RerankResult) -> str:
    if not result.answers:
        return ""
    rank_of = {candidate.index: rank for rank, candidate in enumerate(result.candidates, start=1)}
    total = sum(answer.weight for answer in result.answers) or 1.0
    sure = any(answer.confidence is not None for answer in result.answers)
    weighted = any(answer.weight != answer.votes for answer in result.answers)
    rows = [_answer_row(answer, rank_of[answer.best], total, sure, weighted) for answer in result.answers]
    if sure:
        none = 1 - sum(answer.confidence or 0.0 for answer in result.answers)
        rows.append(
            '<tr class="none"><th scope="row">none of these</th><td></td>'
            f'<td class="share">{bar(none, "sure")}<span>{percent(max(0.0, none))}</span></td><td></td></tr>'
        )
    heads = ["Answer", "Votes", *(["Confidence"] if sure else []), ""]
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f'<table class="answers"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _answer_row(answer: Answer, rank: int, total: float, sure: bool, weighted: bool) -> str:
    votes = f"{answer.votes}" + (f" (count {answer.weight:.3g})" if weighted else "")
    share = bar(answer.confidence or 0.0, "sure")
    confidence = f'<td class="share">{share}<span>{percent(answer.confidence)}</span></td>' if sure else ""
    return (
        f'<tr><th scope="row"><bdi class="answer">{answer_html(answer.text)}</bdi></th>'
        f'<td class="share">{bar(answer.weight / total)}<span>{votes}</span></td>{confidence}'
        f'<td><button type="button" data-read="{rank}">Read #{rank}</button></td></tr>'
    )


def _row(shown: ShownCandidate, rewards: Sequence[float], with_model: bool) -> str:
    """A candidate in the list."""
    one = shown.candidate
    facts = [f"{len(one.trace.reasoning):,} characters", *usage_facts(one.usage)]
    if with_model and one.model:
        facts.append(one.model)
    reward = '<span class="number">no reward</span>'
    if one.score is not None:
        low, high = min(rewards), max(rewards)
        share = (one.score - low) / (high - low) if high > low else 1.0
        reward = f'{bar(share)}<span class="number">{one.score:+.2f}</span>'
    return (
        f'<li><button type="button" class="row" data-rank="{shown.rank}" aria-expanded="false" aria-controls="reading">'
        f'<span class="rank">#{shown.rank}</span>{_answer_of(one)}{badges(one)}'
        f'<span class="reward" title="reward; the bar runs from the lowest to the highest of these">{reward}</span>'
        f'<span class="facts">{escaped(" · ".join(facts))}</span>'
        f'<span class="why">{escaped(shown.why)}</span></button></li>'
    )


def _failures(failures: Sequence[Failure]) -> str:
    if not failures:
        return ""
    rows = []
    for one in failures:
        where = "all" if one.index is None else f"number {one.index + 1}"
        facts = [one.stage, one.model or "", f"HTTP {one.status}" if one.status else ""]
        facts.append(f"tried {one.attempts} times" if one.attempts > 1 else "")
        rows.append(
            f'<li><strong>{where}: {escaped(one.error)}</strong> <span class="facts">'
            f"{escaped(' · '.join(filter(None, facts)))}</span>"
            f'<p dir="auto">{escaped(one.message)}</p></li>'
        )
    return f'<h2>Failures</h2><ul class="failures">{"".join(rows)}</ul>'
