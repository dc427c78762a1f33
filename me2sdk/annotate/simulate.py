"""The other side of the prompt and its reader: annotating the steps that a prompt shows, and writing the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from me2sdk.annotate.types import Annotation
from me2sdk.dag import AttachmentPool, DAGNode
from me2sdk.prompts import FilledPrompt
from me2sdk.schema import Step

__all__ = ["Annotate", "annotate_shown", "write_annotations"]

Annotate = Callable[[Step, AttachmentPool, Sequence[DAGNode]], Annotation]
"""As the method of an `Annotator`, and never async."""


def annotate_shown(prompt: FilledPrompt, annotate: Annotate) -> dict[int, Annotation]:
    """Attach the new steps that a prompt shows to the steps that it shows.

    Args:
        prompt: from `build_prompt`, read by `read_filled`.
        annotate: decides about one step. Of the steps that the prompt does not show, the text is empty.

    Returns:
        The annotations by the id of the new step.
    """
    path, leaves, new = prompt.steps("main path"), prompt.steps("branch ends"), prompt.new_steps
    nodes = [_node(0, "")] * min(new)
    for number, text in {**path, **leaves}.items():
        nodes[number] = _node(number, text)
    on_path, ends = list(path), list(leaves)
    decisions: dict[int, Annotation] = {}
    for number, text in new.items():
        found = annotate(Step(text, ""), AttachmentPool(tuple(on_path), tuple(ends)), nodes)
        decisions[number] = found
        nodes.append(_node(number, text))
        back = next((parent for parent in found.parents if parent in on_path), on_path[-1])
        if back != on_path[-1]:
            ends.append(on_path[-1])
        ends = [end for end in ends if end not in found.parents]
        on_path = [*on_path[: on_path.index(back) + 1], number]
    return decisions


def write_annotations(decisions: Mapping[int, Annotation]) -> str:
    """The answer that states annotations: with a line ``<|step|>ID`` for each, unless there is only one."""
    return "\n".join(
        (f"<|step|>{number}\n" if len(decisions) > 1 else "")
        + (f"{one.explanation}\n" if one.explanation else "")
        + f"<|action|>{one.action}"
        + (f"\n<|previous|>{','.join(map(str, one.parents))}" if one.parents else "")
        for number, one in decisions.items()
    )


def _node(number: int, text: str) -> DAGNode:
    return DAGNode.model_construct(id=number, text=text, action="continue", parents=(), steps=(number,))
