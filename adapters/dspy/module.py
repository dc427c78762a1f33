"""A reward function for DSPy, and an LM that asks another LM n times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from me2sdk.adapters._shared import WrapperConfig, with_model
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.sampling import AnswerKey, Escalate, Stop, rerank
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
        result = rerank(asked, [as_message(outputs, reasoning)], scorer=scorer, select="best")
        if not result.candidates or result.best.score is None:
            raise InvalidTraceError(f"The prediction cannot be scored: {result.failures[0].message}")
        return result.best.score

    return reward


class BestOfNLM(dspy.LM):  # type: ignore[misc]
    """A DSPy LM that asks ``lm`` n times per call and returns the best answer.

    DSPy's cache keeps the chosen answer, but is not used for candidates, which would all be the same. The usage of an
    answer is the sum over its candidates. If every call fails, the first error of ``lm`` is raised.

    Args:
        lm: the LM to ask, with its own keys, retries and timeouts. At temperature 0 its answers are all the same.
        n: answers to sample per call, at most.
        scorer: as in `best_of_n`. Its name is part of the key of DSPy's cache.
        select: as in `best_of_n`.
        max_concurrency: most calls of an LM in flight, per answer.
        answer: what is compared, as in `best_of_n`, and so are the next four.
        stop: when to stop before all are sampled. A list of texts is the parameter of each call, as is the ``stop`` of
            a call: texts at which an answer ends.
        min_confidence: below this the result says that it abstains.
        escalate: the stronger LM to ask where the choice is not sure, or an `Escalate` of one.
        deadline: seconds for each answer, scoring included.
        **kwargs: parameters of each call, such as ``temperature``, which override those of ``lm``; and ``cache``.

    Raises:
        ConfigurationError: ``lm`` is not an LM, a setting cannot work, or a parameter belongs to ``lm``.
    """

    def __init__(
        self,
        lm: Any,
        n: int = 8,
        scorer: str | Scorer | None = "mini",
        select: Select = "auto",
        max_concurrency: int = 16,
        *,
        answer: AnswerKey = "auto",
        stop: Stop | list[str] = None,
        min_confidence: float | None = None,
        escalate: Any = None,
        deadline: float | None = None,
        **kwargs: Any,
    ) -> None:
        if foreign := CLIENT_KEYS.intersection(kwargs):
            raise ConfigurationError(
                f"{', '.join(sorted(foreign))}: pass what opens the connection to lm itself."
            )
        if isinstance(stop, list | tuple):
            kwargs["stop"], stop = stop, None
        self.lm = _checked(lm, "lm")
        self.config = WrapperConfig(
            n=n,
            scorer=scorer,
            select=select,
            answer=answer,
            stop=stop,
            min_confidence=min_confidence,
            escalate=with_model(escalate, lambda stronger: _checked(stronger, "escalate")),
            deadline=deadline,
            max_concurrency=max_concurrency,
            model=lm,
            name_of=lambda one: str(one.model),
        )
        super().__init__(
            _name(self.config),
            model_type=lm.model_type,
            cache=kwargs.pop("cache", lm.cache),
            num_retries=0,  # lm retries
            engine=engine.Engine(self.config),
            async_engine=engine.AsyncEngine(self.config),
        )
        self.kwargs = {**{name: lm.kwargs[name] for name in lm.kwargs if name not in CLIENT_KEYS}, **kwargs}

    def dump_state(self) -> dict[str, Any]:
        """The state from which a saved program restores this LM, without keys.

        Raises:
            ConfigurationError: the scorer is an object, or what is compared or when to stop is a function.
        """
        config, stronger = self.config, self.config.escalation
        for name in ("scorer", "answer", "stop"):
            if not isinstance(getattr(config, name), str | float | int | None):
                raise ConfigurationError(
                    f"A {name} object cannot be saved. Name the {name}, or save the program without its LM."
                )
        plain = ("n", "scorer", "select", "max_concurrency", "answer", "min_confidence", "deadline")
        return {
            LM_CLASS_STATE_KEY: f"{type(self).__module__}.{type(self).__qualname__}",
            "lm": self.lm.dump_state(),
            **{name: getattr(config, name) for name in plain},
            **({"escalate": _state(stronger)} if stronger else {}),
            **({"stop": config.stop} if config.stop is not None else {}),
            "cache": self.cache,
            **{name: value for name, value in self.kwargs.items() if self.lm.kwargs.get(name) != value},
        }

    @classmethod
    def load_state(cls, state: dict[str, Any], *, allow_custom_lm_class: bool = False) -> BestOfNLM:
        """The LM of a state from `dump_state`."""

        def load(one: dict[str, Any]) -> Any:
            return dspy.BaseLM.load_state(one, allow_custom_lm_class=allow_custom_lm_class)

        own = {name: value for name, value in state.items() if name not in ("lm", LM_CLASS_STATE_KEY)}
        if stronger := own.get("escalate"):
            own["escalate"] = Escalate(**{**stronger, "model": load(stronger["model"])})
        return cls(load(state["lm"]), **own)


def _checked(lm: Any, name: str) -> Any:
    if not isinstance(lm, dspy.BaseLM):
        raise ConfigurationError(f"{name} must be a DSPy LM such as dspy.LM(...), not a {type(lm).__name__}.")
    return lm


def _state(stronger: Escalate) -> dict[str, Any]:
    lm: Any = stronger.model
    return {"model": lm.dump_state(), "n": stronger.n, "below": stronger.below}


def _name(config: WrapperConfig) -> str:
    """The model's name, by which DSPy's cache tells the answers of different settings apart."""
    scorer, stronger = config.scorer, config.escalation
    by = scorer if isinstance(scorer, str | None) else scorer_name(scorer)
    others = {name: getattr(config, name) for name in ("answer", "stop", "min_confidence", "deadline")}
    if stronger is not None:
        others["escalate"] = f"{config.name_of(stronger.model)}x{stronger.n}<{stronger.below}"
    said = [
        f"{name}={getattr(value, '__qualname__', value)}"
        for name, value in others.items()
        if value is not None and value != "auto"
    ]
    return "/".join([f"me2/best-of-{config.n}", str(by), config.select, *said, config.model.model])


def results(owner: Any) -> list[BestOfNResult]:
    """The results behind each answer, oldest first, from the history of a `BestOfNLM` or of a module that used one."""
    return [result for entry in owner.history for result in engine.results(entry["response"])]
