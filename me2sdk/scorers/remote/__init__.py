"""Reward models behind an HTTP server: SGLang, vLLM or Text Embeddings Inference."""

from __future__ import annotations

from me2sdk.scorers.remote.scorer import RemoteTRMScorer

__all__ = [
    "RemoteTRMScorer",
]
