from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import pytest
from support.scoring_server import ScoringServer

from me2sdk.errors import InvalidTraceError, ScoringError
from me2sdk.scorers import RemoteTRMScorer, TRMScorer
from me2sdk.scorers.parity import Probe, acompare_scorers, compare_scorers, read_probes
from recipes.parity_traces import records

PROBES = [Probe("q", ["a", "bb", "ccc"]), Probe("r", ["dddd", "eeeee"])]


class Lengths:
    """Scores by length, changed by a function."""

    def __init__(self, change: Callable[[float], float] = float) -> None:
        self.change = change

    def score(self, question: Any, traces: Sequence[Any]) -> list[float]:
        return [self.change(len(trace)) for trace in traces]


def test_equal_scorers_are_the_same() -> None:
    report = compare_scorers(Lengths(), Lengths(), PROBES)
    assert (report.verdict, report.largest_difference, report.flipped, report.pairs) == ("same", 0, 0, 4)
    assert report.rank_correlation == pytest.approx(1)
    assert report.groups == (0, 0, 0, 1, 1)
    assert type(report).model_validate_json(report.model_dump_json()) == report


def test_another_scale_keeps_the_order() -> None:
    report = compare_scorers(Lengths(), Lengths(lambda n: 2 * n + 0.5), PROBES)
    assert (report.verdict, report.largest_difference, report.note) == ("same order", 5.5, None)
    assert report.mean_difference == pytest.approx(3.5)


def test_pairs_that_change_their_order_are_counted_within_questions() -> None:
    report = compare_scorers(Lengths(), Lengths(lambda n: {1: 2.0, 2: 1.0}.get(n, n - 3)), PROBES)
    assert (report.verdict, report.flipped) == ("different", 3)
    assert "3 of 4 pairs" in str(report)


def test_near_ties_may_swap() -> None:
    close = Lengths(lambda n: n / 1000)
    swapped = Lengths(lambda n: -n / 1000 + 1)
    report = compare_scorers(close, swapped, PROBES)
    assert (report.verdict, report.pairs) == ("same order", 0)


def test_what_servers_do_wrong_is_named() -> None:
    centred = Lengths(lambda n: n - 3)
    sigmoid = Lengths(lambda n: 1 / (1 + math.exp(3 - n)))
    assert "activation" in (compare_scorers(centred, sigmoid, PROBES).note or "")
    constant = compare_scorers(centred, Lengths(lambda n: 1.0), PROBES)
    assert (constant.verdict, constant.rank_correlation) == ("different", None)
    assert "softmax" in (constant.note or "")


async def test_the_bundled_traces_are_twenty_and_can_be_made_again() -> None:
    probes = read_probes()
    assert [len(probe.traces) for probe in probes] == [4] * 5
    lines = resources.files("me2sdk").joinpath("data/parity.jsonl").read_text("utf-8").splitlines()
    assert read_probes(lines) == probes
    assert [probe._asdict() for probe in probes] == records()
    report = await acompare_scorers(TRMScorer("mini"), TRMScorer("mini"))
    assert report.verdict == "same"
    assert len({first for first, _ in report.scores}) > 15


def test_a_server_is_compared_with_a_scorer_here() -> None:
    class Local:
        def score(self, question: Any, traces: Sequence[Any]) -> list[float]:
            return [len(asked + trace) / 1000 for asked, trace in zip(question, traces, strict=True)]

    with (
        ScoringServer(lambda texts: [(len(text) - 1) / 1000 for text in texts]) as server,
        RemoteTRMScorer(server.url) as remote,
    ):
        assert compare_scorers(Local(), remote, PROBES).verdict == "same"
        server.fault = "activated"
        report = compare_scorers(Local(), remote, PROBES)
        assert "activation" in (report.note or "")


@pytest.mark.parametrize("line", ["x", "[]", '{"question": "q"}', '{"traces": []}', '{"traces": [1]}'])
def test_bad_lines_are_named(line: str) -> None:
    with pytest.raises(InvalidTraceError, match="Line 2"):
        read_probes(['{"question": "q", "traces": ["t"]}', line])
    with pytest.raises(InvalidTraceError, match="no traces"):
        read_probes([""])


def test_scores_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ScoringError, match="one finite score per trace, 5"):
        compare_scorers(Lengths(), Lengths(lambda n: math.nan), PROBES)
