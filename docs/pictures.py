"""Draw the pictures of the documentation: ``python docs/pictures.py docs/pictures``.

Two show a real trace: one of the solutions of a CHAMP problem that ship with me2sdk (MIT licence, see
me2sdk/data/README.md). Where its steps attach was marked by hand. The third is the example of the README, as the local
rules annotate it. The fourth shows how often choices of each confidence were right (benchmarks/decision.json).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

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


def reliability(bins: Sequence[dict[str, Any]]) -> str:
    """Confidence against the share of right choices: a point for each tenth, as large as it has choices."""
    side, edge = 300, 44
    most = max(one["choices"] for one in bins)

    def at(x: float, y: float) -> tuple[float, float]:
        return edge + side * x, 12 + side * (1 - y)

    (left, bottom), (right, top) = at(0, 0), at(1, 1)
    ticks = [
        f'<text x="{at(share, 0)[0]:.0f}" y="{bottom + 18:.0f}" text-anchor="middle">{share:.1f}</text>'
        f'<text x="{left - 8:.0f}" y="{at(0, share)[1] + 4:.0f}" text-anchor="end">{share:.1f}</text>'
        for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    points = []
    for one in bins:
        x, y = at(one["mean confidence"], one["right"])
        radius = 3 + 9 * math.sqrt(one["choices"] / most)
        title = (
            f"confidence {one['mean confidence']:.2f}: {one['right']:.0%} of {one['choices']:,} choices right"
        )
        points.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{title}</title></circle>')
    width, height = right + 14, bottom + 44
    label = "Confidence against the share of right choices"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{width:.0f}"'
        f' height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">\n<style>{STYLE}'
        "text { font: 12px system-ui, sans-serif; fill: var(--off); }"
        "rect { fill: none; stroke: var(--off-line); } line { stroke: var(--off-line); stroke-dasharray: 5 4; }"
        "circle { fill: var(--path); fill-opacity: .75; }</style>\n"
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}"/>'
        f'<line x1="{left}" y1="{bottom}" x2="{right}" y2="{top}"/>'
        + "".join(ticks + points)
        + f'<text x="{left + side / 2}" y="{bottom + 38}" text-anchor="middle">confidence</text>'
        f'<text x="12" y="{top + side / 2}" text-anchor="middle" transform="rotate(-90 12 {top + side / 2})">'
        "right</text></svg>\n"
    )


def main(folder: Path) -> None:
    """Write all pictures into ``folder``."""
    dag = marked_dag()
    folder.mkdir(parents=True, exist_ok=True)
    decision = Path(__file__).resolve().parent.parent / "benchmarks" / "decision.json"
    bins = json.loads(decision.read_text("utf-8"))["bins"][:-1]
    (folder / "reliability.svg").write_text(reliability(bins), "utf-8")
    (folder / "steps.svg").write_text(picture(dag, "The 17 steps of a trace as a DAG"), "utf-8")
    (folder / "super_nodes.svg").write_text(
        picture(dag.collapse(), "The same trace as 6 super-nodes"), "utf-8"
    )
    (folder / "branch.svg").write_text(
        picture(parse_dag(EXAMPLE), "Four steps as a DAG, the third of which goes back to the first"), "utf-8"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
