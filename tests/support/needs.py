"""What tests need beyond the base package, so that they skip with the reason where it is not installed."""

from __future__ import annotations

import importlib.util

import pytest

FILES = {
    "adapters/test_dspy.py": "dspy",
    "adapters/test_inspect_ai.py": "inspect_ai",
    "adapters/test_its_hub.py": "its_hub",
    "adapters/test_langchain.py": "langchain_core",
    "adapters/test_llama_index.py": "llama_index",
    "adapters/test_mcp.py": "mcp",
    "adapters/test_mlflow.py": "mlflow",
    "adapters/test_openai_agents.py": "agents",
    "adapters/test_openai_server.py": "starlette",
    "adapters/test_openai_server_config.py": "starlette",
    "adapters/test_openai_server_openapi.py": "starlette",
    "adapters/test_openai_server_responses.py": "starlette",
    "adapters/test_otel.py": "opentelemetry",
    "adapters/test_pydantic_ai.py": "pydantic_ai",
    "recipes/test_mini.py": "scipy",
    "recipes/test_reproduce_small.py": "trl",
    "train/pipeline/test_build.py": "pyarrow",
    "train/pipeline/test_estimate.py": "pyarrow",
    "train/pipeline/test_kill.py": "pyarrow",
}
"""Files of tests that cannot even be read, or of which hardly a test can run, without a module."""


def installed(module: str) -> bool:
    """Whether a module can be imported; it is not imported."""
    return importlib.util.find_spec(module) is not None


def needs(*modules: str) -> pytest.MarkDecorator:
    """A mark for one test, or for one of its parameters."""
    missing = [module for module in modules if not installed(module)]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")
