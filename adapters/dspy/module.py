"""Rewards for DSPy's optimisers of samples, and an LM that asks another one n times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from me2sdk.adapters._shared import Settings
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.sampling import rerank
from me2sdk.schema import BestOfNResult, Select
from me2sdk.scorers import Scorer, scorer_name

try:
    import dspy
    from dspy.clients.backend_selection import CLIENT_KEYS
    from dspy.clients.base_lm import LM_CLASS_STATE_KEY
except ImportError as error:
    raise ImportError(
        'me2sdk.adapters.dspy needs DSPy 3.4 or newer. Run: pip install "me2sdk[dspy]"'
    ) from error

from me2sdk.adapters.dspy import engine
from me2sdk.adapters.dspy.messages import as_message

__all__ = ["BestOfNLM", "results", "thinking_reward"]


def thinking_reward(
    scorer: str | Scorer = "mini", question: str | None = None, reasoning: str | None = "reasoning"
) -> Callable[[dict[str, Any], Any], float]:
    """A reward function for ``dspy.BestOfN`` and ``dspy.Refine``: how well a prediction was reasoned.

    Rewards are the scorer's own: any number, of which only differences mean something. ``threshold=float("inf")`` makes
    all N attempts and takes the best; a lower one ends the search at the first attempt that reaches it.

    Args:
        scorer: as in `best_of_n`.
        question: the input field that asks, or None for all input fields.
        reasoning: the output field that holds the reasoning, or None to read all output fields as the trace.

    Returns:
        ``f(args, prediction) -> float``. What it raises counts as a failed attempt: `InvalidTraceError` where
        there is nothing to score, `ScoringError` where the scorer fails.
    """

    def reward(args: dict[str, Any], prediction: Any) -> float:
        fields = "\n".join(f"{name}: {value}" for name, value in args.items())
        asked = str(args[question]) if question else fields
        outputs = {name: str(value) for name, value in prediction.items() if value is not None}
        if reasoning is not None and reasoning not in outputs:
            raise InvalidTraceError(
                f"The prediction has no field {reasoning!r}, only {', '.join(outputs) or 'none'}. Use "
                "dspy.ChainOfThought, or name the field that reasons: thinking_reward(reasoning=...)."
            )
        result = rerank(asked, [as_message(outputs, reasoning)], scorer=scorer)
        if not result.candidates or result.best.score is None:
            raise InvalidTraceError(f"The prediction cannot be scored: {result.failures[0].message}")
        return result.best.score

    return reward


class BestOfNLM(dspy.LM):  # type: ignore[misc]
    """A DSPy LM that asks ``lm`` n times for each call and answers with the best-reasoned one.

    DSPy's cache holds the chosen answer; candidates are always asked for anew, or all would be the same cached one. An
    answer's usage is the sum over its candidates. If every call fails, the first error of ``lm`` is raised.

    Args:
        lm: the LM to ask, with its own keys, retries and timeouts. At temperature 0 its answers are all the same.
        n: answers to sample for each call.
        scorer: as in `best_of_n`. Its name is part of the key of DSPy's cache.
        select: as in `best_of_n`.
        max_concurrency: calls of ``lm`` in flight at most, for one answer.
        **kwargs: parameters of each call, such as ``temperature``, over those of ``lm``; ``cache``.

    Raises:
        ConfigurationError: ``lm`` is no LM, n is below 1, or a parameter belongs to ``lm``.
    """

    def __init__(
        self,
        lm: Any,
        n: int = 8,
        scorer: str | Scorer = "mini",
        select: Select = "best",
        max_concurrency: int = 16,
        **kwargs: Any,
    ) -> None:
        if not isinstance(lm, dspy.BaseLM):
            raise ConfigurationError(f"lm must be a DSPy LM such as dspy.LM(...), not a {type(lm).__name__}.")
        if foreign := CLIENT_KEYS.intersection(kwargs):
            raise ConfigurationError(
                f"{', '.join(sorted(foreign))}: pass what opens the connection to lm itself."
            )
        self.lm, self.choice = lm, Settings(n, scorer, select, max_concurrency, lm.model)
        by = scorer if isinstance(scorer, str) else scorer_name(scorer)
        super().__init__(
            f"me2/best-of-{n}/{by}/{select}/{lm.model}",  # tells its answers from others in DSPy's cache
            model_type=lm.model_type,
            cache=kwargs.pop("cache", lm.cache),
            num_retries=0,  # lm makes them
            engine=engine.Engine(lm, self.choice),
            async_engine=engine.AsyncEngine(lm, self.choice),
        )
        self.kwargs = {**{name: lm.kwargs[name] for name in lm.kwargs if name not in CLIENT_KEYS}, **kwargs}

    def dump_state(self) -> dict[str, Any]:
        """What a saved program needs to make this LM again, without keys.

        Raises:
            ConfigurationError: the scorer is an object.
        """
        if not isinstance(self.choice.scorer, str):
            raise ConfigurationError(
                "A scorer object cannot be saved. Name the scorer, or save the program without its LM."
            )
        return {
            LM_CLASS_STATE_KEY: f"{type(self).__module__}.{type(self).__qualname__}",
            "lm": self.lm.dump_state(),
            "n": self.choice.n,
            "scorer": self.choice.scorer,
            "select": self.choice.select,
            "max_concurrency": self.choice.max_concurrency,
            "cache": self.cache,
            **{name: value for name, value in self.kwargs.items() if self.lm.kwargs.get(name) != value},
        }

    @classmethod
    def load_state(cls, state: dict[str, Any], *, allow_custom_lm_class: bool = False) -> BestOfNLM:
        """The LM that `dump_state` described."""
        own = {name: value for name, value in state.items() if name not in ("lm", LM_CLASS_STATE_KEY)}
        return cls(dspy.BaseLM.load_state(state["lm"], allow_custom_lm_class=allow_custom_lm_class), **own)


def results(owner: Any) -> list[BestOfNResult]:
    """How each answer was chosen, oldest first: from the history of a `BestOfNLM` or of a module that used one."""
    return [result for entry in owner.history for result in engine.results(entry["response"])]
