"""Takes up the report of a run of the recipe: ``python benchmarks/reproduce_small.py FOLDER``.

The run: ``python -m recipes.reproduce_small night --data DATA --output FOLDER``.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from report import HERE, save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the --output of the recipe")
    folder = parser.parse_args().folder
    report = json.loads((folder / "report.json").read_text("utf-8"))
    rows = [{"table": one["title"], "rows": len(one["rows"])} for one in report["tables"]]
    save("reproduce_small", rows, report.pop("note"), **report)
    shutil.copyfile(folder / "curves.png", HERE / "reproduce_small.png")


if __name__ == "__main__":
    main()
