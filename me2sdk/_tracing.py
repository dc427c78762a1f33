"""Spans of what the SDK does, for tracers. Where there is none, a span costs well under a microsecond.

A `Tracer` (``me2sdk.adapters.otel``, ``me2sdk.adapters.mlflow``) gets spans of four kinds, whose parents follow
from the context in which they start. Tracers receive the raw objects and pick the attributes they need.

=========  ================  ==============================================  =======================================
kind       name              facts at the start                              facts recorded later
=========  ================  ==============================================  =======================================
verb       ``best_of_n``, …  the arguments of the verb                       ``result``
candidate  ``candidate``     ``index``                                       ``candidate`` or ``failure``; ``scorer``
call       the model's name  ``messages``, ``params``, ``provider``          ``answer``, ``attempts``, ``seconds``
score      the scorer's      ``question``, ``traces``                        ``scores``
=========  ================  ==============================================  =======================================

``params`` and the arguments of verbs may hold API keys: a tracer exports what it knows by name, and nothing else.
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
    "CandidateSpans",
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

    def record(self, facts: Mapping[str, Any]) -> None:
        """Add facts to it."""

    def end(self, error: BaseException | None) -> None:
        """End it; ``error`` is what ended it, if one did. Called once, perhaps from another thread or task."""


class Tracer(Protocol):
    """What spans are sent to."""

    def start(self, kind: str, name: str, facts: Mapping[str, Any]) -> Observer:
        """Start a span in this context."""


_tracers: tuple[Tracer, ...] = ()
_silent: ContextVar[bool] = ContextVar("me2sdk_silent", default=False)


def add(tracer: Tracer) -> None:
    """Send every span that starts from now on to ``tracer``."""
    global _tracers
    with _lock:
        _tracers = (*(other for other in _tracers if other is not tracer), tracer)


def remove(tracer: Tracer) -> None:
    """Send no more spans to ``tracer``. It still gets the ends of those that have started."""
    global _tracers
    with _lock:
        _tracers = tuple(other for other in _tracers if other is not tracer)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Send no spans of what happens inside to any tracer, as in a dry run."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


class Span:
    """Something that takes time. As a context manager it is the parent of what starts inside, and ends with it."""

    __slots__ = ("_detached", "_ended", "_observers")

    def __init__(self, observers: tuple[Observer, ...] = ()) -> None:
        self._observers = observers
        self._detached = self._ended = False

    def record(self, **facts: Any) -> None:
        """Add facts to it, as long as it has not ended."""
        for observer in self._open:
            _safely(observer.record, facts)

    def detach(self) -> Span:
        """The same span, which leaving it does not end, except by an error."""
        self._detached = True
        return self

    def end(self, error: BaseException | None = None) -> None:
        """End it; only the first time counts."""
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
        if error is not None or not self._detached:
            self.end(error)


class _Nothing(Span):
    """The span that no tracer gets."""

    __slots__ = ()

    def record(self, **facts: Any) -> None:
        pass

    def detach(self) -> Span:
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
    except Exception:  # a fault of a tracer must not cost the work that it traces
        _log.warning("A tracer failed; the span is incomplete.", exc_info=True)
        return None


def traced(
    name: str,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Decorates a verb: its calls become spans, with its arguments and its result as facts."""

    def decorate(verb: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        signature = inspect.signature(verb)

        @functools.wraps(verb)
        async def observed(*args: P.args, **kwargs: P.kwargs) -> T:
            if not _tracers or _silent.get():
                return await verb(*args, **kwargs)
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            with span("verb", name, **given.arguments) as own_span:
                result = await verb(*args, **kwargs)
                own_span.record(result=result)
                return result

        return observed

    return decorate


class CandidateSpans:
    """The spans of candidates: each lasts from the first call until the score is known."""

    def __init__(self) -> None:
        self._spans: dict[int, Span] = {}

    def start(self, index: int) -> Span:
        """The span of a candidate; leaving it does not end it."""
        one = span("candidate", "candidate", index=index).detach()
        if one is not NOTHING:
            self._spans[index] = one
        return one

    def end(self, index: int, **facts: Any) -> None:
        """End the span of a candidate that is scored or has failed. If it was never started, it starts here."""
        if _tracers or self._spans:
            one = self._spans.get(index) or self.start(index)
            one.record(**facts)
            one.end()

    def __enter__(self) -> CandidateSpans:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for one in self._spans.values():
            one.end(error)
