"""`completion`: the drop-in for ``litellm.completion``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError
from me2sdk.llm import LLM, Model, check_options
from me2sdk.sampling.answers import AnswerKey
from me2sdk.sampling.candidates import sample
from me2sdk.sampling.escalation import Escalate
from me2sdk.sampling.select import SelectionConfig
from me2sdk.sampling.stopping import Stop, split_stop
from me2sdk.schema import BestOfNResult, Message, Select
from me2sdk.scorers import Scorer

if TYPE_CHECKING:
    from litellm import ModelResponse

__all__ = ["acompletion", "completion"]


async def acompletion(
    model: str,
    messages: list[Message],
    *,
    best_of: int = 8,
    scorer: str | Scorer | None = "mini",
    select: Select = "auto",
    answer: AnswerKey = "auto",
    stop: Stop | str | list[str] = None,
    min_confidence: float | None = None,
    escalate: Escalate | Model | LLM | None = None,
    deadline: float | None = None,
    n: int | None = None,
    **litellm_kwargs: Any,
) -> ModelResponse:
    """`completion` with ``await``, in place of ``litellm.acompletion``.

    Example:
        ```python
        import asyncio
        from me2sdk import acompletion

        messages = [{"role": "user", "content": "What is 2 + 2?"}]
        call = acompletion("openai/gpt-4o-mini", messages, best_of=2, mock_response="2 + 2 = 4.")
        print(asyncio.run(call).choices[0].message.content)  # 2 + 2 = 4.
        ```
    """
    check_options(completion, litellm_kwargs)
    if litellm_kwargs.pop("stream", False):
        raise ConfigurationError(
            "completion(best_of=…) cannot stream: the best answer is known only at the end."
        )
    if n is not None and not 1 <= n <= best_of:
        raise ConfigurationError(
            f"n is how many of the best_of={best_of} answers to return, so it cannot be {n}."
        )
    stop = split_stop(stop, litellm_kwargs, texts=True)
    selection = SelectionConfig(
        n=best_of,
        scorer=scorer,
        select=select,
        answer=answer,
        stop=stop,
        min_confidence=min_confidence,
        escalate=escalate,
        deadline=deadline,
    )
    retries = litellm_kwargs.pop("num_retries", None)
    retries = litellm_kwargs.pop("max_retries", None) if retries is None else retries
    options: dict[str, Any] = {"timeout": litellm_kwargs.pop("timeout", None), "max_retries": retries}
    llm = LLM(model, **{name: value for name, value in options.items() if value is not None})
    result, raw = await sample(llm, messages, selection, litellm_kwargs)
    kept = result.candidates[:n]
    if any(raw[candidate.index].raw is None for candidate in kept):
        raise ConfigurationError("completion needs a model that LiteLLM calls; for a callable use best_of_n.")
    return _combine(result, [raw[candidate.index].raw for candidate in kept])


def completion(
    model: str,
    messages: list[Message],
    *,
    best_of: int = 8,
    scorer: str | Scorer | None = "mini",
    select: Select = "auto",
    answer: AnswerKey = "auto",
    stop: Stop | str | list[str] = None,
    min_confidence: float | None = None,
    escalate: Escalate | Model | LLM | None = None,
    deadline: float | None = None,
    n: int | None = None,
    **litellm_kwargs: Any,
) -> ModelResponse:
    """Drop-in for ``litellm.completion`` that samples several answers and puts the best-reasoned first.

    Args:
        model: a LiteLLM model string.
        messages: chat messages.
        best_of: answers to sample.
        scorer: as in `best_of_n`.
        select: as in `best_of_n`, and so are the next five.
        answer: what is compared.
        stop: when to stop before all are sampled; any other text, or a list of texts, is LiteLLM's own ``stop``.
        min_confidence: below this the result says that it abstains.
        escalate: the stronger model to ask where the choice is not sure.
        deadline: seconds for the whole call.
        n: how many of the best to return as ``choices``; all by default.
        **litellm_kwargs: everything else that ``litellm.completion`` takes, but ``stream``. ``num_retries``
            and ``timeout`` hold for each answer.

    Returns:
        LiteLLM's own ``ModelResponse``: ``choices[0]`` is the best. ``usage`` counts all answers sampled, and
        ``_hidden_params["me2sdk"]`` is the whole `BestOfNResult`, with ``confidence`` and ``abstained``. Where the
        model refused every time, the refusal comes back as ``litellm.completion`` gives it, in ``message.refusal``.

    Raises:
        GenerationError: no answer came back.
        ConfigurationError: ``stream=True``, n is larger than best_of, or the scorer cannot work.

    Example:
        ```python
        from me2sdk import completion

        response = completion(
            "openai/gpt-4o-mini",
            [{"role": "user", "content": "What is 2 + 2?"}],
            best_of=2,
            mock_response="2 + 2 = 4.",  # LiteLLM's own way to ask no provider
        )
        print(response.choices[0].message.content)  # 2 + 2 = 4.
        ```
    """
    return run_sync(
        acompletion(
            model,
            messages,
            best_of=best_of,
            scorer=scorer,
            select=select,
            answer=answer,
            stop=stop,
            min_confidence=min_confidence,
            escalate=escalate,
            deadline=deadline,
            n=n,
            **litellm_kwargs,
        )
    )


def _combine(result: BestOfNResult, raws: list[ModelResponse]) -> ModelResponse:
    response = raws[0].model_copy(deep=True)
    response.choices = []
    for place, raw in enumerate(raws):
        choice = raw.choices[0].model_copy()
        choice.index = place
        response.choices.append(choice)
    total = result.usage
    usage = getattr(response, "usage", None)
    if usage is not None and total.prompt_tokens is not None and total.completion_tokens is not None:
        usage.prompt_tokens, usage.completion_tokens = total.prompt_tokens, total.completion_tokens
        usage.total_tokens = total.total_tokens
    response._hidden_params = {**response._hidden_params, "response_cost": total.cost, "me2sdk": result}
    return response
