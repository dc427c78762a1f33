"""``me2 parity``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from me2sdk.cli.io import FAILED, emit, note, read_text
from me2sdk.cli.options import Json
from me2sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from me2sdk.schema import Scores

_OPTIONS: dict[str, type] = {
    "dtype": str,
    "quantization": str,
    "device": str,
    "max_tokens": int,
    "batch_tokens": int,
    "batch": int,
    "api": str,
    "model": str,
    "reads": str,
    "template": str,
    "tokenizer": str,
}


def parity(
    first: Annotated[str, typer.Argument(metavar="SCORER_A", help="The reference scorer.")],
    second: Annotated[str, typer.Argument(metavar="SCORER_B", help="The scorer to compare with it.")],
    traces: Annotated[
        str | None,
        typer.Option(
            help='JSONL of {"question": …, "traces": \\[…]}, or - ; the twenty bundled ones if unset.'
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference of two scores that counts as equal.")
    ] = 0.01,
    as_json: Json = False,
) -> None:
    """Compare what two scorers say of the same traces; exit code 0 if they choose alike, 1 if not.

    A scorer is "mini", "small", a folder or hub name, prm:NAME, the URL of a server, "shortest", "longest" or "random",
    with options behind commas: my-trm,dtype=bfloat16 or my-trm,quantization=nf4 or my-trm,batch=1 or
    http://localhost:8000,api=vllm,model=my-trm.
    """
    from me2sdk.scorers import compare_scorers, read_probes

    probes = read_probes(None if traces is None else read_text(traces).splitlines())
    report = compare_scorers(_open(first), _open(second), probes, tolerance=tolerance)
    if as_json:
        emit(report.model_dump_json())
    else:
        for number, (a, b) in enumerate(report.scores):
            note(f"{number:>4} {a:>+10.4f} {b:>+10.4f} {b - a:>+10.4f}")
        emit(str(report))
    if report.verdict == "different":
        raise typer.Exit(FAILED)


class _Batches:
    """A scorer that scores a few traces at a time."""

    def __init__(self, scorer: Any, size: int) -> None:
        self._scorer = scorer
        self._size = size
        self.name = f"{scorer.name}, {size} at a time"

    def score(self, question: Any, traces: Sequence[Any]) -> Scores:
        from me2sdk.schema import Scores

        parts = range(0, len(traces), self._size)
        return Scores(
            [
                value
                for i in parts
                for value in self._scorer.score(question[i : i + self._size], traces[i : i + self._size])
            ]
        )


def _open(spec: str) -> Any:
    from me2sdk.scorers import open_scorer

    name, *parts = spec.split(",")
    options: dict[str, Any] = {}
    for part in parts:
        key, _, value = part.partition("=")
        try:
            options[key] = _OPTIONS[key](value)
        except (KeyError, ValueError):
            raise ConfigurationError(
                f"{part!r} in {spec!r} is no option of a scorer. Options are {', '.join(_OPTIONS)}, as in "
                "my-trm,dtype=bfloat16."
            ) from None
    batch = options.pop("batch", None)
    if batch is not None and batch < 1:
        raise ConfigurationError(f"batch is at least 1, not {batch}.")
    scorer = open_scorer(name, **options)
    return _Batches(scorer, batch) if batch else scorer
