"""Reasoning DAGs: the graph and how it grows, its views and metrics, and how it is written and drawn."""

from __future__ import annotations

from me2sdk.dag.builder import AttachmentPool, DAGBuilder
from me2sdk.dag.export import excerpt as excerpt
from me2sdk.dag.graph import Action, AnnotationError, DAGNode, ReasoningDAG
from me2sdk.dag.html import figure as figure, figure_script as figure_script
from me2sdk.dag.metrics import DAGMetrics
from me2sdk.dag.views import (
    header as header,
    join_nodes as join_nodes,
    macro_view as macro_view,
    micro_view as micro_view,
)

__all__ = [
    "Action",
    "AnnotationError",
    "AttachmentPool",
    "DAGBuilder",
    "DAGMetrics",
    "DAGNode",
    "ReasoningDAG",
]
