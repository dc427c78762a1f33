"""Spans of best_of_n as OpenTelemetry records them, printed as a tree, offline."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from me2sdk import best_of_n
from me2sdk.adapters import otel

exporter = InMemorySpanExporter()  # in production: an OTLP exporter in a BatchSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

otel.instrument()

recorded = iter(
    [
        "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146.",
        "12 * 13 = 120 + 36 = 156. The answer is 156.",
    ]
)


def model(messages, **params):
    """Give a recorded answer, and fail where there is none left."""
    answer = next(recorded, None)
    if answer is None:
        raise ValueError("nothing was recorded")
    return answer


with trace.get_tracer("my application").start_as_current_span("handle a question"):
    result = best_of_n("What is 12 * 13?", model=[model] * 3, n=3, max_concurrency=1)

spans = exporter.get_finished_spans()


def show(parent, depth=0):
    """Print what stands below a span, in the order in which it began."""
    children = [span for span in spans if (span.parent and span.parent.span_id) == parent]
    for span in sorted(children, key=lambda span: span.start_time):
        told = span.attributes
        notes = [
            f"{name} {told['me2sdk.' + name]:.2f}"
            for name in ("reward", "best.reward", "confidence")
            if f"me2sdk.{name}" in told
        ]
        notes += [told["error.type"]] if "error.type" in told else []
        milliseconds = (span.end_time - span.start_time) / 1e6
        print(f"{'  ' * depth}{span.name}  ({', '.join([f'{milliseconds:.0f} ms', *notes])})")
        show(span.context.span_id, depth + 1)


show(None)
