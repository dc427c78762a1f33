from __future__ import annotations

import asyncio
import logging
import math
import random
import subprocess
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from its_hub import BestOfN, OpenAICompatibleLanguageModel, StepGeneration
from its_hub.api import ChatMessage, ChatMessages
from its_hub.core.algorithms import beam_search, particle_gibbs
from its_hub.core.algorithms.planning_wrapper import create_planning_best_of_n
from support.fake_provider import OpenAIServer, Reply, Request, error

from me2sdk import TRMScorer
from me2sdk.adapters.its_hub import OutcomeRewardModel, ProcessRewardModel
from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.scorers import PRMScorer
from me2sdk.testing import tiny_process_reward_model

QUESTION = "What is 12 * 13?"
GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."


def model(server: OpenAIServer, **settings: Any) -> OpenAICompatibleLanguageModel:
    return OpenAICompatibleLanguageModel(server.url, "sk-test", "m", max_tries=1, **settings)


def talk(*answers: str | None) -> list[list[ChatMessage]]:
    return [[ChatMessage("user", QUESTION), ChatMessage("assistant", answer)] for answer in answers]


def test_best_of_n_returns_the_best_answer_and_all_rewards() -> None:
    with OpenAIServer([BAD, GOOD, BAD]) as server:
        result = BestOfN(OutcomeRewardModel()).infer(model(server), QUESTION, 3, return_response_only=False)
    assert result.the_one["content"] == GOOD
    by_text = dict(zip([r["content"] for r in result.responses], result.scores, strict=True))
    assert by_text == dict(zip((BAD, GOOD), TRMScorer("mini").score(QUESTION, [BAD, GOOD]), strict=True))
    assert result.usage.completion_tokens == 15


async def test_best_of_n_awaited_with_a_history_and_a_system_prompt() -> None:
    class Watching:
        def __init__(self) -> None:
            self.questions: list[object] = []

        def score(self, question: object, traces: list[Any]) -> list[float]:
            self.questions.append(question)
            return [float(len(trace.reasoning)) for trace in traces]

    scorer = Watching()
    history = [ChatMessage("system", "Be brief."), ChatMessage("user", QUESTION)]
    with OpenAIServer(["short", "rather longer"]) as server:
        lm = model(server)
        best = await BestOfN(OutcomeRewardModel(scorer)).ainfer(lm, history, 2)
        await lm.close()
    assert best["content"] == "rather longer"
    assert scorer.questions == [  # once for all answers
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    ]


def test_a_failed_answer_ranks_last_and_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with (
        OpenAIServer([BAD, error(400, "broken"), GOOD]) as server,
        caplog.at_level(logging.WARNING, "me2sdk"),
    ):
        lm = model(server, replace_error_with_message="")
        result = BestOfN(OutcomeRewardModel()).infer(lm, QUESTION, 3, return_response_only=False)
    assert result.the_one["content"] == GOOD
    assert sorted(result.scores)[0] == float("-inf")
    assert "ranks last" in caplog.text


def test_planning_with_best_of_n() -> None:
    def behave(request: Request) -> Reply:
        if "distinct approaches" in request.text:
            return Reply("APPROACH 1: multiply\nAPPROACH 2: add\nAPPROACH 3: guess")
        # Each approach is asked twice; only one of all the answers is good.
        return Reply(GOOD if "the multiply method" in request.text and request.number % 2 else BAD)

    algorithm = create_planning_best_of_n(OutcomeRewardModel())
    with OpenAIServer(behave) as server, pytest.warns(DeprecationWarning, match="agenerate"):
        result = algorithm.infer(model(server), QUESTION, 7, return_response_only=False)
    assert len(result.combined_responses) == 6
    scored = [one for one in result.approach_results.values() if len(set(one.scores)) == 2]
    assert [one.the_one["content"] for one in scored] == [GOOD]


def test_tool_calls_are_scored() -> None:
    calls = [
        {"id": "c", "type": "function", "function": {"name": "product", "arguments": f'{{"a": {a}}}'}}
        for a in (1, 22)
    ]

    class Longest:
        def score(self, question: object, traces: list[Any]) -> list[float]:
            return [float(len(trace.reasoning)) for trace in traces]

    with OpenAIServer([Reply(None, {"tool_calls": [call]}) for call in calls]) as server:
        best = BestOfN(OutcomeRewardModel(Longest())).infer(
            model(server), QUESTION, 2, tools=[{"type": "function"}]
        )
    assert best["tool_calls"] == [calls[1]]


async def test_scores_of_one_and_of_several_in_every_form() -> None:
    orm = OutcomeRewardModel(TRMScorer("mini"))
    both = await orm.ascore(talk(GOOD, BAD))
    assert both == TRMScorer("mini").score(QUESTION, [GOOD, BAD])
    assert await asyncio.to_thread(orm.score, talk(GOOD, BAD)) == both
    assert orm.score(talk(GOOD)[0]) == both[0]  # type: ignore[index]
    assert orm.score(ChatMessages(talk(GOOD)[0])) == both[0]  # type: ignore[index]
    as_dicts = [message.to_dict() for message in talk(BAD)[0]]
    assert orm.score([as_dicts, talk(GOOD)[0]]) == [both[1], both[0]]  # type: ignore[index]
    assert orm.score([]) == []
    assert orm.score([ChatMessage("assistant", GOOD)]) == TRMScorer("mini").score("", [GOOD])[0]


def test_questions_are_told_apart() -> None:
    class AnswersItsQuestion:
        def score(self, question: Any, traces: list[Any]) -> list[float]:
            return [float(trace.reasoning == f"about {question[0]['content']}") for trace in traces]

    mixed = [
        [ChatMessage("user", asked), ChatMessage("assistant", f"about {said}")]
        for asked, said in (("a", "a"), ("b", "a"), ("a", "b"), ("b", "b"))
    ]
    assert OutcomeRewardModel(AnswersItsQuestion()).score(mixed) == [1.0, 0.0, 0.0, 1.0]


def test_what_cannot_be_scored_says_so() -> None:
    orm = OutcomeRewardModel()
    with pytest.raises(InvalidTraceError, match="assistant's answer"):
        orm.score([ChatMessage("user", QUESTION)])
    with pytest.raises(ConfigurationError, match="list of ChatMessage"):
        orm.score(["text"])
    assert orm.score(talk(None, GOOD))[0] == float("-inf")  # type: ignore[index]

    class Broken:
        def score(self, question: object, traces: list[object]) -> list[float]:
            raise OSError("no scorer")

    with pytest.raises(ScoringError, match="no scorer"):
        OutcomeRewardModel(Broken()).score(talk(GOOD, BAD))


class Steps:
    """A model that writes solutions of two steps, and says which it wrote."""

    def __init__(self) -> None:
        self.first = cycle(["12 * 13 is 12 * 10 and 12 * 3.", "12 * 13? Hmm.", "Twelve times thirteen."])

    def __call__(self, request: Request) -> Reply:
        assert request.body["stop"] == "\n\n"
        so_far = request.body["messages"][-1]
        if so_far["role"] == "user":
            return Reply(next(self.first), honours_n=False)
        return Reply(f"So {len(so_far['content'])} leads to \\boxed{{156}}.", honours_n=False)


@pytest.fixture(scope="module")
def prm(tmp_path_factory: pytest.TempPathFactory) -> PRMScorer:
    pytest.importorskip("torch", reason="needs the extra [local]")
    pytest.importorskip("transformers", reason="needs the extra [local]")
    return PRMScorer(
        str(tiny_process_reward_model(tmp_path_factory.mktemp("prm") / "tiny")), reduction="last"
    )


def generation() -> StepGeneration:
    return StepGeneration(max_steps=4, step_token="\n\n", stop_token="\\boxed")


@pytest.mark.filterwarnings("ignore:agenerate:DeprecationWarning")  # its_hub's own call
async def test_beam_search_by_a_process_reward_model(prm: PRMScorer) -> None:
    search = beam_search.BeamSearch(generation(), ProcessRewardModel(prm), beam_width=2)
    with OpenAIServer(Steps()) as server:
        lm = model(server)
        result = await search.ainfer(lm, QUESTION, budget=6, return_response_only=False)
        await lm.close()
    texts = [response["content"] for response in result.responses]
    assert all(text.count("\n\n") == 1 for text in texts)
    assert all(text.endswith("\\boxed{156}.") for text in texts)
    assert result.scores == pytest.approx(prm.score(QUESTION, texts), abs=1e-5)
    assert result.the_one["content"] == texts[result.scores.index(max(result.scores))]


@pytest.mark.filterwarnings("ignore:agenerate:DeprecationWarning")  # its_hub's own call
async def test_particle_filtering_by_a_process_reward_model(prm: PRMScorer) -> None:
    random.seed(0)
    search = particle_gibbs.ParticleFiltering(generation(), ProcessRewardModel(prm))
    with OpenAIServer(Steps()) as server:
        lm = model(server)
        messages = [ChatMessage("system", "Be brief."), ChatMessage("user", QUESTION)]
        result = await search.ainfer(lm, messages, budget=4, return_response_only=False)
        await lm.close()
    texts = [response["content"] for response in result.responses]
    asked = f"system: Be brief.\nuser: {QUESTION}"  # as its_hub joins messages for these searches
    logits = [math.log(p / (1 - p)) for p in prm.score(asked, texts)]
    assert result.log_weights_lst == pytest.approx(logits, abs=1e-4)
    assert result.steps_used_lst == [2] * 4


async def test_probabilities_of_solutions_in_every_form(
    prm: PRMScorer, caplog: pytest.LogCaptureFixture
) -> None:
    its = ProcessRewardModel(prm)
    first, second = prm.score(QUESTION, ["a", "a\n\nb"])
    assert await its.ascore(QUESTION, ["a", "a\n\nb"]) == pytest.approx([first, second], abs=1e-6)
    assert await asyncio.to_thread(its.score, QUESTION, "a") == pytest.approx(first, abs=1e-6)
    asked = [ChatMessage("user", QUESTION)]
    assert its.score(asked, ["a"]) == its.score(ChatMessages(asked), ["a"]) == its.score(QUESTION, ["a"])
    with caplog.at_level(logging.WARNING, "me2sdk"):
        assert its.score(QUESTION, ["", "a"]) == [0.0, pytest.approx(first, abs=1e-6)]
    assert "1 of 2 solutions could not be scored" in caplog.text
    assert its.score(QUESTION, []) == []
    # The logarithm of a product becomes a probability again.
    product = ProcessRewardModel(PRMScorer(prm.model, reduction="product"))
    assert product.score(QUESTION, "a\n\nb") == pytest.approx(
        math.prod(prm.step_scores(QUESTION, ["a\n\nb"])[0]), abs=1e-6
    )


def test_a_process_reward_model_by_name(prm: PRMScorer, tmp_path: Path) -> None:
    assert ProcessRewardModel(prm.model).score(QUESTION, "a") == ProcessRewardModel(f"prm:{prm.model}").score(
        QUESTION, "a"
    )
    with pytest.raises(ConfigurationError, match="mini is no process reward model"):
        ProcessRewardModel("mini")
    with pytest.raises(ConfigurationError, match="could not be loaded"):
        ProcessRewardModel(f"prm:{tmp_path}").score(QUESTION, "a")
    narrow = ProcessRewardModel(PRMScorer(prm.model, max_tokens=100))
    with pytest.raises(ScoringError, match="leaves no room"):
        narrow.score("q" * 200, ["a", "b"])


def test_the_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['its_hub'] = None; import me2sdk.adapters.its_hub"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert 'Run: pip install "me2sdk[its-hub]"' in done.stderr.splitlines()[-1]
