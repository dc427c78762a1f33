"""Spans of what the SDK does, for whoever listens. Where nobody does, a span costs well under a microsecond.

A `Tracer` (``me2sdk.adapters.otel``, ``me2sdk.adapters.mlflow``) hears of spans of four kinds, whose parents follow
from the context in which they start. It is told facts: objects as they are, of which it takes what it wants.

=========  ================  ==============================================  =======================================
kind       name              facts at the start                              facts told later
=========  ================  ==============================================  =======================================
verb       ``best_of_n``, …  the arguments of the verb                       ``result``
candidate  ``candidate``     ``index``                                       ``candidate`` or ``failure``; ``scorer``
call       the model's name  ``messages``, ``params``, ``provider``          ``answer``, ``attempts``, ``seconds``
score      the scorer's      ``question``, ``traces``                        ``scores``
=========  ================  ==============================================  =======================================

``params`` and the arguments of verbs may hold API keys: a tracer passes on what it knows by name, and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar

__all__ = [
    "NOTHING",
    "Candidates",
    "Observer",
    "Span",
    "Tracer",
    "add",
    "remove",
    "silence",
    "span",
    "traced",
]

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)
_lock = threading.Lock()


class Observer(Protocol):
    """One span, as one tracer sees it."""

    def enter(self) -> None:
        """Make it the parent of what starts in this context."""

    def leave(self) -> None:
        """Undo `enter`, in the same context."""

    def tell(self, facts: Mapping[str, Any]) -> None:
        """Learn more about it."""

    def end(self, error: BaseException | None) -> None:
        """It is over; ``error`` is what ended it. Called once, perhaps from another thread or task."""


class Tracer(Protocol):
    """Whoever listens."""

    def start(self, kind: str, name: str, facts: Mapping[str, Any]) -> Observer:
        """A span begins in this context."""


_tracers: tuple[Tracer, ...] = ()
_silent: ContextVar[bool] = ContextVar("me2sdk_silent", default=False)


def add(tracer: Tracer) -> None:
    """Let ``tracer`` hear of every span that starts from now on."""
    global _tracers
    with _lock:
        _tracers = (*(other for other in _tracers if other is not tracer), tracer)


def remove(tracer: Tracer) -> None:
    """Let ``tracer`` hear of no more spans. Those that have started it hears to their end."""
    global _tracers
    with _lock:
        _tracers = tuple(other for other in _tracers if other is not tracer)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """No tracer hears of what happens inside: a rehearsal is no work."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


class Span:
    """Something that takes time. As a context manager it is the parent of what starts inside, and ends with it."""

    __slots__ = ("_ended", "_kept", "_observers")

    def __init__(self, observers: tuple[Observer, ...] = ()) -> None:
        self._observers = observers
        self._kept = self._ended = False

    def tell(self, **facts: Any) -> None:
        """Say more about it, while it lasts."""
        for observer in self._open:
            _safely(observer.tell, facts)

    def kept(self) -> Span:
        """The same span, which leaving does not end, unless by an error."""
        self._kept = True
        return self

    def end(self, error: BaseException | None = None) -> None:
        """End it; the first time counts."""
        ending, self._ended = self._open, True
        for observer in ending:
            _safely(observer.end, error)

    @property
    def _open(self) -> tuple[Observer, ...]:
        return () if self._ended else self._observers

    def __enter__(self) -> Span:
        for observer in self._observers:
            _safely(observer.enter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for observer in reversed(self._observers):
            _safely(observer.leave)
        if error is not None or not self._kept:
            self.end(error)


class _Nothing(Span):
    """The span that nobody hears of."""

    __slots__ = ()

    def tell(self, **facts: Any) -> None:
        pass

    def kept(self) -> Span:
        return self

    def end(self, error: BaseException | None = None) -> None:
        pass

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


NOTHING = _Nothing()


def span(kind: str, name: str, /, **facts: Any) -> Span:
    """A span that starts now."""
    if not _tracers or _silent.get():
        return NOTHING
    started = (_safely(tracer.start, kind, name, facts) for tracer in _tracers)
    return Span(tuple(observer for observer in started if observer is not None))


def _safely(call: Callable[..., T], *args: Any) -> T | None:
    try:
        return call(*args)
    except Exception:  # a fault in what watches must not cost what it watches
        _log.warning("A tracer failed; the span is incomplete.", exc_info=True)
        return None


def traced(
    name: str,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Decorates a verb: its calls are spans, with its arguments and its result for facts."""

    def decorate(verb: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        signature = inspect.signature(verb)

        @functools.wraps(verb)
        async def observed(*args: P.args, **kwargs: P.kwargs) -> T:
            if not _tracers or _silent.get():
                return await verb(*args, **kwargs)
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            with span("verb", name, **given.arguments) as watched:
                result = await verb(*args, **kwargs)
                watched.tell(result=result)
                return result

        return observed

    return decorate


class Candidates:
    """The spans of candidates: each is open from its first call until its score is known."""

    def __init__(self) -> None:
        self._spans: dict[int, Span] = {}

    def start(self, index: int) -> Span:
        """The span of a candidate; leaving it does not end it."""
        one = span("candidate", "candidate", index=index).kept()
        if one is not NOTHING:
            self._spans[index] = one
        return one

    def end(self, index: int, **facts: Any) -> None:
        """The candidate is scored, or has failed. One that was never started starts here."""
        if _tracers or self._spans:
            one = self._spans.get(index) or self.start(index)
            one.tell(**facts)
            one.end()

    def __enter__(self) -> Candidates:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for one in self._spans.values():
            one.end(error)
