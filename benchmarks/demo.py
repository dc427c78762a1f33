"""The summary of ``me2 demo`` as rows: accuracy of each way to choose, on the bundled real candidates."""

from __future__ import annotations

import time

from report import save

from me2sdk.cli.demo import METHODS, SETS, bundled
from me2sdk.cli.io import percent


def main() -> None:
    started = time.perf_counter()
    summaries = {
        f"{title.partition(':')[0]} ({summary['questions']} questions)": summary
        for name, title in SETS.items()
        for summary in [bundled(name, show=0, quiet=True)]
    }
    rows = [
        {"choose": method, **{name: f"{one['accuracy'][method]:.1%}" for name, one in summaries.items()}}
        for method in METHODS
    ]
    for row, part in (("auto is sure of", "mean"), ("and is right in", "right")):
        stated = {name: percent(one["confidence"][part]) for name, one in summaries.items()}
        rows.append({"choose": row, **stated})
    save("demo", rows, f"accuracy; all of it took {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
