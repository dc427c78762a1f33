"""Best of n for Pydantic AI: a model that asks another model n times and returns its best answer.

::

    agent = Agent(BestOfNModel("openai:gpt-4o-mini", n=8))
    run = agent.run_sync("What is 12 * 13?")
    BestOfNResult.model_validate(run.response.metadata["me2sdk"])   # candidates with rewards, confidence, failures

The metadata of each `ModelResponse` holds the result as JSON values, so that it is stored with the history. The
questions are left out, since the history holds them anyway.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Self

from me2sdk.adapters._shared import Answered, WrapperConfig, abest_native, finished, record, with_model
from me2sdk.sampling import AnswerKey, Escalate, Stop
from me2sdk.schema import Message, Select
from me2sdk.scorers import Scorer
from me2sdk.traces import refusal_of

try:
    from pydantic_ai import RunContext
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolReturnPart, UserPromptPart
    from pydantic_ai.models import (
        CompletedStreamedResponse,
        Model,
        ModelRequestParameters,
        StreamedResponse,
        infer_model,
    )
    from pydantic_ai.models.wrapper import WrapperModel
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.usage import RequestUsage
except ImportError as error:
    raise ImportError(
        'me2sdk.adapters.pydantic_ai needs Pydantic AI. Run: pip install "me2sdk[pydantic-ai]"'
    ) from error

__all__ = ["BestOfNModel"]


class BestOfNModel(WrapperModel):
    """Asks ``wrapped`` n times for each request and returns its best answer.

    The answer's usage is the sum over all answers that came back. If every request fails, the first error of the
    wrapped model is raised, so that a ``FallbackModel`` around this one goes on to its next model. A streamed
    request yields the events of the chosen answer, after it is chosen.

    Args:
        wrapped: a model, or its name such as "openai:gpt-4o-mini". Its settings, retries and timeouts hold.
        n: answers to sample per request, at most.
        scorer: as in `best_of_n`, and so are the next six.
        select: how the best is chosen.
        answer: what is compared.
        stop: when to stop before all are sampled. Texts at which an answer ends are the setting ``stop_sequences``.
        min_confidence: below this the result says that it abstains.
        escalate: the stronger model to ask where the choice is not sure: a model, its name, or an `Escalate` of one.
        deadline: seconds for each answer, scoring included.
        max_concurrency: most requests in flight, per answer.

    Raises:
        ConfigurationError: a setting cannot work.
    """

    def __init__(
        self,
        wrapped: Model | str,
        *,
        n: int = 8,
        scorer: str | Scorer | None = "mini",
        select: Select = "auto",
        answer: AnswerKey = "auto",
        stop: Stop = None,
        min_confidence: float | None = None,
        escalate: Escalate | Model | str | None = None,
        deadline: float | None = None,
        max_concurrency: int = 16,
    ) -> None:
        super().__init__(wrapped)
        self._config = WrapperConfig(
            n=n,
            scorer=scorer,
            select=select,
            answer=answer,
            stop=stop,
            min_confidence=min_confidence,
            escalate=with_model(escalate, infer_model),
            deadline=deadline,
            max_concurrency=max_concurrency,
            model=self.wrapped,
            name_of=lambda model: model.model_name,
        )

    async def __aenter__(self) -> Self:
        """Open the wrapped model, and the stronger one; called by Pydantic AI."""
        await super().__aenter__()
        if self._config.stronger is not None:
            await self._config.stronger.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        """Close both."""
        if self._config.stronger is not None:
            await self._config.stronger.__aexit__(*error)
        return await super().__aexit__(*error)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask n times and return the best answer; called by Pydantic AI."""

        async def ask(model: Model) -> Answered[ModelResponse]:
            response = await model.request(messages, model_settings, model_request_parameters)
            if response.state == "suspended":
                await model.cancel_suspended_response(response)
                raise UserError(
                    "Answers that are continued later cannot be ranked. Turn background mode off."
                )
            return _answered(response)

        result, best, arrived = await abest_native(_chat(messages), ask, self._config)
        usage = sum((response.usage for response in arrived), RequestUsage())
        return replace(best, usage=usage, metadata={**(best.metadata or {}), "me2sdk": record(result)})

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """The best answer of n as a stream; called by Pydantic AI."""
        response = await self.request(messages, model_settings, model_request_parameters)
        yield CompletedStreamedResponse(
            response, model_request_parameters=model_request_parameters, replay_events=True
        )


def _answered(response: ModelResponse) -> Answered[ModelResponse]:
    sent, received = response.usage.input_tokens, response.usage.output_tokens
    known = not getattr(response.usage, "unmeasured_requests", 0)  # older versions do not have it
    tokens = {"prompt_tokens": sent, "completion_tokens": received} if known else {}
    # Pydantic AI reports a refusal as filtered content.
    native = finished((response.provider_details or {}).get("finish_reason"))
    reason = native if refusal_of({}, native) is not None else response.finish_reason
    return Answered(response, _assistant(response), finish_reason=reason, **tokens)


def _assistant(response: ModelResponse) -> Message:
    calls = [
        {"id": c.tool_call_id, "function": {"name": c.tool_name, "arguments": c.args_as_json_str()}}
        for c in response.tool_calls
    ]
    fields = {"reasoning_content": response.thinking, "tool_calls": calls}
    return {"role": "assistant", "content": response.text, **{k: v for k, v in fields.items() if v}}


def _chat(messages: Sequence[ModelMessage]) -> list[Message] | str:
    """The history as chat messages in OpenAI's form; images and other files are skipped."""
    instructions = [m.instructions for m in messages if isinstance(m, ModelRequest) and m.instructions]
    chat: list[Message] = [{"role": "system", "content": text} for text in instructions[-1:]]
    for message in messages:
        chat += [_assistant(message)] if isinstance(message, ModelResponse) else map(_turn, message.parts)
    return [turn for turn in chat if turn["content"] or "tool_calls" in turn] or ""


def _turn(part: Any) -> Message:
    if isinstance(part, ToolReturnPart):
        return {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response_str()}
    content = getattr(part, "content", None)
    if isinstance(part, UserPromptPart) and not isinstance(content, str):
        texts = (item if isinstance(item, str) else getattr(item, "content", None) for item in part.content)
        content = "\n".join(text for text in texts if isinstance(text, str))
    role = "system" if part.part_kind == "system-prompt" else "user"
    return {"role": role, "content": content if isinstance(content, str) else ""}
