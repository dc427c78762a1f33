from __future__ import annotations

import sys

import pytest
from support.needs import FILES, installed

_MISSING = {file: module for file, module in FILES.items() if not installed(module)}
collect_ignore = list(_MISSING)


def pytest_report_header() -> list[str]:
    return [f"left out: tests/{file} needs {module}" for file, module in _MISSING.items()]


@pytest.fixture(autouse=True)
def exact_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local models compute in float32 unless a test asks for something else, whatever processor it runs on."""
    if "torch" in sys.modules:
        monkeypatch.setattr(sys.modules["torch"].cpu, "_is_amx_tile_supported", lambda: False, raising=False)
