"""Where a model is served, as far as its name tells: so that keys of one provider are not sent to another."""

from __future__ import annotations

from me2sdk.llm.client import LLM

__all__ = ["CONNECTION", "same_provider"]

CONNECTION = frozenset(
    "api_base api_key api_version aws_access_key_id aws_region_name aws_secret_access_key azure_ad_token base_url "
    "custom_llm_provider default_headers extra_headers headers model_list organization region_name vertex_credentials "
    "vertex_location vertex_project".split()
)
"""Parameters of a call that say where it goes and with which key."""


def same_provider(one: LLM, other: LLM) -> bool:
    """Whether the first models of two objects are served by the same provider, as far as their names tell."""
    return _provider(one) == _provider(other)


def _provider(llm: LLM) -> str:
    """``openai`` of ``openai/gpt-4o``, ``gpt`` of ``gpt-4o``."""
    provider, slash, _ = llm.models[0].partition("/")
    return provider if slash else provider.partition("-")[0]
