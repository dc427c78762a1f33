from __future__ import annotations

import pytest

from me2sdk import LLM
from me2sdk.llm import same_provider


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("openai/gpt-4o-mini", "openai/gpt-4o", True),
        ("openai/gpt-4o", "anthropic/claude-sonnet-4", False),
        ("gpt-4o-mini", "gpt-4o", True),
        ("gpt-4o", "claude-sonnet-4", False),
        ("hosted_vllm/a", "openai/a", False),
    ],
)
def test_names_tell_where_a_model_is_served(one: str, other: str, same: bool) -> None:
    assert same_provider(LLM(one), LLM(other)) is same
