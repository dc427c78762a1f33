"""`benchmarks/peers.py`: what it counts, and each way of the installed packages asked for real."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.needs import installed, needs
from support.sample_data import write_modern

from me2sdk.scorers import open_scorer

# The files of benchmarks/ name each other as programs of one folder do.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import peers
import peers_questions
from peers_server import Player

FOLDER = Path(peers.__file__).parent
N = 5
HERE = [
    pytest.param(name, marks=needs("openai", package))
    for name, (_, package) in peers.WAYS.items()
    if package != "optillm"  # which is not in these tests' lock
]
KNOWN = {"texts": ["It is 4.", "It is 5.", "It is 6."], "answers": ["4", "5", "6"], "grades": [9.0, 2.0, 1.0]}


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[peers_questions.Recorded]:
    data = write_modern(tmp_path_factory.mktemp("modern"))
    scorers = dict.fromkeys(peers_questions.PATTERNS, open_scorer("mini"))
    return peers_questions.read_recorded(data, scorers, most=2, n=N)


@pytest.fixture(scope="module")
def upstream(questions: list[peers_questions.Recorded]) -> Iterator[peers.Upstream]:
    with peers.Upstream(questions) as server:
        yield server


SOURCE = '''"""A text
of two lines."""

import a  # why


def f():
    """What."""
    # no
    return g(
        1,
    )
'''


@pytest.fixture(scope="module")
def ways(upstream: peers.Upstream) -> Iterator[Callable[[str], peers.Way]]:
    """Makes ways on one loop, and keeps them: a client that is collected takes the loop's other connections along."""
    loop = asyncio.new_event_loop()
    made: list[peers.Way] = []

    def make(name: str) -> peers.Way:
        made.append(peers.Way(name, upstream.url, N, loop))
        return made[-1]

    yield make
    made.clear()
    gc.collect()
    loop.close()


def test_lines_of_code_are_those_that_hold_code() -> None:
    assert peers.code_lines(SOURCE) == 5
    assert peers.code_lines('"""Alone."""\n') == 0


@pytest.mark.parametrize("name", peers.WAYS)
def test_each_way_has_the_same_frame(name: str) -> None:
    lines = (FOLDER / "ways" / f"{name}.py").read_text("utf-8").splitlines()
    assert lines.count("def prepare(url, n, pattern, scorer):") == 1
    assert sum(line.endswith("def ask(question):") for line in lines) == 1
    assert lines[-1] == "    return ask"


def test_each_question_is_taken_once_with_candidates_of_its_own(
    questions: list[peers_questions.Recorded],
) -> None:
    assert len(questions) == len({one.question for one in questions}) == 2 * len(peers_questions.PATTERNS)
    for one in questions:
        assert len(one.texts) == len(one.correct) == len(one.grades) == N
        assert [one.right(text) for text in one.texts] == list(one.correct)
        with pytest.raises(LookupError):
            one.right("nothing that anybody said")


def test_answers_are_played_in_order_and_from_the_beginning_after_the_last() -> None:
    player = Player({"2 + 2?": KNOWN})
    body = {"messages": [{"role": "user", "content": "2 + 2?"}]}
    assert player.contents({**body, "n": 2}) == ["It is 4.", "It is 5."]
    assert player.contents({**body, "n": 2}) == ["It is 6.", "It is 4."]
    assert player.counts.samples == 4
    player.reset(0.0)
    assert player.contents(body) == ["It is 4."]
    with pytest.raises(KeyError):
        player.contents({"messages": [{"role": "user", "content": "3 + 3?"}]})


def test_fields_and_grades_are_given_to_those_who_ask_for_them() -> None:
    player = Player({"2 + 2?": KNOWN})
    asked = "[[ ## question ## ]]\n2 + 2?\n\nRespond with the corresponding output fields."
    [text] = player.contents({"messages": [{"role": "user", "content": asked}]})
    assert "[[ ## reasoning ## ]]\nIt is 4.\n" in text
    assert "[[ ## answer ## ]]\n4\n" in text
    rated = [("user", "2 + 2?"), ("assistant", "It is 5."), ("user", "Rate the above response:")]
    messages = [{"role": role, "content": content} for role, content in rated]
    assert player.contents({"messages": messages}) == ["2.0"]
    assert player.counts.samples == 1


@pytest.mark.parametrize("name", HERE)
def test_each_way_is_asked_and_returns_a_candidate(
    name: str,
    upstream: peers.Upstream,
    questions: list[peers_questions.Recorded],
    ways: Callable[[str], peers.Way],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no look-up of prices on the network
    way = ways(name)
    way.prepare(dict.fromkeys(peers_questions.PATTERNS, open_scorer("mini")))
    asked = way.ask(upstream, questions[:3])
    assert asked.failed == 0
    assert len(asked.right) == 3
    assert asked.counts["samples"] <= 3 * N
    assert way.lines > 0
    if name == peers.OURS:
        assert asked.right == [True] * 3  # three of five agree


@needs("openai")
def test_what_is_given_up_counts_as_far_as_it_came(
    upstream: peers.Upstream, questions: list[peers_questions.Recorded]
) -> None:
    from openai import AsyncOpenAI

    async def give_up() -> None:
        client = AsyncOpenAI(base_url=upstream.url, api_key="none", max_retries=0, timeout=0.5)
        await client.chat.completions.create(
            model="test", messages=[{"role": "user", "content": questions[0].question}]
        )

    upstream.reset(0.1)  # characters a second: an answer would take minutes
    with pytest.raises(Exception, match="timed out"):
        asyncio.run(give_up())
    counts = upstream.counts()
    assert counts["samples"] == 1
    assert counts["characters"] < len(questions[0].texts[0]) / 2
    upstream.reset()


@pytest.mark.skipif(installed("optillm"), reason="optillm is installed")
def test_ways_of_packages_that_are_not_installed_are_left_out() -> None:
    chosen, absent = peers.available(list(peers.WAYS))
    assert "optillm" in absent
    assert peers.OURS in chosen
    assert not [name for name in chosen if name.startswith("optillm")]
