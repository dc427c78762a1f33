from __future__ import annotations

import importlib.util
from pathlib import Path

NEEDS = {
    "test_dspy.py": "dspy",
    "test_inspect_ai.py": "inspect_ai",
    "test_its_hub.py": "its_hub",
    "test_langchain.py": "langchain_core",
    "test_llama_index.py": "llama_index",
    "test_mlflow.py": "mlflow",
    "test_openai_agents.py": "agents",
    "test_openai_server.py": "starlette",
    "test_otel.py": "opentelemetry",
    "test_pydantic_ai.py": "pydantic_ai",
}
"""The framework that a file of tests imports; the file is left out where it is not installed."""

_MISSING = {name: module for name, module in NEEDS.items() if importlib.util.find_spec(module) is None}
collect_ignore = list(_MISSING)


def pytest_report_header() -> list[str]:
    here = Path(__file__).parent.name
    return [f"left out: {here}/{name} needs {module}" for name, module in _MISSING.items()]
