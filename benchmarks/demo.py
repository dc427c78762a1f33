"""The summary of ``me2 demo`` as rows: accuracy of each way to choose, on the bundled real candidates."""

from __future__ import annotations

import time

from report import save

from me2sdk.cli.demo import METHODS, SETS, bundled


def main() -> None:
    started = time.perf_counter()
    summaries = {name: bundled(name, show=0, quiet=True) for name in SETS}
    rows = [
        {
            "choose": method,
            **{
                f"{name} ({summary['questions']} questions)": f"{summary['accuracy'][method]:.1%}"
                for name, summary in summaries.items()
            },
        }
        for method in METHODS
    ]
    save("demo", rows, f"accuracy; all of it took {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
