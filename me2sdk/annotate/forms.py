"""The two forms in which a model may annotate: lines with markers (App. J.1), and a JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from me2sdk.llm import schema_params

__all__ = ["annotation_form", "annotation_schema"]

_STEP = {
    "explanation": {"type": "string"},
    "action": {"type": "string", "enum": ["continue", "backtrack", "merge"]},
    "previous": {"type": "array", "items": {"type": "integer"}},
}
# One schema per prompt, whatever steps are offered: providers compile a schema when they first see it, in seconds.
_ONE = schema_params("annotation", _STEP)
_WINDOW = schema_params(
    "annotations",
    {
        "steps": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"step": {"type": "integer"}, **_STEP},
                "required": ["step", *_STEP],
                "additionalProperties": False,
            },
        }
    },
)


class Form(NamedTuple):
    """How to answer.

    Attributes:
        words: what a prompt says about it. Part of the prompts: where it changes, their versions go up.
        last: what it says again behind the data, since small models go by what they read last.
        missing: what is wrong with an answer in which nothing can be read.
    """

    words: str
    last: str
    missing: str


_ONE_MARKED = Form(
    """Answer with one or two lines of explanation, then with a line that holds <|action|> and one of the three words,
as in <|action|>continue, and no more than one such line. Behind backtrack and merge one more line follows, which holds
<|previous|> and the ids of the steps, as in <|previous|>3 or <|previous|>3,5.""",
    "Answer in this form, with your words in place of the dots:\n\n…\n<|action|>…",
    "it held no line <|action|>continue, <|action|>backtrack or <|action|>merge",
)
_ONE_JSON = Form(
    """Answer with one JSON object and nothing else: "explanation" holds one or two sentences, "action" one of the three
words, and "previous" a list of ids of steps, which is empty for continue. The three forms, where the numbers stand for
ids:

{"explanation": "…", "action": "continue", "previous": []}
{"explanation": "…", "action": "backtrack", "previous": [3]}
{"explanation": "…", "action": "merge", "previous": [3, 5]}""",
    "Answer with the JSON object.",
    'it held no JSON object with an "action" that is continue, backtrack or merge',
)
# The lines to fill in hold no action: small models copy examples, and whoever copied one would have said nothing.
_WINDOW_MARKED = Form(
    """Answer with a line for each new step, in order: <|step|> and the id of the step, a few words of explanation, and
<|action|> with one of the three words. Behind backtrack and merge, <|previous|> and the ids of the steps follow on the
line, as in <|previous|>3 or <|previous|>3,5.""",
    "Answer with {count} lines in this form, with your words in place of the dots:\n\n{lines}",
    _ONE_MARKED.missing,
)
_WINDOW_JSON = Form(
    """Answer with one JSON object and nothing else. Its list "steps" holds an object for each new step, in order:
"step" is the step's id, "explanation" one sentence, "action" one of the three words, and "previous" a list of ids of
steps, which is empty for continue and holds one id for backtrack, as in [3], and more for merge, as in [3, 5]. The
object of the first step could be:

{{"step": {first}, "explanation": "…", "action": "continue", "previous": []}}""",
    "Answer with the JSON object, which begins with step {first} and ends with step {last}.",
    _ONE_JSON.missing,
)


def annotation_form(steps: Sequence[int], *, as_json: bool) -> Form:
    """How to answer about steps with these ids."""
    if len(steps) == 1:
        return _ONE_JSON if as_json else _ONE_MARKED
    words, last, missing = _WINDOW_JSON if as_json else _WINDOW_MARKED
    lines = "\n".join(f"<|step|>{step} … <|action|>…" for step in steps)
    values = {"first": min(steps), "last": max(steps), "count": len(steps), "lines": lines}
    return Form(words.format(**values), last.format(**values), missing)


def annotation_schema(steps: int) -> dict[str, object]:
    """The parameter of a call that holds the model to the JSON form."""
    return _ONE if steps == 1 else _WINDOW
