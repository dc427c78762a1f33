"""What holds for every adapter that chooses: the same default, the same options, the same report."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply
from support.needs import needs

from me2sdk import BestOfNResult, Escalate, TRMScorer
from me2sdk.adapters._shared import choice

QUESTION = "What is 12 * 13?"
MOST = "12 * 13 = 140, or 12 * 13 = 141. Hmm. The answer is 146."
ODD = "12 * 13 = 120 + 36 = 156. The answer is 156."
OTHER = "12 * 13 = 120 + 39 = 159. The answer is 159."
RIGHT = "12 * 13 = 12 * 10 + 12 * 3. The answer is 156."
TOLD = ("confidence", "chosen_by", "abstained", "answers", "asked", "stopped_early", "escalated")

Told = tuple[str, dict[str, Any]]
"""The text that came back, and the metadata beside it."""
Door = Callable[..., Told]


def langchain(texts: list[str], stronger: list[str], **options: Any) -> Told:
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    from me2sdk.adapters.langchain import BestOfNChatModel

    def model(texts: list[str]) -> Any:
        return GenericFakeChatModel(messages=iter([AIMessage(text) for text in texts]))

    answer = BestOfNChatModel(model=model(texts), **filled(options, model, stronger)).invoke(QUESTION)
    return str(answer.content), answer.response_metadata["me2sdk"]


def llama_index(texts: list[str], stronger: list[str], **options: Any) -> Told:
    from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata

    from me2sdk.adapters.llama_index import BestOfNLLM

    class Recorded(CustomLLM):
        texts: Any

        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(model_name="recorded")

        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
            return CompletionResponse(text=next(self.texts))

        def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            raise NotImplementedError

    def model(texts: list[str]) -> Any:
        return Recorded(texts=iter(texts))

    answer = BestOfNLLM(llm=model(texts), **filled(options, model, stronger)).complete(QUESTION)
    return answer.text, answer.additional_kwargs["me2sdk"]


def dspy(texts: list[str], stronger: list[str], **options: Any) -> Told:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or DSPy downloads prices
    import dspy
    from dspy import lm15

    from me2sdk.adapters.dspy import BestOfNLM, results

    class Recorded:
        def __init__(self, texts: list[str]) -> None:
            self.texts = iter(texts)

        def complete(self, request: lm15.Request) -> lm15.Response:
            message = lm15.Message.assistant([lm15.TextPart(next(self.texts))])
            usage = lm15.Usage(input_tokens=3, output_tokens=2)
            return lm15.Response(id=None, model="m", message=message, finish_reason="stop", usage=usage)

    def model(texts: list[str]) -> Any:
        return dspy.LM("recorded", engine=Recorded(texts), cache=False)

    lm = BestOfNLM(model(texts), **filled(options, model, stronger))
    text = lm(QUESTION)[0]
    return text if isinstance(text, str) else text["text"], results(lm)[0].model_dump()


def pydantic_ai(texts: list[str], stronger: list[str], **options: Any) -> Told:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart
    from pydantic_ai.models.function import FunctionModel

    from me2sdk.adapters.pydantic_ai import BestOfNModel

    def model(texts: list[str]) -> Any:
        script = iter(texts)

        async def answer(messages: Any, info: Any) -> ModelResponse:
            return ModelResponse([TextPart(next(script))])

        return FunctionModel(answer)

    agent = Agent(BestOfNModel(model(texts), **filled(options, model, stronger)))
    run = asyncio.run(agent.run(QUESTION))
    assert run.response.metadata is not None
    return run.output, run.response.metadata["me2sdk"]


def openai_agents(texts: list[str], stronger: list[str], **options: Any) -> Told:
    from agents import Agent, Model, RunConfig, Runner
    from agents.items import ModelResponse
    from agents.usage import Usage
    from openai.types.responses import ResponseOutputMessage, ResponseOutputText

    from me2sdk.adapters.openai_agents import BestOfNModel

    class Recorded(Model):
        def __init__(self, texts: list[str]) -> None:
            self.texts = iter(texts)

        async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
            content = [ResponseOutputText(text=next(self.texts), type="output_text", annotations=[])]
            message = ResponseOutputMessage(
                id="m",
                content=content,  # type: ignore[arg-type]
                role="assistant",
                status="completed",
                type="message",
            )
            return ModelResponse(output=[message], usage=Usage(), response_id=None)

        def stream_response(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    agent = Agent(name="Tutor", model=BestOfNModel(Recorded(texts), **filled(options, Recorded, stronger)))
    run = asyncio.run(Runner.run(agent, QUESTION, run_config=RunConfig(tracing_disabled=True)))
    return run.final_output, run.raw_responses[-1].best_of_n.model_dump()  # type: ignore[attr-defined]


def inspect_ai(texts: list[str], stronger: list[str], **options: Any) -> Told:
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    from me2sdk.adapters.inspect_ai import best_of_n

    def model(texts: list[str]) -> Any:
        outputs = [ModelOutput.from_content("recorded", text) for text in texts]
        for output in outputs:
            output.usage = ModelUsage(input_tokens=7, output_tokens=5)  # else Inspect downloads a tokenizer
        return get_model("mockllm/model", custom_outputs=outputs, memoize=False)

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        solver = best_of_n(**filled(options, model, stronger))
        task = Task(dataset=[Sample(QUESTION)], solver=solver)
        (log,) = eval(task, model=model(texts), display="none", log_format="json")
    finally:  # Inspect puts a handler of its own on the root logger
        root.handlers[:] = handlers
        root.setLevel(level)
        gc.collect()
    assert log.samples is not None, log.error
    (sample,) = log.samples
    assert sample.error is None, sample.error
    told = (sample.messages[-1].metadata or {})["me2sdk"]
    assert sample.store["me2sdk_choice"] == choice(BestOfNResult.model_validate(told))
    return sample.output.completion, told


def litellm_provider(texts: list[str], stronger: list[str], **options: Any) -> Told:
    from me2sdk.adapters.litellm_provider import register, unregister
    from me2sdk.llm import load_litellm

    options = {
        {"n": "best_of", "stop": "stop_sampling"}.get(name, name): value for name, value in options.items()
    }
    register()
    try:
        with OpenAIServer(both(texts, stronger)) as server:
            response = load_litellm().completion(
                "me2/openai/weak",
                [{"role": "user", "content": QUESTION}],
                api_base=server.url,
                api_key="sk-test",
                **filled(options, lambda texts: "openai/strong", stronger),
            )
    finally:
        unregister()
    return response.choices[0].message.content, response._hidden_params["me2sdk"].model_dump()


def openai_server(texts: list[str], stronger: list[str], **options: Any) -> Told:
    import openai

    from me2sdk.adapters.openai_server import ServerConfig, serving

    names = {"n": "best_of", "stop": "stop_sampling"}
    body = {names.get(name, name): value for name, value in options.items()}
    with OpenAIServer(both(texts, stronger)) as upstream:
        config = ServerConfig(
            models={"weak": "openai/weak", "strong": "openai/strong"},
            params={"api_base": upstream.url, "api_key": "sk-test"},
            port=0,
        )
        with serving(config) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
            answer = client.chat.completions.create(
                model="weak",
                messages=[{"role": "user", "content": QUESTION}],
                extra_body=filled(body, lambda texts: "strong", stronger),
            )
    assert answer.model_extra is not None
    return str(answer.choices[0].message.content), answer.model_extra["me2"]


def filled(options: dict[str, Any], model: Callable[[list[str]], Any], stronger: list[str]) -> dict[str, Any]:
    """The options, with a stronger model of the framework where there are texts for one."""
    wrap = options.pop("wrap", lambda model: model)
    return {**options, **({"escalate": wrap(model(stronger))} if stronger else {})}


def both(texts: list[str], stronger: list[str]) -> Callable[[Any], Any]:
    scripts = {"weak": iter(texts), "strong": iter(stronger)}

    def behave(request: Any) -> Any:
        script = scripts[request.body["model"]]
        return Reply([next(script) for _ in range(request.body.get("n", 1))])

    return behave


WRAPPERS = [
    pytest.param(langchain, marks=needs("langchain_core"), id="langchain"),
    pytest.param(llama_index, marks=needs("llama_index"), id="llama_index"),
    pytest.param(dspy, marks=needs("dspy"), id="dspy"),
    pytest.param(pydantic_ai, marks=needs("pydantic_ai"), id="pydantic_ai"),
    pytest.param(openai_agents, marks=needs("agents"), id="openai_agents"),
    pytest.param(
        inspect_ai,
        marks=[
            needs("inspect_ai"),
            pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
            pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
        ],
        id="inspect_ai",
    ),
]
DOORS = [
    *WRAPPERS,
    pytest.param(litellm_provider, id="litellm_provider"),
    pytest.param(openai_server, marks=needs("starlette"), id="openai_server"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where Inspect writes its log


def test_the_odd_answer_has_the_better_reward() -> None:
    odd, most = TRMScorer("mini").score(QUESTION, [ODD, MOST])
    assert odd > most


@pytest.mark.parametrize("door", DOORS)
def test_agreement_decides_where_nothing_is_said_and_the_metadata_say_how_sure_it_is(door: Door) -> None:
    text, told = door([MOST, ODD, MOST], [], n=3)
    assert text == MOST
    assert told["select"] == "auto"
    assert set(TOLD) <= set(told)
    assert 0 < told["confidence"] < 1
    assert told["chosen_by"] == "agreement and reward"
    assert [(one["text"], one["votes"]) for one in told["answers"]] == [("146", 2), ("156", 1)]
    assert (told["asked"], told["stopped_early"], told["escalated"], told["abstained"]) == (
        3,
        False,
        False,
        False,
    )


@pytest.mark.parametrize("door", DOORS)
def test_the_reward_decides_where_it_is_asked_to(door: Door) -> None:
    text, told = door([MOST, ODD, MOST], [], n=3, select="best")
    assert (text, told["chosen_by"]) == (ODD, "reward")


@pytest.mark.parametrize("door", DOORS)
def test_sampling_ends_early_where_nothing_can_change_the_choice(door: Door) -> None:
    text, told = door([MOST, MOST, ODD], [], n=3, stop="sure")
    assert (text, told["asked"], told["stopped_early"]) == (MOST, 2, True)


@pytest.mark.parametrize("door", DOORS)
def test_what_is_compared_can_be_said(door: Door) -> None:
    _, told = door([MOST, f"{MOST} ", OTHER], [], n=3, answer="text")
    assert [one["votes"] for one in told["answers"]] == [2, 1]
    assert told["answers"][0]["text"] == MOST.casefold()


@pytest.mark.parametrize("door", DOORS)
def test_a_choice_that_is_not_sure_enough_abstains_and_comes_all_the_same(door: Door) -> None:
    text, told = door([MOST, ODD, MOST], [], n=3, min_confidence=1.0)
    assert (text, told["abstained"]) == (MOST, True)


@pytest.mark.parametrize("door", DOORS)
def test_a_stronger_model_is_asked_where_the_choice_is_not_sure(door: Door) -> None:
    text, told = door([MOST, ODD, OTHER], [RIGHT], n=3)
    assert (told["escalated"], told["asked"]) == (True, 4)
    assert text in (ODD, RIGHT)
    assert told["answers"][0]["text"] == "156"


@pytest.mark.parametrize("door", DOORS)
def test_no_stronger_model_is_asked_where_the_choice_is_sure(door: Door) -> None:
    _, told = door([MOST] * 8, [RIGHT], n=8, min_confidence=0.01)
    assert (told["escalated"], told["asked"]) == (False, 8)


@pytest.mark.parametrize("door", WRAPPERS)
def test_how_often_a_stronger_model_is_asked_can_be_said(door: Door) -> None:
    _, told = door([MOST] * 3, [RIGHT] * 2, n=3, wrap=lambda model: Escalate(model, n=2, below=1))
    assert (told["escalated"], told["asked"]) == (True, 5)


@pytest.mark.parametrize("door", WRAPPERS)
def test_parameters_of_a_stronger_model_are_its_own(door: Door) -> None:
    with pytest.raises(ValueError, match="has its own parameters"):
        door([MOST], [RIGHT], n=1, wrap=lambda model: Escalate(model, params={"temperature": 0}))


@pytest.mark.parametrize("door", WRAPPERS)
def test_a_setting_that_cannot_work_is_refused_before_anything_is_asked(door: Door) -> None:
    for options in ({"stop": 2.0}, {"answer": "nothing"}, {"min_confidence": 0}, {"deadline": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            door([], [], **options)
