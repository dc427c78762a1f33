"""The prompt that asks a model about one step or several, with its data behind fences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from me2sdk import prompts
from me2sdk.annotate.forms import annotation_form
from me2sdk.dag import AttachmentPool, DAGBuilder
from me2sdk.schema import Step

__all__ = ["build_prompt", "prompt_name"]

# Characters shown of each text, so that a call has one to two thousand tokens however long the steps are.
_QUESTION = 3000
_LAST = 800  # the last step of the main path, which most new steps follow
_EARLIER = 200
_NEW = 1600


def prompt_name(window: int) -> str:
    """Name and version of the prompt, for results."""
    prompt = prompts.load("annotate" if window == 1 else "annotate_window")
    return f"{prompt.name} {prompt.version}"


def build_prompt(
    new: Mapping[int, Step],
    pool: AttachmentPool,
    builder: DAGBuilder,
    *,
    question: str = "",
    failed: str | None = None,
    as_json: bool = False,
) -> str:
    """The prompt for the next step, or for several consecutive ones.

    Args:
        new: the new steps by id. For one the answer is read by `read_annotation`, for several by `read_window`.
        pool: what the first of them may be attached to.
        builder: the DAG so far.
        question: what was asked, as text; "" if that is not known.
        failed: why an earlier answer about the same step could not be used; for a single step.
        as_json: whether to ask for a JSON object instead of lines with markers.
    """
    nodes, last = builder.nodes, pool.main_path[-1]
    shown = {number: _clip(nodes[number].text, _EARLIER) for number in (*pool.main_path, *pool.leaves)}
    shown[last] = _clip(nodes[last].text, _LAST)
    shown.update((number, _clip(step.text, _NEW)) for number, step in new.items())
    question = _clip(question.strip(), _QUESTION) or "(not known)"
    nonce = prompts.new_nonce(question, *shown.values())

    def part(label: str, numbers: Sequence[int], notes: Mapping[int, str] | None = None) -> str:
        lines = (f"[step {n}{(notes or {}).get(n, '')} {nonce}] {shown[n]}" for n in numbers)
        return prompts.fence("\n".join(lines), nonce, label)

    left = {leaf: f", left the main path after step {_fork(leaf, builder)}" for leaf in pool.leaves}
    form = annotation_form(list(new), as_json=as_json)
    values = {
        "nonce": nonce,
        "form": form.words,
        "question": prompts.fence(question, nonce, "question"),
        "main_path": part("main path", pool.main_path),
        "branches": part("branch ends", pool.leaves, left) if pool.leaves else "There are no other branches.",
    }
    if len(new) > 1:
        steps = ", ".join(map(str, new))
        choices = f"Say where the steps {steps} are attached.\n\n{form.last}"
        return prompts.load("annotate_window").fill(
            **values, steps=part("new steps", list(new)), choices=choices
        )
    note = f"An earlier answer could not be used: {failed}.\n\n" if failed else ""
    return prompts.load("annotate").fill(
        **values,
        step=part("new step", list(new)),
        choices=f"{_choices(next(iter(new)), pool)}\n\n{form.last}",
        note=note,
    )


def _choices(number: int, pool: AttachmentPool) -> str:
    earlier, leaves = ", ".join(map(str, pool.main_path[:-1])), ", ".join(map(str, pool.leaves))
    merge = f"merge with at least one of {leaves}" if leaves else "no merge, since there are no branch ends"
    back = f"backtrack to one of {earlier}" if earlier else "no backtrack, since there is no earlier step"
    return f"Step {number} can continue step {pool.main_path[-1]}; {back}; {merge}."


def _fork(leaf: int, builder: DAGBuilder) -> int:
    """The step of the main path from which the branch of ``leaf`` leaves it."""
    on_path = frozenset(builder.main_path)
    while leaf not in on_path:  # the root is on it
        leaf = builder.nodes[leaf].parents[-1]
    return leaf


def _clip(text: str, size: int) -> str:
    """``text``, without its middle if it is longer than ``size``: the start, which says what a step does, is kept."""
    text = text.strip()
    head = size * 3 // 4
    return (
        text
        if len(text) <= size
        else f"{text[:head].rstrip()} […] {text[len(text) - size + head :].lstrip()}"
    )
