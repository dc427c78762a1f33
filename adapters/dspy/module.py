"""A reward function for DSPy, and an LM that asks another LM n times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from me2sdk.adapters._shared import WrapperConfig
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

    Rewards are the scorer's own numbers; only their differences mean something. ``threshold=float("inf")`` makes all N
    attempts and takes the best; a lower one stops at the first attempt that reaches it.

    Args:
        scorer: as in `best_of_n`.
        question: the input field with the question, or None for all input fields.
        reasoning: the output field that holds the reasoning, or None to read all output fields as the trace.

    Returns:
        A function ``f(args, prediction) -> float``. DSPy counts an error of it as a failed attempt:
        `InvalidTraceError` if there is nothing to score, `ScoringError` if the scorer fails.
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
    """A DSPy LM that asks ``lm`` n times per call and returns the best-reasoned answer.

    DSPy's cache keeps the chosen answer, but is not used for candidates, which would all be the same. The usage of an
    answer is the sum over its candidates. If every call fails, the first error of ``lm`` is raised.

    Args:
        lm: the LM to ask, with its own keys, retries and timeouts. At temperature 0 its answers are all the same.
        n: answers to sample per call.
        scorer: as in `best_of_n`. Its name is part of the key of DSPy's cache.
        select: as in `best_of_n`.
        max_concurrency: most calls of ``lm`` in flight, per answer.
        **kwargs: parameters of each call, such as ``temperature``, which override those of ``lm``; and ``cache``.

    Raises:
        ConfigurationError: ``lm`` is not an LM, n is below 1, or a parameter belongs to ``lm``.
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
        self.lm = lm
        self.config = WrapperConfig(
            n=n, scorer=scorer, select=select, max_concurrency=max_concurrency, model=lm.model
        )
        by = scorer if isinstance(scorer, str) else scorer_name(scorer)
        super().__init__(
            f"me2/best-of-{n}/{by}/{select}/{lm.model}",  # the key of its answers in DSPy's cache
            model_type=lm.model_type,
            cache=kwargs.pop("cache", lm.cache),
            num_retries=0,  # lm retries
            engine=engine.Engine(lm, self.config),
            async_engine=engine.AsyncEngine(lm, self.config),
        )
        self.kwargs = {**{name: lm.kwargs[name] for name in lm.kwargs if name not in CLIENT_KEYS}, **kwargs}

    def dump_state(self) -> dict[str, Any]:
        """The state from which a saved program restores this LM, without keys.

        Raises:
            ConfigurationError: the scorer is an object.
        """
        if not isinstance(self.config.scorer, str):
            raise ConfigurationError(
                "A scorer object cannot be saved. Name the scorer, or save the program without its LM."
            )
        return {
            LM_CLASS_STATE_KEY: f"{type(self).__module__}.{type(self).__qualname__}",
            "lm": self.lm.dump_state(),
            "n": self.config.n,
            "scorer": self.config.scorer,
            "select": self.config.select,
            "max_concurrency": self.config.max_concurrency,
            "cache": self.cache,
            **{name: value for name, value in self.kwargs.items() if self.lm.kwargs.get(name) != value},
        }

    @classmethod
    def load_state(cls, state: dict[str, Any], *, allow_custom_lm_class: bool = False) -> BestOfNLM:
        """The LM of a state from `dump_state`."""
        own = {name: value for name, value in state.items() if name not in ("lm", LM_CLASS_STATE_KEY)}
        return cls(dspy.BaseLM.load_state(state["lm"], allow_custom_lm_class=allow_custom_lm_class), **own)


def results(owner: Any) -> list[BestOfNResult]:
    """The results behind each answer, oldest first, from the history of a `BestOfNLM` or of a module that used one."""
    return [result for entry in owner.history for result in engine.results(entry["response"])]
