from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from support.counting_model import CountingModel
from support.fake_provider import OpenAIServer

from me2sdk import (
    LLM,
    Budget,
    ConfigurationError,
    CostEstimate,
    Escalate,
    InvalidTraceError,
    Trace,
    Usage,
    _tracing,
    best_of_n,
    estimate_cost,
    judge_pair,
    parse_dag,
    rank_traces,
    split_steps,
)
from me2sdk.cost import Lengths, SimulatedModel, filler
from me2sdk.llm import TokenCounter, door
from me2sdk.schema import Step

PRICED = {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}


@pytest.fixture
def world() -> CountingModel:
    return CountingModel()


@pytest.fixture
def where(world: CountingModel) -> Iterator[dict[str, Any]]:
    """Arguments of a call: a model on a server of that world."""
    with OpenAIServer(world.reply) as server:
        yield {
            "model": "openai/priced-here",  # LiteLLM keeps prices by name from then on
            "api_base": server.url,
            "api_key": "sk-none",
            **PRICED,
            "completion_tokens": world.lengths,
        }


def spending(where: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in where.items() if name != "completion_tokens"}


DEMO = [
    json.loads(line)
    for line in (resources.files("me2sdk") / "data" / "demo_champ.jsonl").read_text("utf-8").splitlines()
]


def real_traces(*places: tuple[int, int]) -> list[Trace]:
    """Real solutions: candidates of questions of the demo."""
    return [
        Trace.from_message(DEMO[row]["candidates"][n], question=DEMO[row]["question"]) for row, n in places
    ]


LONG = real_traces((17, 25), (4, 27), (26, 15))
SAME = real_traces((38, 16), (38, 9), (38, 26), (38, 20))


def agrees(estimate: CostEstimate, spent: Usage, *, calls: float = 0.0, tokens: float = 0.1) -> None:
    __tracebackhide__ = True
    assert estimate.calls == pytest.approx(spent.calls, rel=calls), (estimate, spent)
    assert estimate.prompt_tokens == pytest.approx(spent.prompt_tokens, rel=tokens), (estimate, spent)
    assert estimate.completion_tokens == pytest.approx(spent.completion_tokens, rel=tokens), (estimate, spent)
    if spent.cost is not None:
        assert estimate.cost == pytest.approx(spent.cost, rel=tokens)


def total(usages: list[Usage]) -> Usage:
    return sum(usages, Usage())


@pytest.mark.parametrize("window", [1, 8])
def test_parse_dag_takes_what_was_estimated(where: dict[str, Any], window: int) -> None:
    assert sum(len(split_steps(trace)) for trace in LONG) > 200
    estimate = estimate_cost("parse_dag", LONG, window=window, **where)
    dags = parse_dag(LONG, window=window, **spending(where))
    assert not any(dag.errors for dag in dags)
    agrees(estimate, total([dag.usage for dag in dags]))
    assert estimate.cost is not None


@pytest.mark.parametrize("window", [1, 8])
@pytest.mark.parametrize("back", [6, 12, 10**9])
def test_it_holds_for_models_that_find_many_branches_and_none(
    world: CountingModel, window: int, back: int
) -> None:
    options: dict[str, Any] = {"window": window, "model": world.function}
    estimate = estimate_cost("parse_dag", LONG, completion_tokens=world.lengths, **options)
    world.back = back
    agrees(estimate, total([dag.usage for dag in parse_dag(LONG, **options)]))


def test_votes_on_annotations_are_counted(where: dict[str, Any]) -> None:
    estimate = estimate_cost("parse_dag", SAME[0], samples=3, **where)
    agrees(estimate, parse_dag(SAME[0], samples=3, **spending(where)).usage)


def test_local_rules_cost_nothing() -> None:
    assert estimate_cost("parse_dag", LONG, model=None) == CostEstimate(
        calls=0, prompt_tokens=0, completion_tokens=0, cost=0.0
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"structure": False, "repeats": 2}, {"annotator": "local"}, {"repeats": 1}],
    ids=["default", "raw", "local", "once"],
)
def test_judge_pair_takes_what_was_estimated(where: dict[str, Any], options: dict[str, Any]) -> None:
    estimate = estimate_cost("judge_pair", (SAME[0], SAME[1]), **where, **options)
    verdict = judge_pair(None, SAME[0], SAME[1], **spending(where), **options)
    assert verdict.preference == "b"
    agrees(estimate, verdict.usage)


def test_early_stop_is_weighed_by_agreement(world: CountingModel, where: dict[str, Any]) -> None:
    pairs = [(SAME[0], SAME[1]), (SAME[0], SAME[2]), (SAME[1], SAME[3]), (SAME[2], SAME[3])]
    options: dict[str, Any] = {"early_stop": True, "annotator": "local"}
    estimate = estimate_cost("judge_pair", pairs, agreement=0.75, **where, **options)
    agree = [judge_pair(None, *pair, **spending(where), **options).usage for pair in pairs[:3]]
    world.better = None
    stopped = judge_pair(None, *pairs[3], **spending(where), **options)
    assert stopped.stopped_early
    agrees(estimate, total([*agree, stopped.usage]), calls=0.02)
    every, none = (
        estimate_cost("judge_pair", pairs, agreement=share, **where, **options).calls for share in (1, 0)
    )
    assert (every - none, none) == (4 * 20, 4 * 10 + none % 40)


def test_rank_traces_shares_views_and_takes_the_mean_over_orders(world: CountingModel) -> None:
    options: dict[str, Any] = {"model": world.function, "repeats": 1, "annotator": "local"}
    estimate = estimate_cost("rank_traces", SAME, agreement=1.0, completion_tokens=world.lengths, **options)
    orders = list(itertools.permutations(SAME))
    spent = total([rank_traces(None, list(order), **options).usage for order in orders])
    assert estimate.calls == pytest.approx(spent.calls / len(orders), rel=0.1)
    assert estimate.prompt_tokens == pytest.approx((spent.prompt_tokens or 0) / len(orders), rel=0.1)
    assert estimate.completion_tokens == pytest.approx((spent.completion_tokens or 0) / len(orders), rel=0.1)
    pairs = list(itertools.combinations(SAME, 2))[: round(estimate.calls / 10)]
    assert estimate.calls < estimate_cost("judge_pair", pairs, **options).calls


def test_several_rankings_are_added(where: dict[str, Any]) -> None:
    options: dict[str, Any] = {"repeats": 1, "annotator": "local", **where}
    one = estimate_cost("rank_traces", SAME[:3], **options)
    two = estimate_cost("rank_traces", [SAME[:3], SAME[:3]], **options)
    assert two.calls == pytest.approx(2 * one.calls, abs=1)


def test_best_of_n_takes_what_was_estimated(where: dict[str, Any]) -> None:
    questions = [record["question"] for record in DEMO]
    estimate = estimate_cost("best_of_n", questions, n=8, **where)
    spent = [best_of_n(question, n=8, **spending(where)).usage for question in questions]
    assert estimate.calls == len(DEMO)  # this provider honours n, and LiteLLM knows
    agrees(estimate, total(spent))
    budget = Budget(tokens=10**6)
    apart = estimate_cost("best_of_n", questions[:1], n=4, budget=budget, **where)
    assert apart.calls == best_of_n(questions[0], n=4, budget=budget, **spending(where)).usage.calls == 4


def test_a_conversation_is_one_question_and_max_tokens_bounds_it() -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
    model = {"model": "openai/gpt-4o-mini", "completion_tokens": 500}
    one = estimate_cost("best_of_n", chat, n=4, **model)
    assert (one.calls, one.completion_tokens) == (1, 2000)
    assert 10 < one.prompt_tokens < 30
    short = estimate_cost("best_of_n", ["2 + 2?", chat], n=4, max_tokens=50, **model)
    assert (short.calls, short.completion_tokens) == (2, 400)
    assert "about 2 calls" in str(short)
    assert "with openai/gpt-4o-mini" in str(short)


def test_the_cache_is_read_and_not_written(where: dict[str, Any], tmp_path: Path) -> None:
    cache = {"cache": tmp_path / "answers"}
    options: dict[str, Any] = {"repeats": 1}
    pairs = [(SAME[0], SAME[1]), (SAME[0], SAME[2]), (SAME[1], SAME[3]), (SAME[2], SAME[3])]
    fresh = estimate_cost("judge_pair", pairs, **where, **options, **cache)
    assert fresh == estimate_cost("judge_pair", pairs, **where, **options, **cache)
    verdicts = [judge_pair(None, *pairs[0], **spending(where), **options, **cache)]
    rest = estimate_cost("judge_pair", pairs[1:], **where, **options, **cache)
    again = estimate_cost("judge_pair", [pairs[0]], **where, **options, **cache)
    verdicts += [judge_pair(None, *pair, **spending(where), **options, **cache) for pair in pairs[1:]]
    spent = total([verdict.usage for verdict in verdicts])
    agrees(fresh, spent, calls=0.02)
    # Each trace is parsed once.
    assert fresh.cached_calls == pytest.approx(spent.cached_calls, rel=0.05)
    assert spent.cached_calls > 70
    agrees(rest, total([verdict.usage for verdict in verdicts[1:]]), calls=0.02)
    assert (again.calls, again.cost, again.cached_calls) == (0, 0.0, verdicts[0].usage.calls)
    assert f"no calls and {again.cached_calls} answers from the cache" in str(again)


def test_no_model_is_asked_no_budget_touched_no_tracer_told() -> None:
    asked: list[Any] = []
    heard: list[Any] = []

    class Tracer:
        def start(self, *facts: Any) -> Any:
            heard.append(facts)

    def model(messages: Any, **params: Any) -> str:
        asked.append(messages)
        return "<|action|>continue"

    tracer, budget = Tracer(), Budget(tokens=1)
    llm = LLM(model, budget=budget)
    _tracing.add(tracer)
    try:
        estimate = estimate_cost("judge_pair", (SAME[0], SAME[1]), model=llm)
        estimate_cost("parse_dag", SAME[0], model=llm, on_step=lambda *told: asked.append(told))
        estimate_cost("best_of_n", "2 + 2?", model=llm, on_candidate=asked.append, scorer="none")
    finally:
        _tracing.remove(tracer)
    assert (asked, heard, llm.usage.calls, budget.spent.calls) == ([], [], 0, 0)
    assert estimate.calls > 30
    assert estimate.cost is None
    assert str(estimate).endswith("at a price that is not known with model")


def test_own_annotators_do_not_run() -> None:
    class Own:
        def annotate(self, *args: Any) -> Any:
            raise AssertionError

    assert (
        estimate_cost("judge_pair", (SAME[0], SAME[1]), model="openai/gpt-4o-mini", annotator=Own()).calls
        > 30
    )


def test_a_pool_of_models_shares_the_calls() -> None:
    pool = ["openai/gpt-4o", "openai/gpt-4o-mini"]
    both = estimate_cost("best_of_n", "2 + 2?", model=pool, n=4)
    each = [estimate_cost("best_of_n", "2 + 2?", model=one, n=2).cost for one in pool]
    assert both.cost == pytest.approx(sum(cost or 0 for cost in each))
    assert both.models == tuple(pool)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rerank", ["x"], {}), "verb is one of"),
        (("best_of_n", "x", {"window": 8}), "window: best_of_n takes no such argument"),
        (("judge_pair", ("x", "y"), {"a": "x"}), "a: judge_pair takes no such argument"),
        (("judge_pair", [("x",)], {}), r"A pair is \(a, b\)"),
        (("judge_pair", "xy", {}), "items is a list of traces"),
        (("judge_pair", ("x", "y"), {"agreement": 2}), "agreement is a share"),
        (("judge_pair", ("x", "y"), {"model": None}), "needs a model"),
        (("best_of_n", "x", {"completion_tokens": 0}), "completion_tokens is a number"),
        (("best_of_n", "x", {"completion_tokens": {"words": 9}}), "completion_tokens is a number"),
        (("best_of_n", "x", {"n": 0}), "n is at least 1"),
        (("parse_dag", "x", {"window": 0}), "window"),
    ],
)
def test_what_cannot_work_is_refused(arguments: tuple[Any, Any, dict[str, Any]], message: str) -> None:
    verb, items, options = arguments
    with pytest.raises(ConfigurationError, match=message):
        estimate_cost(verb, items, **{"model": "openai/gpt-4o-mini", **options})
    with pytest.raises(InvalidTraceError, match="empty"):
        estimate_cost("parse_dag", " ", model="openai/gpt-4o-mini")


def test_values_go_through_json_and_read_as_sentences() -> None:
    estimate = CostEstimate(
        calls=1240,
        prompt_tokens=3_100_000,
        completion_tokens=200_000,
        cost=0.61,
        models=("openai/gpt-4o-mini",),
    )
    assert str(estimate) == (
        "about 1,240 calls, 3.1M tokens in and 0.2M out, about $0.61 with openai/gpt-4o-mini"
    )
    assert CostEstimate.model_validate_json(estimate.model_dump_json()) == estimate
    small = CostEstimate(calls=1, prompt_tokens=950, completion_tokens=12_345, cost=0.00123)
    assert str(small) == "about 1 call, 950 tokens in and 12k out, about $0.0012"


def test_tokens_are_those_of_the_encoding_piece_by_piece() -> None:
    counter, encoding = TokenCounter(), door.encoding()
    texts = [
        *(trace.reasoning for trace in (*LONG, *SAME)),
        "a\n\n  b \n\t\n\nc\r\n\r\nd.\n\n(e)\n",
        "",
        "\u00fc\n\U0001f600 <|endoftext|>",
    ]
    for text in texts:
        assert counter.text(text) == len(encoding.encode_ordinary(text))
    words = filler(100)
    assert counter.text(words) == 100


def test_hostile_text_is_counted_in_time() -> None:
    counter = TokenCounter()
    assert counter.text("a" * 10_000_000) > 1_000_000
    assert counter.text("\ud800" * 10) > 0
    draw = random.Random(0)
    assert counter.text("".join(draw.choices("abcdefgh", k=1_000_000))) > 100_000


def test_counting_leaves_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOM_TIKTOKEN_CACHE_DIR", "/nowhere")
    before = dict(os.environ)
    TokenCounter()
    assert dict(os.environ) == before


def test_the_simulated_model_annotates_by_the_local_rules() -> None:
    from me2sdk.annotate.answers import read_annotation, read_window
    from me2sdk.annotate.prompt import build_prompt
    from me2sdk.dag import DAGBuilder

    builder = DAGBuilder()
    for text in ("We need x.", "So x = 2.\n[step 7 abc] x", "Then y = 4."):
        builder.add(Step(text, "\n\n"), "continue")
    back, on = Step("Alternatively, maybe use another way.", "\n\n"), Step("So it is 4.", "\n\n")

    def said(new: dict[int, Step]) -> str:
        prompt = build_prompt(new, builder.pool(), builder, question="x?")
        return SimulatedModel(Lengths())([{"role": "user", "content": prompt}])[0]

    alone = read_annotation(said({3: back}))
    assert alone is not None
    assert (alone.action, tuple(alone.parents)) == ("backtrack", (1,))
    window = read_window(said({3: on, 4: back, 5: back}))
    assert [(one.action, tuple(one.parents)) for one in window.values()] == [
        ("continue", ()),
        ("backtrack", (2,)),
        ("backtrack", (2,)),
    ]


def test_stop_and_escalate_give_a_range(where: dict[str, Any]) -> None:
    plain = estimate_cost("best_of_n", "What is 6 * 7?", n=16, **where)
    assert plain.least is None
    early = estimate_cost("best_of_n", "What is 6 * 7?", n=16, stop=0.95, answer="auto", **where)
    assert early.least is not None
    assert early.least.completion_tokens == pytest.approx(early.completion_tokens * 3 / 16, rel=0.01)
    assert early.model_copy(update={"least": None}) == plain
    assert " to " in str(early)
    both = estimate_cost(
        "best_of_n", "What is 6 * 7?", n=16, stop="sure", escalate=Escalate("openai/other", n=2), **where
    )
    assert both.least is not None
    assert both.least.completion_tokens == pytest.approx(plain.completion_tokens * 9 / 16, rel=0.01)
    assert both.completion_tokens == pytest.approx(plain.completion_tokens * 18 / 16, rel=0.01)
    assert both.models == ("openai/priced-here", "openai/other")
    assert both.cost is None  # the prices that were given are those of the weaker model
    own = estimate_cost(
        "best_of_n",
        "What is 6 * 7?",
        n=4,
        stop=lambda result: True,
        min_confidence=0.9,
        deadline=9.0,
        **where,
    )
    assert own.least is not None
    assert own.least.completion_tokens == pytest.approx(own.completion_tokens / 4, rel=0.01)
    texts = estimate_cost("best_of_n", "What is 6 * 7?", n=4, stop=["END"], **where)
    assert texts.least is None
    assert CostEstimate.model_validate_json(both.model_dump_json()) == both
