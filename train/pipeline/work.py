"""What there is to do in each stage, given what the stages before it have done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from me2sdk._jsonl import fingerprint
from me2sdk.train.pipeline.config import DataConfig, Stage
from me2sdk.train.pipeline.pairs import Usable, choose_pairs
from me2sdk.train.pipeline.questions import Prompt, Prompts
from me2sdk.train.pipeline.stages import Item
from me2sdk.train.pipeline.store import StageFile

__all__ = ["NOTES", "CandidateNote", "Pair", "Planned", "Work"]


class CandidateNote(NamedTuple):
    """What is kept in memory of a candidate.

    Attributes:
        digest: a hash of its text.
        state: "ok"; "truncated" where the model was cut off; "empty" where it wrote nothing.
        length: characters of its reasoning.
    """

    digest: str
    state: str
    length: int


def _candidate_note(record: Mapping[str, Any]) -> CandidateNote:
    length = len(record["reasoning"])
    state = "truncated" if record["truncated"] else "ok" if record["reasoning"].strip() else "empty"
    return CandidateNote(record["digest"], state, length)


NOTES: dict[Stage, Callable[[Mapping[str, Any]], Any]] = {
    "candidates": _candidate_note,
    "verify": lambda record: record["outcome"],
    "dags": lambda record: (record["digest"], len(record["dag"]["nodes"]), len(record["dag"]["errors"])),
    "judge": lambda record: record["label"],
}


class Pair(NamedTuple):
    """Two traces of a prompt that are to be judged; their keys."""

    prompt: Prompt
    a: str
    b: str

    @property
    def key(self) -> str:
        """What the judgement is filed under."""
        return f"{self.a} {self.b}"


class Planned(NamedTuple):
    """An item whose payload is made only when its turn comes."""

    key: str
    group: str
    input: str
    payload: Callable[[], dict[str, Any]]

    def item(self) -> Item:
        """The item."""
        return Item(self.key, self.group, self.input, self.payload())


class Work:
    """Plans for the stages of a build.

    Args:
        config: the settings.
        prompts: the prompts.
        files: what the stages have done.
    """

    def __init__(self, config: DataConfig, prompts: Prompts, files: Mapping[Stage, StageFile]) -> None:
        self.config = config
        self.prompts = prompts
        self.files = files

    def keys(self, prompt: Prompt) -> Iterator[tuple[str, str, int]]:
        """Key, model and sample number of each candidate of a prompt."""
        for sample in range(self.config.sampling.samples):
            for model in self.config.models:  # in turn, so that all servers are busy
                yield f"{prompt.key}/{model.name}/{sample}", model.name, sample

    def candidates(self) -> Iterator[Planned]:
        """Samples to draw."""
        for prompt in self.prompts.prompts:
            for key, model, sample in self.keys(prompt):
                payload = {"question": prompt.question, "sample": sample}
                yield Planned(key, model, "", lambda payload=payload: payload)  # type: ignore[misc]

    def finished(self, prompt: Prompt) -> Iterator[tuple[str, str, CandidateNote]]:
        """Key, model and note of the candidates of a prompt that are finished."""
        for key, model, _ in self.keys(prompt):
            if self.files["candidates"].has(key, ""):
                note: CandidateNote = self.files["candidates"].note(key)
                if note.state == "ok":
                    yield key, model, note

    def checks(self) -> Iterator[Planned]:
        """Answers to check."""
        for prompt in self.prompts.prompts:
            for key, _, note in self.finished(prompt):
                yield Planned(key, "", note.digest, self._trace(prompt, key, reference=prompt.reference))

    def _trace(self, prompt: Prompt, key: str, **more: str) -> Callable[[], dict[str, Any]]:
        def payload() -> dict[str, Any]:
            record = self.files["candidates"].read(key)
            parts = {name: record[name] for name in ("reasoning", "response")}
            return {"question": prompt.question, **parts, **more}

        return payload

    def right(self, prompt: Prompt) -> list[Usable]:
        """The finished traces of a prompt whose answers are right."""
        checked = self.files["verify"]
        return [
            Usable(key, model, note.length, note.digest)
            for key, model, note in self.finished(prompt)
            if checked.has(key, note.digest) and checked.note(key) == "right"
        ]

    def pairs(self) -> list[Pair]:
        """The pairs to judge, in the order of the prompts."""
        most, seed = self.config.max_pairs, self.config.seed
        return [
            Pair(prompt, *pair)
            for prompt in self.prompts.prompts
            for pair in choose_pairs(prompt.key, self.right(prompt), most, seed)
        ]

    def dags(self, pairs: list[Pair]) -> Iterator[Planned]:
        """Traces of pairs to annotate, each once."""
        seen: set[str] = set()
        for pair in pairs:
            for key in (pair.a, pair.b):
                if key not in seen:
                    seen.add(key)
                    yield Planned(key, "", self.digest(key), self._trace(pair.prompt, key))

    def digest(self, key: str) -> str:
        """A hash of a candidate's text."""
        return str(self.files["candidates"].note(key).digest)

    def judged_input(self, pair: Pair) -> str | None:
        """A hash of what a pair's judgement is made from, or None where that is not complete."""
        dags = self.files["dags"]
        if not all(dags.has(key, self.digest(key)) for key in (pair.a, pair.b)):
            return None
        return fingerprint(" ".join(dags.note(key)[0] for key in (pair.a, pair.b)))

    def judgements(self, pairs: list[Pair]) -> Iterator[Planned]:
        """Pairs to judge."""
        for pair in pairs:
            made_from = self.judged_input(pair)
            if made_from is not None:
                yield Planned(pair.key, "", made_from, lambda pair=pair: self._dags(pair))  # type: ignore[misc]

    def _dags(self, pair: Pair) -> dict[str, Any]:
        dags = [self.files["dags"].read(key)["dag"] for key in (pair.a, pair.b)]
        return {"question": pair.prompt.question, "dags": dags}
