"""The solver and the scorer for Inspect."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import takewhile
from typing import Any, Literal

from me2sdk.adapters._shared import Answered, WrapperConfig, abest_native, choice, record, with_model
from me2sdk.adapters.inspect_ai.messages import answered, as_message
from me2sdk.sampling import AnswerKey, Escalate, Stop, arerank
from me2sdk.schema import Select
from me2sdk.scorers import Scorer

try:
    from inspect_ai.model import (
        ChatMessageAssistant,
        GenerateConfig,
        Model,
        ModelOutput,
        ModelUsage,
        execute_tools,
        get_model,
    )
    from inspect_ai.scorer import (
        Score,
        Scorer as InspectScorer,
        Target,
        mean,
        scorer as register_scorer,
        stderr,
    )
    from inspect_ai.solver import Generate, Solver, TaskState, solver
    from inspect_ai.tool import ToolChoice, ToolFunction
    from inspect_ai.util import LimitExceededError
except ImportError as error:
    raise ImportError(
        'me2sdk.adapters.inspect_ai needs Inspect. Run: pip install "me2sdk[inspect]"'
    ) from error

__all__ = ["best_of_n", "thinking_reward"]


@solver
def best_of_n(
    n: int = 8,
    scorer: str | Scorer | None = "mini",
    select: Select = "auto",
    tool_calls: Literal["loop", "single", "none"] = "loop",
    answer: AnswerKey = "auto",
    stop: Stop = None,
    min_confidence: float | None = None,
    escalate: Escalate | Model | str | None = None,
    deadline: float | None = None,
    **config: Any,
) -> Solver:
    """Ask the task's model n times and go on with the best answer, in place of ``generate()``.

    A sample fails, with the first error, only if all n requests fail. If a limit of the sample is reached meanwhile,
    its output is the best of the answers so far.

    Args:
        n: answers to sample per turn, at most.
        scorer: as in `best_of_n` of me2sdk.
        select: as in `best_of_n` of me2sdk.
        tool_calls: as for Inspect's ``generate()``: "loop" asks again, n times per turn, until no tool is called.
        answer: what is compared, as in `best_of_n` of me2sdk, and so are the next four.
        stop: when to stop before all are sampled. Texts at which an answer ends are Inspect's ``stop_seqs``.
        min_confidence: below this the result says that it abstains.
        escalate: the stronger model to ask where the choice is not sure: a model of Inspect, its name, or an
            `Escalate` of one.
        deadline: seconds for each turn, scoring included.
        **config: options of generation, such as ``temperature=0.8``.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    wrapper = WrapperConfig(
        n=n,
        scorer=scorer,
        select=select,
        answer=answer,
        stop=stop,
        min_confidence=min_confidence,
        escalate=escalate,
        deadline=deadline,
        max_concurrency=n,  # Inspect's max_connections bounds the calls in flight
        name_of=str,
    )

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        own = replace(wrapper, model=state.model, escalate=with_model(wrapper.escalation, get_model))
        tool_choice = state.tool_choice

        async def request(model: Any, asked: TaskState) -> ModelOutput:
            # With Inspect's cache all n answers would be the same.
            if isinstance(model, Model):  # the stronger one
                return await model.generate(
                    asked.messages, asked.tools, asked.tool_choice, GenerateConfig(**config), cache=False
                )
            return (await generate(asked, tool_calls="none", cache=False, **config)).output

        while True:
            await _turn(state, request, tool_choice, own)
            if state.completed or tool_calls == "none" or not state.output.message.tool_calls:
                return state
            messages, output = await execute_tools(state.messages, state.tools)
            state.messages.extend(messages)
            state.output = output or state.output
            if state.completed or tool_calls == "single":
                return state
            if isinstance(tool_choice, ToolFunction):
                tool_choice = "auto"  # else the forced call would repeat for ever

    return solve


async def _turn(
    state: TaskState, request: Any, tool_choice: ToolChoice | None, wrapper: WrapperConfig
) -> None:
    """Sample one turn; the best answer becomes the state's output and last message."""
    limits: list[LimitExceededError] = []

    async def ask(model: Any) -> Answered[ModelOutput]:
        own = copy.copy(state)
        own.messages, own.tool_choice = list(state.messages), tool_choice
        try:
            return answered(await request(model, own))
        except LimitExceededError as error:
            limits.append(error)
            raise

    result, best, arrived = await abest_native([as_message(m) for m in state.messages], ask, wrapper)
    usages = [output.usage for output in arrived if output.usage]
    metadata = {**(best.message.metadata or {}), "me2sdk": record(result)}
    # Copies, since the model events of the log hold the originals.
    message = best.message.model_copy(update={"metadata": metadata})
    choices = [best.choices[0].model_copy(update={"message": message}), *best.choices[1:]]
    usage = sum(usages, ModelUsage()) if usages else None
    state.output = best.model_copy(update={"choices": choices, "usage": usage})
    state.messages.append(message)
    state.store.set("me2sdk_rewards", [candidate.score for candidate in result.candidates])
    state.store.set("me2sdk_choice", choice(result))
    if limits:
        raise limits[0]


@register_scorer(metrics=[mean(), stderr()])
def thinking_reward(scorer: str | Scorer = "mini") -> InspectScorer:
    """Score how well the last answer is reasoned: the raw reward of a scorer of me2sdk. The target is not used.

    A sample without text stays unscored. Only differences between rewards of the same scorer mean something.

    Args:
        scorer: as in `best_of_n` of me2sdk.
    """

    async def score(state: TaskState, target: Target) -> Score:
        answer = state.output.message if state.output.choices else ChatMessageAssistant(content="")
        question = [as_message(m) for m in takewhile(lambda m: m.id != answer.id, state.messages)]
        result = await arerank(question or None, [as_message(answer)], scorer=scorer, select="best")
        if not result.candidates:
            return Score(value=float("nan"), explanation=result.failures[0].message)
        best = result.best
        return Score(value=best.score, answer=best.answer, metadata={"scorer": result.scorer})

    return score
