"""Traces of best_of_n in an MLflow store, in a temporary folder, offline."""

import contextlib
import logging
import os
import tempfile

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # MLflow reports its own use otherwise
os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "false"  # write at once, since we read at once

import mlflow

from me2sdk import best_of_n
from me2sdk.adapters.mlflow import autolog

logging.getLogger("mlflow").setLevel(logging.WARNING)

recorded = iter(
    [
        "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146.",
        "12 * 13 = 120 + 36 = 156. The answer is 156.",
        "It should be about 150. Maybe 12 * 13 = 150.",
    ]
)


def model(messages, **params):
    """Give a recorded answer."""
    return next(recorded)


with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("reasoning")
    autolog()

    best_of_n("What is 12 * 13?", model=model, n=3)

    (trace,) = mlflow.search_traces(return_type="list")
    print(f"trace {trace.info.state.value}, {len(trace.data.spans)} spans")
    for span in trace.data.spans:
        print(f"  {span.span_type:<10} {span.name:<12} {str(span.outputs)[:90]}")
    autolog(disable=True)
