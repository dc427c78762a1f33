"""A page to read candidates side by side: eight recorded solutions of a competition problem."""

import json
import tempfile
from importlib import resources
from pathlib import Path

from me2sdk import rerank

lines = (resources.files("me2sdk") / "data" / "demo_math_l5.jsonl").read_text("utf-8").splitlines()
record = json.loads(lines[3])
result = rerank(record["question"], record["candidates"])

for answer in result.answers:
    print(
        f"{answer.text}: {answer.votes} votes, confidence {answer.confidence:.0%}, candidates {answer.candidates}"
    )

page = Path(tempfile.mkdtemp()) / "candidates.html"
page.write_text(result.to_html(), "utf-8")
print(f"\nOpen {page} to read them.")
