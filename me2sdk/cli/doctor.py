"""``me2 doctor``: what is installed, and what can be used."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import tempfile
from importlib import metadata
from typing import Any

import typer

from me2sdk.cli.io import FAILED, emit
from me2sdk.cli.options import Json

_OWN = re.compile(r"[\w.-]+")
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")
SHOWN = ("local", "train")
"""The extras that are reported; those of adapters come with their frameworks."""


def doctor(as_json: Json = False) -> None:
    """Report what is installed, which device would score, which extras are missing, whether the cache is writable."""
    core, extras = declared()
    report: dict[str, Any] = {
        "me2sdk": _version("me2sdk"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in core},
        "extras": {},
        "device": _device(),
        "cache": _cache(),
        "mini": _mini(),
    }
    for extra in SHOWN:
        versions = {name: _version(name) for name in extras[extra]}
        missing = [name for name, version in versions.items() if version is None]
        report["extras"][extra] = {"packages": versions, "missing": missing}
    healthy = (
        report["cache"]["writable"] and report["mini"] == "ok" and None not in report["packages"].values()
    )
    report["healthy"] = healthy
    if as_json:
        emit(json.dumps(report))
    else:
        _show(report)
    if not healthy:
        raise typer.Exit(FAILED)


def declared() -> tuple[list[str], dict[str, list[str]]]:
    """The packages that me2sdk asks for by its own metadata: those of the base, and those that each extra adds."""
    core: list[str] = []
    extras: dict[str, list[str]] = {}
    for requirement in metadata.requires("me2sdk") or ():
        found = _OWN.match(requirement)
        name = found[0].lower().replace("_", "-") if found else requirement
        marked = _EXTRA.search(requirement.partition(";")[2])
        if marked is None:
            core.append(name)
        elif name != "me2sdk":  # an extra that holds another one lists what it adds itself
            extras.setdefault(marked[1], []).append(name)
    return sorted(core), {extra: sorted(names) for extra, names in extras.items()}


def _show(report: dict[str, Any]) -> None:
    def line(name: str, value: str) -> None:
        emit(f"{name:<12} {value}")

    line("me2sdk", f"{report['me2sdk']} on Python {report['python']}, {report['platform']}")
    line(
        "packages",
        ", ".join(f"{name} {version or 'MISSING'}" for name, version in report["packages"].items()),
    )
    for extra, found in report["extras"].items():
        missing = found["missing"]
        note = f'missing {", ".join(missing)}: pip install "me2sdk[{extra}]"' if missing else "complete"
        line(f"[{extra}]", note)
    line("device", report["device"])
    cache = report["cache"]
    line(
        "cache", f"{cache['path']} ({'writable' if cache['writable'] else 'NOT writable: ' + cache['error']})"
    )
    line("mini scorer", report["mini"])


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device() -> str:
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        return 'cpu (reward models other than "mini" need the extra local)'
    from me2sdk.scorers import available_device

    return available_device()


def _cache() -> dict[str, Any]:
    from me2sdk._paths import user_cache_dir

    path = user_cache_dir()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        return {"path": str(path), "writable": False, "error": error.strerror or str(error)}
    return {"path": str(path), "writable": True, "error": ""}


def _mini() -> str:
    from me2sdk.scorers import TRMScorer

    try:
        TRMScorer("mini").score("What is 1 + 1?", ["1 + 1 = 2"])
    except Exception as error:  # any error is part of the report
        return f"{type(error).__name__}: {error}"
    return "ok"
