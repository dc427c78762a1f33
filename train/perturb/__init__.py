"""Preference pairs by construction: a right trace against the same one with one fault, along one dimension of ME².

The fault is known, so a pair needs no judge; the final answer stays right on both sides, and both sides come
from the same hand. Length carries no label: in half of the pairs of each kind the better side is the longer one, by
harmless wording of which either side has more equally often (paper §3 for the dimensions; the construction is our
own).
"""

from __future__ import annotations

from me2sdk.train.perturb.pairs import KINDS, PerturbCounts, count_pairs, perturb_trace, perturb_traces
from me2sdk.train.perturb.read import TraceFile, read_traces, strip_marks

__all__ = [
    "KINDS",
    "PerturbCounts",
    "TraceFile",
    "count_pairs",
    "perturb_trace",
    "perturb_traces",
    "read_traces",
    "strip_marks",
]
