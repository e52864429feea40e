"""Flask app that sends a span of each request to a collector of OpenTelemetry."""

from flask import Flask
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from uwsgidecorators import postfork

app = Flask(__name__)
FlaskInstrumentor().instrument_app(app)


@postfork
def send_spans():
    """Start the thread that sends the spans of this worker."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


@app.get("/hello/<name>")
def hello(name):
    """Greet, and log it."""
    app.logger.info("greeted %s", name)
    return f"hello {name}"


@app.get("/health")
def health():
    """Answer the container's health check."""
    return "ok\n"
