import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from me2sdk._choices import Dimension
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Trace
from me2sdk.scorers.mini import read_equations
from me2sdk.train.data import Preference
from me2sdk.train.perturb import KINDS, count_pairs, perturb_trace, perturb_traces, read_traces
from me2sdk.train.perturb.phrases import GIVEN, SLOTS, fill
from me2sdk.train.perturb.text import Draft, equations, numbers, stated

NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Ida", "Jon")
THINGS = ("apples", "pens", "cards", "eggs", "coins", "books")


def solution(seed: int, end: str = "\n#### {}") -> Trace:
    """A right solution of a word problem, as people write them in GSM8K."""
    draw = random.Random(seed)
    one, two = draw.sample(NAMES, 2)
    thing, other = draw.sample(THINGS, 2)
    a, b, c = draw.randint(11, 60), draw.randint(61, 99), draw.randint(3, 9)
    total = (a + b) * c - b
    return Trace(
        question=f"{one} has {a} {thing} and {two} has {b} {other}. Every week {one} sells all of them for ${c} each "
        f"and {two} pays ${b} for 2 days of rent. How much money is left?",
        reasoning=f"{one} and {two} have {a} + {b} = {a + b} things.\n"
        f"They sell the {thing} and {other} for {a + b} * {c} = ${(a + b) * c} in 2 days.\n"
        f"After the rent {two} has ${(a + b) * c} - ${b} = ${total} left." + end.format(total),
    )


def long_trace(seed: int) -> Trace:
    """A trace of paragraphs, as reasoning models write them."""
    draw = random.Random(seed)
    paragraphs = ["Okay, so I need to add up all of the numbers that are given one after the other."]
    total = draw.randint(10, 99)
    paragraphs.append(f"Let me write x for the sum. At the start x = {total}, since that is the first one.")
    for place in range(14):
        step = draw.randint(11, 99)
        word = draw.choice(("So", "Then", "Now", "Next", "Therefore", "But"))
        paragraphs.append(
            f"{word} comes number {place + 2} of the list, which is {step}, and with it {total} + {step} = "
            f"{total + step}. That leaves y of the numbers, and y = {13 - place} here."
        )
        total += step
    paragraphs.append(f"So the final answer is \\boxed{{{total}}}.")
    return Trace(
        question="Anna counts coins. Add up the numbers of the list.",
        reasoning="\n\n".join(paragraphs),
        response=f"It is {total}.",
    )


SOLUTIONS = [solution(seed) for seed in range(60)]
LONG = [long_trace(seed) for seed in range(20)]


def pairs_of(kind: str, traces: list[Trace], count: int = 60) -> list[Preference]:
    rng = random.Random(2)
    made = []
    for index in range(count):
        trace, other = traces[index % len(traces)], traces[(index + 1) % len(traces)]
        made.append(perturb_trace(trace, kind, rng, other=other))
    return [pair for pair in made if pair]


@pytest.mark.parametrize("traces", [SOLUTIONS, LONG], ids=["lines", "paragraphs"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_pairs(kind: str, traces: list[Trace]) -> None:
    made = pairs_of(kind, traces)
    assert len(made) > 40
    for pair in made:
        assert pair.chosen.reasoning != pair.rejected.reasoning
        assert (pair.category, pair.dimension) == (kind, KINDS[kind].value)
        assert stated(pair.chosen.reasoning) == stated(pair.rejected.reasoning)
        assert pair.chosen.response == pair.rejected.response
    assert len({pair.rejected.reasoning for pair in made}) > 40


@given(
    st.integers(0, 10_000),
    st.sampled_from(sorted(KINDS)),
    st.booleans(),
    st.sampled_from(["\n#### {}", "\nFinal answer: {}", "\nSo the answer is \\boxed{{{}}}.", ""]),
)
@settings(max_examples=300, deadline=None)
def test_the_final_answer_stays_and_the_length_is_as_asked_for(
    seed: int, kind: str, longer: bool, end: str
) -> None:
    trace = solution(seed, end)
    pair = perturb_trace(trace, kind, random.Random(seed), other=solution(seed + 1), longer=longer)
    if pair is None:
        return
    assert stated(pair.chosen.reasoning) == stated(pair.rejected.reasoning) == stated(trace.reasoning)
    assert (len(pair.chosen.reasoning) > len(pair.rejected.reasoning)) == longer
    assert len(pair.chosen.reasoning) != len(pair.rejected.reasoning)
    if end:
        statement = trace.reasoning.rpartition("\n")[2]
        assert pair.chosen.reasoning.endswith(statement)
        assert pair.rejected.reasoning.endswith(statement)


@given(st.text(max_size=300), st.sampled_from(sorted(KINDS)), st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_a_pair_or_none(text: str, kind: str, seed: int) -> None:
    trace = Trace(reasoning=text, question=text)
    other = Trace(reasoning="A hen lays {0} eggs.\nThat makes 3 eggs.", question="How many?")
    pair = perturb_trace(trace, kind, random.Random(seed), other=other)
    assert pair is None or pair.chosen.reasoning != pair.rejected.reasoning


@given(st.text(alphabet="ab1. \n$=+#", max_size=200))
@settings(max_examples=200, deadline=None)
def test_a_draft_joins_to_its_text(text: str) -> None:
    draft = Draft.cut(text, "", random.Random(0))
    assert draft.text + draft.end == (text if text.strip() else "")


def test_pairs_are_balanced_over_dimensions_kinds_and_length() -> None:
    made = perturb_traces(SOLUTIONS, per_trace=4, seed=3)
    assert len(made) == 4 * len(SOLUTIONS)
    dimensions = Counter(pair.dimension for pair in made)
    assert set(dimensions) == {dimension.value for dimension in Dimension}
    assert max(dimensions.values()) - min(dimensions.values()) <= 4
    for row in count_pairs(made):
        if row.kind != "all":
            assert abs(row.pairs * row.better_longer - row.pairs / 2) <= 1
            assert abs(row.shorter_wins - 0.5) <= 1 / row.pairs
    kinds = [(json.dumps(p.question), p.category) for p in made]
    assert len(kinds) == len(set(kinds))


def test_harmless_wording_is_no_label() -> None:
    """Which side has more signs spelled out and connectives says little about which is the better one."""
    made = perturb_traces(SOLUTIONS, per_trace=11, seed=1)
    words = [
        f" {phrase} " for phrase in ("plus", "times", "minus", "equals", "gives", "comes to", "amounts to")
    ]

    def wording(text: str) -> int:
        return sum(text.count(word) for word in words)

    leads = [wording(p.chosen.reasoning) - wording(p.rejected.reasoning) for p in made]
    more = sum(lead > 0 for lead in leads) / sum(lead != 0 for lead in leads)
    assert 0.35 < more < 0.68


def test_the_same_seed_makes_the_same_pairs_and_another_one_others() -> None:
    made = perturb_traces(SOLUTIONS[:10], seed=5)
    assert made == perturb_traces(SOLUTIONS[:10], seed=5)
    assert made != perturb_traces(SOLUTIONS[:10], seed=6)


def test_only_the_dimensions_asked_for() -> None:
    made = perturb_traces(SOLUTIONS[:10], dimensions=["macro_effectiveness"], per_trace=5)
    assert {pair.category for pair in made} == {"topic_jump", "missing_link"}


def test_a_check_is_made_once_and_then_again() -> None:
    """Both sides have lines of their own behind the three of the solution; the worse one has more of them."""
    for pair in pairs_of("repeated_check", SOLUTIONS):
        lines = [
            sum(not line.startswith(GIVEN) for line in side.reasoning.split("\n"))
            for side in (pair.chosen, pair.rejected)
        ]
        assert lines[0] == 5
        assert lines[1] in (6, 7)


def wrong(text: str) -> int:
    return sum(not equation.holds for equation in read_equations(text))


def test_wrong_arithmetic_is_repaired() -> None:
    for pair in pairs_of("wrong_arithmetic", SOLUTIONS):
        assert wrong(pair.chosen.reasoning) == 0
        assert isinstance(pair.question, str)
        asked, known, seen = (
            {float(number) for number in numbers(text)}
            for text in (pair.question, pair.chosen.reasoning, pair.rejected.reasoning)
        )
        assert (
            known - asked - {1.0, 2.0, 3.0, 4.0} <= seen
        )  # what is right still stands there (steps are numbered)
        assert seen - known - asked  # and something that is wrong


def test_a_missing_link_leaves_a_number_without_origin() -> None:
    for pair in pairs_of("missing_link", SOLUTIONS):
        marks = (" things", "hey sell", "fter the rent")
        assert [mark in pair.chosen.reasoning for mark in marks] == [True, True, True]
        assert sorted(mark in pair.rejected.reasoning for mark in marks) == [False, True, True]
        assert marks[2] in pair.rejected.reasoning


def test_a_topic_jump_brings_a_step_of_the_other_trace() -> None:
    rng = random.Random(0)
    other = Trace(question="q", reasoning="The pond holds nine frogs.\nA frog eats two flies.\n#### 18")
    for seed in range(20):
        pair = perturb_trace(solution(seed), "topic_jump", rng, other=other)
        assert pair
        assert "frog" in pair.rejected.reasoning
        assert "frog" not in pair.chosen.reasoning
        assert "18" not in pair.rejected.reasoning.split("frog")[1].split("\n")[0]


def test_what_cannot_be_done_gives_none() -> None:
    rng = random.Random(0)
    bare = Trace(question="Why?", reasoning="Because.")
    assert all(
        perturb_trace(bare, kind, rng, other=SOLUTIONS[0]) is None for kind in ("missing_link", "topic_jump")
    )
    words = Trace(
        question="Who is it?", reasoning="It is neither of them.\nIt is the third one.\nFinal answer: third"
    )
    assert all(
        perturb_trace(words, k, rng) is None for k in ("wrong_arithmetic", "swapped_symbol", "topic_jump")
    )
    assert perturb_trace(Trace(question="?", reasoning=" "), "filler", rng) is None


def test_what_is_wrong_with_the_call_is_said() -> None:
    rng = random.Random(0)
    with pytest.raises(ConfigurationError, match="no kind 'noise'"):
        perturb_trace(SOLUTIONS[0], "noise", rng)
    with pytest.raises(InvalidTraceError, match="question"):
        perturb_trace(Trace(reasoning="3 + 4 = 7."), "filler", rng)
    with pytest.raises(ConfigurationError, match="macro_efficiency"):
        perturb_traces(SOLUTIONS, dimensions=["style"])
    with pytest.raises(ConfigurationError, match="per_trace"):
        perturb_traces(SOLUTIONS, per_trace=0)


def test_a_trace_without_tags_stays_one() -> None:
    text = SOLUTIONS[0].reasoning
    pair = perturb_trace(Trace.from_text(text, "How much?"), "filler", random.Random(1))
    assert pair
    assert pair.rejected.response == pair.rejected.reasoning
    assert Preference.from_record(pair.to_record()) == pair.model_copy(
        update={
            "chosen": Trace.from_text(pair.chosen.reasoning),
            "rejected": Trace.from_text(pair.rejected.reasoning),
        }
    )


def test_equations_with_units_money_and_latex_are_read() -> None:
    text = "Take 16 tbs - 4 tbs = 12 tbs, $3 x 2 = $6, 1,200*2=2,400 and 3 \\times 4 = 12. Then 5 + 5 = 11 is wrong."
    assert [equation.value for equation in equations(text)] == ["12", "6", "2,400", "12"]


@pytest.mark.parametrize("slot", SLOTS)
def test_every_phrase_can_be_filled(slot: str) -> None:
    values = dict.fromkeys(("a", "b", "c", "sign", "claim", "said", "left", "wrong", "right"), "{9}")
    for seed in range(60):
        assert "{" not in fill(slot, random.Random(seed), **values).replace("{9}", "")


def write(path: Path, rows: list[object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_traces_are_read_in_every_form(tmp_path: Path) -> None:
    path = write(
        tmp_path / "traces.jsonl",
        [
            {"question": "q", "answer": "It is 48/2 = <<48/2=24>>24.\n#### 24"},
            {"question": "q", "trace": "<think>It is 3.</think>\\boxed{3}", "reference": "3"},
            {"question": "q", "reasoning": "It is 4.", "response": "Final answer: 4", "answer": 4},
            {"question": "q", "response": "So \\boxed{5}"},
            {"question": "q", "trace": "So \\boxed{5}", "answer": "6"},
            {"question": "q", "trace": "It is five, I think.", "answer": "5"},
            {"question": "q"},
            {"trace": "t"},
            {"question": "q", "trace": "<think>It was cut"},
            [],
        ],
    )
    found = read_traces(path)
    assert [trace.reasoning.partition("\n")[0] for trace in found.traces] == [
        "It is 48/2 = 24.",
        "It is 3.",
        "It is 4.",
        "So \\boxed{5}",
    ]
    assert all(trace.question == "q" for trace in found.traces)
    assert found.wrong == 2
    assert [number for number, _ in found.unreadable] == [7, 8, 9, 10]
    assert stated(found.traces[0].reasoning) == "24"


def test_answers_of_gsm8k_are_stated_in_several_forms(tmp_path: Path) -> None:
    rows: list[object] = [
        {"question": f"q {n}", "answer": f"{n} + 1 = <<{n}+1={n + 1}>>{n + 1}\n#### {n + 1}"}
        for n in range(60)
    ]
    found = read_traces(write(tmp_path / "gsm8k.jsonl", rows)).traces
    assert [stated(trace.reasoning) for trace in found] == [str(n + 1) for n in range(60)]
    marks = ("####", "\nFinal answer", "\nThe final answer", "boxed")
    forms = Counter(next((m for m in marks if m in trace.reasoning), "none") for trace in found)
    assert len(forms) == 5


def test_a_file_without_right_traces_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"question": "q", "trace": "\\boxed{1}", "answer": "2"}, {}])
    with pytest.raises(ConfigurationError, match=r"no right trace \(1 are wrong\). Line 2"):
        read_traces(path)
