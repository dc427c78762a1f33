from __future__ import annotations

import gc
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.event import ModelEvent
from inspect_ai.log import EvalLog, EvalSample, read_eval_log
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.scorer import match
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver, system_message, use_tools
from inspect_ai.tool import Tool, ToolCall, ToolFunction, tool

from me2sdk.adapters.inspect_ai import best_of_n, thinking_reward
from me2sdk.adapters.inspect_ai.messages import as_message
from me2sdk.errors import ConfigurationError
from me2sdk.schema import BestOfNResult

QUESTION = "What is 12 * 13?"
GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."


pytestmark = [
    # Inspect calls tenacity in a way that its newer versions warn of, and leaves streams to the garbage collector.
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Inspect puts a handler of its own on the root logger; what it leaves open is collected here."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    gc.collect()


def output(content: str | list[Any], stop_reason: Any = "stop", **fields: Any) -> ModelOutput:
    message = ChatMessageAssistant(content=content, **fields)
    choice = ChatCompletionChoice(message=message, stop_reason=stop_reason)
    usage = ModelUsage(input_tokens=7, output_tokens=5, total_tokens=12)
    return ModelOutput(model="mockllm/model", choices=[choice], usage=usage)


def scripted(*answers: ModelOutput | Exception) -> Callable[..., ModelOutput]:
    script = iter(answers)

    def answer(*request: Any) -> ModelOutput:
        one = next(script)
        if isinstance(one, Exception):
            raise one
        return one

    return answer


Run = Callable[..., EvalLog]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a task of one sample, and reads its log from the disk."""

    def run(answers: Callable[..., ModelOutput], solver: Any, **settings: Any) -> EvalLog:
        task = Task(
            dataset=[Sample(QUESTION, target="156")],
            solver=solver,
            scorer=settings.pop("scorer", [match(numeric=True), thinking_reward()]),
        )
        model = get_model("mockllm/model", custom_outputs=answers, memoize=False)
        (log,) = eval(task, model=model, log_dir=str(tmp_path), display="none", **settings)
        return read_eval_log(log.location)

    return run


def sample_of(log: EvalLog) -> EvalSample:
    assert log.status == "success", log.error
    assert log.samples is not None
    (sample,) = log.samples
    return sample


def results_of(sample: EvalSample) -> list[BestOfNResult]:
    found = [(message.metadata or {}).get("me2sdk") for message in sample.messages]
    return [BestOfNResult.model_validate(one) for one in found if one]


def test_the_best_answer_is_the_samples_output_and_the_log_holds_the_rewards(run: Run) -> None:
    log = run(
        scripted(output(BAD), RuntimeError("broken"), output(GOOD)),
        [system_message("Be brief."), best_of_n(n=3)],
    )
    sample = sample_of(log)
    assert sample.output.completion == GOOD
    assert [message.role for message in sample.messages] == ["system", "user", "assistant"]
    (result,) = results_of(sample)
    assert [candidate.response for candidate in result.candidates] == [GOOD, BAD]
    assert [(failure.error, failure.model) for failure in result.failures] == [
        ("RuntimeError", "mockllm/model")
    ]
    assert sample.store["me2sdk_rewards"] == [candidate.score for candidate in result.candidates]
    assert sample.output.usage is not None
    assert (sample.output.usage.total_tokens, sample.model_usage["mockllm/model"].total_tokens) == (24, 24)
    events = [event.output for event in sample.events if isinstance(event, ModelEvent)]
    assert sorted(event.completion for event in events) == ["", GOOD, BAD]
    assert {event.usage.total_tokens for event in events if event.usage} == {12}


def test_the_scorer_gives_the_reward_and_its_mean(run: Run) -> None:
    log = run(scripted(output(GOOD)), generate())
    scores = sample_of(log).scores
    assert scores is not None
    from me2sdk import TRMScorer

    chat = [{"role": "user", "content": QUESTION}]
    assert scores["thinking_reward"].value == pytest.approx(TRMScorer("mini").score(chat, [GOOD])[0])
    assert scores["match"].value == "C"
    assert log.results is not None
    metrics = next(score.metrics for score in log.results.scores if score.name == "thinking_reward")
    assert metrics["mean"].value == scores["thinking_reward"].value
    assert "stderr" in metrics


def test_reasoning_is_what_is_scored_and_a_cut_off_answer_stands_last(run: Run) -> None:
    outputs = [
        output([ContentReasoning(reasoning=BAD), ContentText(text="Done.")]),
        output([ContentReasoning(reasoning=GOOD), ContentText(text="Done, too.")]),
        output([ContentReasoning(reasoning=GOOD), ContentText(text="Done, but")], "max_tokens"),
    ]
    sample = sample_of(run(scripted(*outputs), best_of_n(n=3)))
    assert sample.output.completion == "Done, too."
    (result,) = results_of(sample)
    assert result.best.trace.reasoning == GOOD
    assert [candidate.trace.truncated for candidate in result.candidates] == [False, False, True]


@tool
def double(doubled: list[int]) -> Tool:
    async def execute(a: int) -> int:
        """Twice a number.

        Args:
            a: The number.
        """
        doubled.append(a)
        return 2 * a

    return execute


def call(a: int) -> ModelOutput:
    return output(
        "", "tool_calls", tool_calls=[ToolCall(id=f"call-{a}", function="double", arguments={"a": a})]
    )


class Longest:
    name = "longest"

    def __init__(self) -> None:
        self.questions: list[Any] = []

    def score(self, question: Any, traces: list[Any]) -> list[float]:
        self.questions.append(question)
        return [float(len(trace.reasoning)) for trace in traces]


@solver
def force(name: str) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.tool_choice = ToolFunction(name)
        return state

    return solve


@pytest.mark.parametrize(("tool_calls", "roles"), [("loop", "uata"), ("single", "uat"), ("none", "ua")])
def test_tools_are_called_once_by_the_chosen_answer(run: Run, tool_calls: Any, roles: str) -> None:
    doubled: list[int] = []
    judge, choices = Longest(), []
    answers = scripted(call(1), call(1000), output(BAD), output(GOOD + " Yes, it is 156, and no other."))

    def answer(messages: Any, tools: Any, tool_choice: Any, config: Any) -> ModelOutput:
        choices.append(tool_choice)
        assert config.temperature == 0.7
        return answers()

    chosen = best_of_n(n=2, scorer=judge, tool_calls=tool_calls, temperature=0.7)
    sample = sample_of(
        run(answer, [use_tools(double(doubled)), force("double"), chosen], scorer=match(numeric=True))
    )
    assert "".join(message.role[0] for message in sample.messages) == roles
    assert doubled == ([] if tool_calls == "none" else [1000])
    assert all(isinstance(choice, ToolFunction) for choice in choices[:2])
    if tool_calls == "loop":
        assert sample.output.completion.startswith(GOOD)
        assert choices[2:] == ["auto", "auto"]
        assert len(results_of(sample)) == 2
        function = {"name": "double", "arguments": '{"a": 1000}'}
        assert judge.questions[-1] == [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "call-1000", "function": function}]},
            {"role": "tool", "content": "2000", "tool_call_id": "call-1000"},
        ]


def test_when_all_fail_the_sample_fails_with_the_models_error(run: Run) -> None:
    log = run(scripted(*[RuntimeError("no such thing")] * 2), best_of_n(n=2))
    assert log.status == "error"
    assert log.error is not None
    assert "no such thing" in log.error.message


def test_a_limit_ends_the_sample_with_the_best_of_what_came(run: Run) -> None:
    sample = sample_of(run(scripted(output(BAD), output(GOOD), output(GOOD)), best_of_n(n=3), token_limit=20))
    assert sample.limit is not None
    assert sample.limit.type == "token"
    assert sample.output.completion in (GOOD, BAD)
    assert sample.scores is not None
    assert results_of(sample)[0].failures[0].error == "LimitExceededError"


def test_an_answer_without_text_stays_unscored(run: Run) -> None:
    sample = sample_of(run(scripted(output(""), output("")), best_of_n(n=2), scorer=thinking_reward()))
    assert sample.output.completion == ""
    assert sample.scores is not None
    score = sample.scores["thinking_reward"]
    assert isinstance(score.value, float)
    assert score.value != score.value  # NaN: Inspect leaves it out of the metrics
    assert "holds neither content nor reasoning" in str(score.explanation)


def test_a_model_that_gives_no_choices_counts_as_failed(run: Run) -> None:
    refused = ModelOutput(model="m", error="refused", usage=ModelUsage())
    sample = sample_of(run(scripted(refused, output(GOOD)), best_of_n(n=2)))
    (result,) = results_of(sample)
    assert [failure.stage for failure in result.failures] == ["generate"]
    assert sample.output.completion == GOOD


def test_what_questions_are_made_of() -> None:
    assert as_message(ChatMessageSystem(content="Be brief.")) == {"role": "system", "content": "Be brief."}
    hidden = ContentReasoning(reasoning="c2VjcmV0", summary="A summary.", redacted=True)
    said = as_message(ChatMessageAssistant(content=[hidden, ContentText(text="42")]))
    assert said == {"role": "assistant", "content": "42", "reasoning_content": "A summary."}
    returned = as_message(ChatMessageTool(content="1", tool_call_id="c"))
    assert returned == {"role": "tool", "content": "1", "tool_call_id": "c"}


def test_bad_settings_say_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        best_of_n(n=0)


def test_inspect_finds_them_by_name() -> None:
    code = (
        "from inspect_ai.solver._solver import solver_create; from inspect_ai.scorer._scorer import scorer_create; "
        "solver_create('me2sdk/best_of_n', n=3); scorer_create('me2sdk/thinking_reward'); print('found')"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "found", done.stderr


def test_the_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['inspect_ai'] = None; import me2sdk.adapters.inspect_ai"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert 'Run: pip install "me2sdk[inspect]"' in done.stderr.splitlines()[-1]
