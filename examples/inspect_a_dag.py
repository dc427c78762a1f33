"""A real trace as a graph: what the local rules see in it, and what a reader sees.

The trace is a solution of a competition problem that ships with me2sdk. A model would annotate it by
``parse_dag(trace, model="openai/gpt-4o-mini")``; here a reader's marks stand in for it.
"""

import json
import tempfile
from importlib import resources
from pathlib import Path

from me2sdk import Annotation, Trace, parse_dag

lines = (resources.files("me2sdk") / "data" / "demo_champ.jsonl").read_text("utf-8").splitlines()
record = json.loads(lines[38])
trace = Trace.from_message(record["candidates"][19], record["question"])

# Steps that take up again from an earlier one: two attempts are given up, and step 13 does not use step 12.
GOES_BACK = {4: 2, 5: 2, 13: 11}


class Reader:
    """An annotator is anything with this method; it may be async."""

    name = "a reader"

    def annotate(self, step: object, pool: object, nodes: list) -> Annotation:
        """Say how the next step is attached."""
        if len(nodes) in GOES_BACK:
            return Annotation("backtrack", (GOES_BACK[len(nodes)],), "takes up an earlier step again")
        return Annotation("continue")


print(record["question"], "\n")
for dag in (parse_dag(trace), parse_dag(trace, annotator=Reader())):
    found = dag.metrics()
    print(
        f"{dag.annotator}: {found.steps} steps, {found.branches} branches, linearity {found.linearity:.2f}, "
        f"{found.off_path_share:.0%} of the text off the dominant path"
    )
print("\nThe outline of what the reader sees:\n")
print(dag.macro_view())

page = Path(tempfile.mkdtemp()) / "dag.html"
page.write_text(dag.to_html(), "utf-8")
print(f"\nOpen {page} to walk through it.")
