import json
import math
import subprocess
import sys
import time
from importlib import resources

import pytest

from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Trace
from me2sdk.scorers import is_joint
from me2sdk.scorers.mini import MiniScorer
from me2sdk.scorers.mini.scorer import MiniWeights

QUESTION = (
    "A farm has 12 red hens and 8 white hens. Each hen lays 5 eggs a week. The farmer eats 10 eggs and sells the "
    "rest. How many eggs does the farmer sell?"
)
STEPS = [
    "The farm has 12 + 8 = 20 hens.",
    "They lay 20 * 5 = 100 eggs a week.",
    "The farmer eats 10 of them, so he can sell 100 - 10 = 90 eggs.",
]
GOOD = "\n".join(STEPS)


@pytest.fixture(scope="module")
def scorer() -> MiniScorer:
    return MiniScorer.load()


@pytest.mark.parametrize(
    "worse",
    [
        pytest.param("\n".join([*STEPS[:2], STEPS[1], STEPS[2]]), id="repeated"),
        pytest.param("\n".join([STEPS[1], STEPS[0], STEPS[2]]), id="swapped"),
        pytest.param("\n".join(STEPS[1:]), id="removed"),
        pytest.param(GOOD.replace("= 100", "= 120"), id="wrong number"),
        pytest.param(
            "\n".join([STEPS[0], "A train needs 45 / 9 = 5 hours to Berlin.", *STEPS[1:]]), id="foreign"
        ),
        pytest.param("Okay, let's see. Perhaps this is hard.\n" + GOOD, id="filler"),
        pytest.param("\n".join(STEPS[:2]), id="stopped"),
        pytest.param("The answer is 90.", id="answer alone"),
        pytest.param("?!", id="nothing"),
    ],
)
def test_damage_lowers_the_reward(scorer: MiniScorer, worse: str) -> None:
    good, bad = scorer.score(QUESTION, [GOOD, worse])
    assert good > bad


def test_length_alone_is_not_a_fault(scorer: MiniScorer) -> None:
    longer = GOOD.replace(" = ", " is equal to ").replace("The farm has", "To begin with, the farm has")
    broken = GOOD.replace("= 20 hens", "= 21 hens")
    good, bad = scorer.score(QUESTION, [longer, broken])
    assert good > bad


def test_of_two_traces_each_scores_as_it_does_alone(scorer: MiniScorer) -> None:
    traces = [GOOD, "\n".join(STEPS[1:])]
    together = scorer.score(QUESTION, traces)
    assert list(together) == [scorer.score(QUESTION, [trace])[0] for trace in traces]
    assert together.truncated == [0, 0]


def test_from_three_traces_on_the_odd_one_out_falls(scorer: MiniScorer) -> None:
    odd = "The farm has 12 * 8 = 96 hens.\nThey lay 96 * 5 = 480 eggs.\nHe can sell 480 - 10 = 470 eggs."
    again = GOOD.replace("They lay", "In a week they lay")
    alone = scorer.score(QUESTION, [GOOD, odd])
    among = scorer.score(QUESTION, [GOOD, odd, again])
    assert is_joint(scorer)
    assert among[0] - among[1] > abs(alone[0] - alone[1])
    assert scorer.score(QUESTION, [odd, GOOD, again])[0] == among[1]


def test_copies_are_no_second_opinion(scorer: MiniScorer) -> None:
    odd = "The farm has 12 * 8 = 96 hens.\nHe can sell 96 * 5 - 10 = 470 eggs."
    pair = scorer.score(QUESTION, [GOOD, odd])
    assert scorer.score(QUESTION, [odd, odd, GOOD, odd]) == [pair[1], pair[1], pair[0], pair[1]]


def test_alone_no_reward_depends_on_the_others(scorer: MiniScorer) -> None:
    alone = scorer.alone()
    traces = [GOOD, "\n".join(STEPS[1:]), "The answer is 90.", GOOD]
    assert not is_joint(alone)
    assert alone.score(QUESTION, traces) == [scorer.score(QUESTION, [trace])[0] for trace in traces]


def test_traces_are_compared_within_their_question(scorer: MiniScorer) -> None:
    other = "What is 3 + 4?"
    mixed = scorer.score([QUESTION, other, QUESTION, other], [GOOD, "3 + 4 = 7", STEPS[0], "It is 8."])
    assert [mixed[0], mixed[2]] == scorer.score(QUESTION, [GOOD, STEPS[0]])
    assert [mixed[1], mixed[3]] == scorer.score(other, ["3 + 4 = 7", "It is 8."])


def test_the_response_is_read_too(scorer: MiniScorer) -> None:
    silent, said = (Trace(reasoning=GOOD, response=response) for response in (None, "The answer is 90."))
    assert scorer.score(QUESTION, [said])[0] > scorer.score(QUESTION, [silent])[0]


def test_forms_of_question_and_trace(scorer: MiniScorer) -> None:
    plain = scorer.score(QUESTION, [GOOD])
    messages = [{"role": "user", "content": QUESTION}]
    assert scorer.score(messages, [GOOD]) == plain
    assert scorer.score([QUESTION], [GOOD]) == plain
    assert scorer.score(QUESTION, [Trace(reasoning=GOOD, response=GOOD)]) == plain
    assert scorer.score(None, [Trace(reasoning=GOOD, question=QUESTION)]) == plain
    assert scorer.score(QUESTION, [f"<think>{GOOD}</think>{GOOD}"]) == plain
    assert math.isfinite(scorer.score(None, [GOOD])[0])
    assert scorer.score(QUESTION, []) == []


async def test_ascore_is_score(scorer: MiniScorer) -> None:
    assert await scorer.ascore(QUESTION, [GOOD, "90"]) == scorer.score(QUESTION, [GOOD, "90"])


def test_explain_adds_up_to_the_reward(scorer: MiniScorer) -> None:
    broken = GOOD.replace("= 100", "= 120")
    parts = scorer.explain(QUESTION, broken)
    assert math.fsum(parts.values()) == pytest.approx(scorer.score(QUESTION, [broken])[0])
    assert parts["wrong_equations"] < scorer.explain(QUESTION, GOOD)["wrong_equations"]
    sizes = [abs(part) for part in parts.values()]
    assert sizes == sorted(sizes, reverse=True)
    again = GOOD.replace("They lay", "In a week they lay")
    beside = scorer.explain(QUESTION, broken, [GOOD, again])
    assert math.fsum(beside.values()) == pytest.approx(scorer.score(QUESTION, [broken, GOOD, again])[0])
    assert beside["shared_results"] < scorer.explain(QUESTION, GOOD, [again, broken])["shared_results"]


def test_rewards_of_traces_are_explained_together(scorer: MiniScorer) -> None:
    traces = [GOOD, GOOD.replace("= 100", "= 120"), GOOD.replace("They lay", "In a week they lay"), GOOD]
    sums = [math.fsum(parts.values()) for parts in scorer.explanations(QUESTION, traces)]
    assert sums == pytest.approx(scorer.score(QUESTION, traces))
    assert scorer.explanations(QUESTION, []) == []


def test_nothing_to_score_is_an_error(scorer: MiniScorer) -> None:
    with pytest.raises(InvalidTraceError, match="Trace 1"):
        scorer.score(QUESTION, [GOOD, "  "])
    with pytest.raises(ConfigurationError, match="2 questions for 1 traces"):
        scorer.score([QUESTION, QUESTION], [GOOD])


@pytest.mark.parametrize("unit", ["a", "1=", "12 345 ", "wait, ", "é\U0001f600 "])
def test_megabytes_are_cut_said_and_fast(scorer: MiniScorer, unit: str) -> None:
    trace = unit * (10_000_000 // len(unit))
    start = time.perf_counter()
    scores = scorer.score(QUESTION, [trace])
    assert time.perf_counter() - start < 10
    assert math.isfinite(scores[0])
    assert scores.truncated[0] == pytest.approx((len(trace.strip()) - 200_000) / 4, abs=1)


def test_lone_surrogates_are_scored(scorer: MiniScorer) -> None:
    assert math.isfinite(scorer.score("\ud800?", ["\udfff 3 + 4 = 7"])[0])


def test_weights_for_other_features_are_refused(scorer: MiniScorer) -> None:
    text = resources.files("me2sdk").joinpath("data/mini.json").read_text(encoding="utf-8")
    weights = json.loads(text)
    weights["among"][0]["name"] = "length"
    with pytest.raises(ConfigurationError, match=r"length.*recipes\.mini fit"):
        MiniScorer(MiniWeights.model_validate(weights))
    assert (scorer.name, scorer.version) == ("mini", weights["version"])


def test_loads_fast_and_without_heavy_packages() -> None:
    code = (
        "import sys, time\n"
        "from me2sdk.scorers.mini import MiniScorer\n"
        "start = time.perf_counter()\n"
        "MiniScorer.load().score('What is 3 + 4?', ['3 + 4 = 7'])\n"
        "assert time.perf_counter() - start < 1\n"
        "print([name for name in ('torch', 'transformers', 'litellm', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scores_do_not_depend_on_the_process() -> None:
    code = f"from me2sdk.scorers.mini import MiniScorer; print(MiniScorer.load().score({QUESTION!r}, [{GOOD!r}])[0])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
