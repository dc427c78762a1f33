"""Prints a benchmark's rows as a Markdown table and writes them as JSON beside the machine and the date."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def machine() -> str:
    """Processor, cores and Python, in words."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def peak_mib() -> int:
    """Most memory that this process has had, in MiB. (`getrusage` would count what its parent had.)"""
    status = Path("/proc/self/status").read_text()
    return round(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)  # type: ignore[index]


def shown(argument: str) -> str:
    """An argument as reports show it: where something lies on this machine is nobody's business."""
    path = Path(argument)
    return path.name if path.is_absolute() or ".." in path.parts else argument


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([str(row[head]) for head in heads] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def save(name: str, rows: list[dict[str, Any]], note: str, **more: Any) -> None:
    """Print and write one benchmark's result."""
    report = {
        "benchmark": name,
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(shown, sys.argv[1:])]),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": {package: version(package) for package in ("me2sdk", "litellm")},
        "note": note,
        "rows": rows,
        **more,
    }
    (HERE / f"{name}.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{name}: {note} ({report['machine']}, {report['date']})\n\n{table(rows)}\n")
