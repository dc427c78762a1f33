"""Draw the pictures of the documentation: ``python docs/pictures.py docs/pictures``.

Two show a real trace: one of the solutions of a CHAMP problem that ship with me2sdk (MIT licence, see
me2sdk/data/README.md). Where its steps attach was marked by hand. The third is the example of the README, as the local
rules annotate it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from me2sdk import Annotation, ReasoningDAG, Step, Trace, parse_dag
from me2sdk.dag.svg import svg

PROBLEM, CANDIDATE = 38, 19  # in demo_champ.jsonl
# Step 4 gives up the attempt of step 3, step 5 that of step 4; step 13 does not use what step 12 came to.
BACKTRACKS = {4: 2, 5: 2, 13: 11}
EXAMPLE = "Okay, so 12 × 13.\n\nSo 120 + 36 = 156.\n\nAlternatively, 13 × 13 - 13.\n\nSo the answer is \\boxed{156}."

# The colours of `dag.to_html()`, for light and for dark pages.
STYLE = """
svg { --ink: #1b2330; --path: #1f5fbf; --path-card: #e8f0fd; --off: #5a6472; --off-card: #f1f3f6; --off-line: #8a94a2;
  --backtrack: #a34a00; --merge: #7a2fa8; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6eaf0; --path: #7fb0ff; --path-card: #1d2f4d; --off: #a3adba; --off-card: #232a33; --off-line: #6b7686;
    --backtrack: #f2a65a; --merge: #d09bf5; }
}
.edge { fill: none; stroke: var(--off-line); stroke-width: 1.5; stroke-dasharray: 5 4; }
.edge.on { stroke: var(--path); stroke-width: 2.5; stroke-dasharray: none; }
.node rect { fill: var(--off-card); stroke: var(--off-line); stroke-dasharray: 5 4; }
.node.on rect { fill: var(--path-card); stroke: var(--path); stroke-width: 1.5; stroke-dasharray: none; }
.node text { font: 12px system-ui, sans-serif; fill: var(--off); white-space: pre; }
.node.on text { fill: var(--ink); }
.node .number { font-weight: 700; }
.node .kind { font-size: 11.5px; }
.node.backtrack .kind { fill: var(--backtrack); }
.node.merge .kind { fill: var(--merge); }
"""


class ByHand:
    """An annotator that says what a reader marked."""

    name = "by hand"

    def annotate(self, step: Step, pool: object, nodes: Sequence[object]) -> Annotation:
        """Say how the next step is attached."""
        goes_back = BACKTRACKS.get(len(nodes))
        return Annotation("continue") if goes_back is None else Annotation("backtrack", (goes_back,))


def marked_dag() -> ReasoningDAG:
    """The DAG of the trace."""
    lines = (resources.files("me2sdk") / "data" / "demo_champ.jsonl").read_text("utf-8").splitlines()
    record = json.loads(lines[PROBLEM])
    trace = Trace.from_message(record["candidates"][CANDIDATE], record["question"])
    return parse_dag(trace, annotator=ByHand())


def picture(dag: ReasoningDAG, label: str) -> str:
    """A DAG as an SVG file that needs nothing else."""
    drawn = svg(dag, "dag", label)
    head, _, rest = drawn.partition(">")
    width, height = (head.partition(f'data-{side}="')[2].partition('"')[0] for side in ("width", "height"))
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}">\n<style>{STYLE}</style>'
    )
    return start + rest + "\n"


def main(folder: Path) -> None:
    """Write all pictures into ``folder``."""
    dag = marked_dag()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "steps.svg").write_text(picture(dag, "The 17 steps of a trace as a DAG"), "utf-8")
    (folder / "super_nodes.svg").write_text(
        picture(dag.collapse(), "The same trace as 6 super-nodes"), "utf-8"
    )
    (folder / "branch.svg").write_text(
        picture(parse_dag(EXAMPLE), "Four steps as a DAG, the third of which goes back to the first"), "utf-8"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
