"""`RemoteTRMScorer`: a Thinking Reward Model behind SGLang, vLLM or Text Embeddings Inference."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any, Literal, get_args

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError, ScoringError
from me2sdk.schema import Scores, Trace
from me2sdk.scorers.base import Questions, Scorer, read_inputs
from me2sdk.scorers.remote.inputs import ScoringRequest, ServerInputs, choose_template
from me2sdk.scorers.remote.protocols import PROTOCOLS
from me2sdk.scorers.remote.replicas import Replica, ReplicaFailed, advice, clean_url
from me2sdk.scorers.text import Reads, Template, check_reading, usual_reads
from me2sdk.stats import sigmoid

if TYPE_CHECKING:
    import httpx

__all__ = ["RemoteTRMScorer"]

_log = logging.getLogger(__name__)
Api = Literal["sglang", "vllm", "tei"]
_ROUNDS = 2
_ROUND_PAUSE = 0.5  # seconds before every replica is tried once more
_ASIDE = 30.0  # seconds for which a replica that failed is tried last


@dataclass
class _Session:
    """What belongs to one event loop: connections and the limit on requests in flight."""

    client: httpx.AsyncClient
    slots: asyncio.Semaphore


class RemoteTRMScorer:
    """Score reasoning traces with a reward model that a server holds (paper §5.1).

    The servers get what `TRMScorer` reads (``question + "\\n" + reasoning``, or a chat) and answer with raw logits. How
    to start them:

    - SGLang: ``python -m sglang.launch_server --model-path zzzhr97/TRM-8B --is-embedding``
      (``/v1/embeddings``)
    - vLLM: ``vllm serve zzzhr97/TRM-8B --runner pooling`` (``/classify``, which is asked for no activation)
    - Text Embeddings Inference: ``text-embeddings-router --model-id …`` (``/predict``, asked for raw scores)

    Do not let a server truncate: it would cut the end, where the reward is read. A text that is too long for
    the server is an error here. Run `check` once against known scores to be sure that a server answers what
    `TRMScorer` would.

    With several base URLs, batches go round-robin. A replica that cannot be reached, times out, or answers
    408, 429 or 5xx is put aside for 30 seconds and its batch goes to the next one; every replica is tried at
    most twice.

    Args:
        base_url: where the server listens, such as "http://localhost:30000" (with or without "/v1"), or a
            list of such URLs that serve the same model.
        model: name of the served model. None sends "default" to SGLang, and no name to the others.
        api: "sglang", "vllm" or "tei".
        api_key: sent as a bearer token; appears in no log, error or ``repr``.
        timeout: seconds for one request, from sending it to the end of the answer.
        max_concurrency: most requests in flight at a time (for each event loop that uses the scorer).
        batch_size: most traces in one request.
        reference: a scorer of the same model, such as ``TRMScorer("…")``, with which the server is compared on eight
            fixed traces before its first score; a server that would choose otherwise is then an error. ``me2 parity``
            is the long form.
        reads: the part of a trace that is scored, as for `TRMScorer`: None takes the reasoning for plain text, and both
            reasoning and response for a chat.
        template: "plain" for the question, a line break and the trace; "chat" for question and answer in the model's
            chat template. vLLM (0.13 or later) applies its own, one trace in each request; SGLang is sent token ids,
            for which ``tokenizer`` is needed; Text Embeddings Inference cannot be sent chats. A server does not tell
            which it needs, so "auto" takes "chat" where there is a tokenizer and else "plain", with a warning if
            ``model`` names one that is not known to read it.
        tokenizer: hub name or folder of the served model's tokenizer, for chats to SGLang (needs transformers).

    Attributes:
        reads: what is read.
        template: "plain" or "chat".

    Raises:
        ConfigurationError: an argument cannot work.

    Example:
        ```python
        from me2sdk import RemoteTRMScorer, ScoringError, rerank

        scorer = RemoteTRMScorer("http://127.0.0.1:9", api="vllm")  # where your server listens
        try:
            rerank("What is 3 + 4?", ["3 + 4 = 7.", "3 + 4 = 8."], scorer=scorer, select="best")
        except ScoringError as error:  # nothing listens there
            print(len(error.partial.candidates))  # 2
        ```
    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        *,
        model: str | None = None,
        api: Api = "sglang",
        api_key: str | None = None,
        timeout: float = 60.0,
        max_concurrency: int = 8,
        batch_size: int = 16,
        reference: Scorer | None = None,
        reads: Reads | None = None,
        template: Template = "auto",
        tokenizer: str | None = None,
    ) -> None:
        check_reading(reads, template)
        if api not in get_args(Api):
            raise ConfigurationError(f'api is "sglang", "vllm" or "tei", not {api!r}.')
        for name, value in (("max_concurrency", max_concurrency), ("batch_size", batch_size)):
            if value < 1:
                raise ConfigurationError(f"{name} is at least 1, not {value}.")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            # Refused here, since the error of the HTTP library would show the key.
            raise ConfigurationError(
                "api_key holds characters that a header cannot carry, such as a line break."
            )
        if not timeout > 0:
            raise ConfigurationError(f"timeout is a positive number of seconds, not {timeout}.")
        urls = [base_url] if isinstance(base_url, str) else list(base_url)
        if not urls:
            raise ConfigurationError("base_url is empty. Name at least one server.")
        self._replicas = [Replica(clean_url(url)) for url in urls]
        self._protocol = PROTOCOLS[api]
        self.template = choose_template(template, tokenizer, model)
        self.reads = reads or usual_reads(self.template)
        self._inputs = ServerInputs(
            self._protocol,
            model,
            reads=self.reads,
            template=self.template,
            tokenizer=tokenizer,
            batch_size=batch_size,
        )
        self._api_key = api_key
        self._next = 0
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}
        self._lock = threading.Lock()
        self.model = model
        self.api = api
        self.timeout = timeout
        self.max_concurrency = max_concurrency
        self.batch_size = batch_size
        self._reference = reference

    @property
    def name(self) -> str:
        """The model's name, or the first server's address where no name was given."""
        return self.model or self._replicas[0].name

    def __repr__(self) -> str:
        urls = [replica.name for replica in self._replicas]
        return f"RemoteTRMScorer({urls}, model={self.model!r}, api={self.api!r})"

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """Score traces; the synchronous twin of `ascore`."""
        return run_sync(self.ascore(question, traces))

    async def ascore(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """Score traces.

        Args:
            question: what was asked: a string, a list of chat messages, None (then the question that a trace
                carries is used, if any), or a list with one of these a trace.
            traces: the traces; a string is read with `Trace.from_text`.

        Returns:
            one raw logit per trace, in the same order; higher is better.

        Raises:
            ConfigurationError: the arguments do not fit together.
            InvalidTraceError: a trace has no reasoning; the message says which.
            ScoringError: no replica could answer (each is named), a server refused the request (its own words
                are given), its answer is not one finite score per trace, or it differs from the ``reference``.
        """
        if self._reference is not None:
            await self._compare(self._reference)
            self._reference = None
        return await self._ascore(question, traces)

    async def _compare(self, reference: Scorer) -> None:
        from me2sdk.scorers.parity import acompare_scorers, read_probes

        server: Any = SimpleNamespace(name=self.name, ascore=self._ascore)
        report = await acompare_scorers(reference, server, [read_probes()[i] for i in (0, -1)])
        if report.verdict == "different":
            raise ScoringError(
                f"{report} Check that the server holds the same weights and neither truncates nor normalises."
            )
        _log.info("%s", report)

    async def _ascore(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        # In a thread, since it may load a tokenizer.
        requests = await asyncio.to_thread(self._inputs.requests, read_inputs(question, traces))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._send(request)) for request in requests]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return Scores([value for task in tasks for value in task.result()])

    def check(
        self,
        question: Questions,
        traces: Sequence[Trace | str],
        expected: Sequence[float],
        tolerance: float = 1e-2,
    ) -> Scores:
        """Compare the server's scores with known ones; the synchronous twin of `acheck`."""
        return run_sync(self.acheck(question, traces, expected, tolerance))

    async def acheck(
        self,
        question: Questions,
        traces: Sequence[Trace | str],
        expected: Sequence[float],
        tolerance: float = 1e-2,
    ) -> Scores:
        """Compare the server's scores with known ones, such as those of `TRMScorer` with the same model.

        Servers that apply an activation, normalise, truncate or hold other weights give numbers that look
        well and are not comparable; this finds them.

        Args:
            question: as in `ascore`.
            traces: some traces; two or three of different quality and length are enough.
            expected: the score that each should get.
            tolerance: largest absolute difference to accept. Servers in bfloat16 differ by some hundredths.

        Returns:
            the server's scores.

        Raises:
            ConfigurationError: the number of expected scores is not that of the traces.
            ScoringError: a score differs by more than ``tolerance``; the message holds a table and, where it
                can be told, the reason.
        """
        if len(expected) != len(traces):
            raise ConfigurationError(f"There are {len(expected)} expected scores for {len(traces)} traces.")
        scores = await self.ascore(question, traces)
        if all(abs(got - want) <= tolerance for got, want in zip(scores, expected, strict=True)):
            return scores
        if all(abs(got - sigmoid(want)) <= tolerance for got, want in zip(scores, expected, strict=True)):
            reason = (
                "The server's scores are the sigmoid of the expected ones: it applies an activation. Switch "
                "it off on the server, or check that api= names the right kind of server."
            )
        else:
            reason = (
                "Check that the server holds the same weights, and that it neither truncates nor normalises."
            )
        rows = [
            f"{index:>5} {want:>12.4f} {got:>12.4f} {got - want:>+12.4f}"
            for index, (got, want) in enumerate(zip(scores, expected, strict=True))
        ]
        table = "\n".join([f"{'trace':>5} {'expected':>12} {'server':>12} {'difference':>12}", *rows])
        raise ScoringError(
            f"{self.name} does not give the expected scores (tolerance {tolerance}). {reason}\n{table}"
        )

    async def aclose(self) -> None:
        """Close the connections that this event loop opened. The scorer may be used again."""
        with self._lock:
            session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.client.aclose()

    def close(self) -> None:
        """Close the connections that synchronous calls opened. The scorer may be used again."""
        run_sync(self.aclose())

    async def __aenter__(self) -> RemoteTRMScorer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> RemoteTRMScorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _session(self) -> _Session:
        import httpx

        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._sessions:
                for closed in [other for other in self._sessions if other.is_closed()]:
                    del self._sessions[closed]
                self._sessions[loop] = _Session(
                    httpx.AsyncClient(
                        headers={"Authorization": f"Bearer {self._api_key}"} if self._api_key else {},
                        # The whole request has one deadline, in `_post`.
                        timeout=None,
                        limits=httpx.Limits(
                            max_connections=None, max_keepalive_connections=self.max_concurrency
                        ),
                    ),
                    asyncio.Semaphore(self.max_concurrency),
                )
            return self._sessions[loop]

    def _order(self) -> list[Replica]:
        """Every replica once: healthy ones round-robin, then those put aside, the longest-rested first."""
        with self._lock:
            start = self._next
            self._next = (start + 1) % len(self._replicas)
        now = time.monotonic()
        turn = self._replicas[start:] + self._replicas[:start]
        healthy = [replica for replica in turn if replica.aside_until <= now]
        resting = sorted((r for r in turn if r.aside_until > now), key=lambda r: r.aside_until)
        return healthy + resting

    async def _send(self, request: ScoringRequest) -> list[float]:
        session = self._session()
        which = request.label
        failures: dict[str, str] = {}
        async with session.slots:
            for round_ in range(_ROUNDS):
                if round_:
                    await asyncio.sleep(_ROUND_PAUSE)
                for replica in self._order():
                    try:
                        values = await self._post(session.client, replica, request)
                    except ReplicaFailed as error:
                        replica.aside_until = time.monotonic() + _ASIDE
                        failures[replica.name] = str(error)
                        _log.warning("%s failed to score %s: %s", replica.name, which, error)
                        continue
                    except ScoringError as error:
                        raise ScoringError(f"{replica.name} could not score {which}: {error}") from None
                    replica.aside_until = 0.0
                    return values
        listed = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        raise ScoringError(
            f"No server could score {which}. Each was tried {_ROUNDS} times. {listed}. "
            "Check that the servers run and are reached under base_url."
        )

    async def _post(
        self, client: httpx.AsyncClient, replica: Replica, request: ScoringRequest
    ) -> list[float]:
        import httpx

        url = replica.url + self._protocol.path
        try:
            async with asyncio.timeout(self.timeout):
                response = await client.post(url, json=request.body, headers=request.headers)
        except TimeoutError:
            raise ReplicaFailed(f"no answer within {self.timeout:g} s") from None
        except httpx.RequestError as error:
            raise ReplicaFailed(self._redact(f"{type(error).__name__} {error}".strip())) from None
        if response.is_success:
            return self._protocol.read(response.content, len(request.traces))
        said = self._redact(" ".join(response.text.split()))[:500]
        answer = f"HTTP {response.status_code} {said}".strip()
        if response.status_code in (408, 429) or response.status_code >= 500:
            raise ReplicaFailed(answer)
        raise ScoringError(f"the server refused the request with {answer}. {advice(response.status_code)}")

    def _redact(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text
