"""Check the three source folders as the one package that they install as: types (mypy) and floors (import-linter).

From the root both tools would see me2sdk/ alone, so the folders are linked into one tree first, and what they
looked at is counted.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FARM = ROOT / ".typecheck"
SUBPACKAGES = ("adapters", "train")


def link() -> int:
    """Build the tree; return how many source files it holds."""
    package = FARM / "me2sdk"
    package.mkdir(parents=True, exist_ok=True)
    for old in package.iterdir():
        old.unlink()
    for entry in (ROOT / "me2sdk").iterdir():
        (package / entry.name).symlink_to(entry)
    for name in SUBPACKAGES:
        (package / name).symlink_to(ROOT / name)
    return sum(1 for folder in ("me2sdk", *SUBPACKAGES) for _ in (ROOT / folder).rglob("*.py"))


def run(name: str, files: int, counted: str, *command: str) -> bool:
    """Run a checker over the tree; it must succeed and have looked at every file."""
    environment = {**os.environ, "PYTHONPATH": str(FARM), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=FARM, env=environment, capture_output=True, text=True)
    print(done.stdout[-6000:] + done.stderr[-2000:], end="")
    seen = re.search(counted, done.stdout)
    if done.returncode == 0 and (not seen or int(seen[1]) < files):
        print(f"{name} looked at {seen[1] if seen else 'no'} files, but there are {files}.")
        return False
    return done.returncode == 0


def main() -> int:
    """Run both checks; return the exit code."""
    files = link()
    config = str(ROOT / "pyproject.toml")
    bin_folder = Path(sys.executable).parent
    types = run(
        "mypy",
        files,
        r"(\d+) source files",
        sys.executable,
        "-m",
        "mypy",
        "-p",
        "me2sdk",
        "--config-file",
        config,
    )
    floors = run(
        "import-linter", files, r"Analyzed (\d+) files", str(bin_folder / "lint-imports"), "--config", config
    )
    return 0 if types and floors else 1


if __name__ == "__main__":
    sys.exit(main())
