"""OpenTelemetry, as docs/observability.md describes it: spans arrive at a collector."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from conftest import APPS, REPO, Container, build, docker, until

Start = Callable[..., Container]

COLLECTOR = REPO / "tests/helpers/otlp_collector.py"
FOREVER = "--env=OTEL_BSP_SCHEDULE_DELAY=600000"
"""Spans are sent when the worker ends, and not before."""


@pytest.fixture(scope="module")
def image(context: Callable[..., Path]) -> str:
    return build(context("traces"))


@pytest.fixture(scope="module")
def collector(start: Start) -> Container:
    return start(f"--volume={COLLECTOR}:/collector.py:ro", command=("python3", "/collector.py"), publish=False)


@pytest.fixture
def serve(start: Start, collector: Container) -> Start:
    """Start the app with variables as the documentation names them: serve(OPTION OF docker run...)."""
    address = docker("inspect", "--format={{.NetworkSettings.IPAddress}}", collector.id)
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}:4318",
        "OTEL_SERVICE_NAME": "greetings",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-request-id",
        "OTEL_PYTHON_FLASK_EXCLUDED_URLS": "health",
    }
    return lambda *options: start(*(f"--env={name}={value}" for name, value in variables.items()), *options).wait()


def ask(container: Container, trace: str) -> requests.Response:
    """Send a request that belongs to a trace."""
    return container.get("/hello/ada", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})


def trace_ids(start: int, count: int) -> list[str]:
    """Return IDs of traces, as 32 hexadecimal digits each."""
    return [f"{number:032x}" for number in range(start, start + count)]


def test_a_span_has_the_trace_id_and_the_request_id_of_its_request(serve: Start, collector: Container) -> None:
    container = serve("--env=OTEL_BSP_SCHEDULE_DELAY=100")
    (trace,) = trace_ids(1, 1)
    request_id = ask(container, trace).headers["X-Request-ID"]
    until(lambda: collector.lines, "a span arrives")
    (span,) = collector.lines
    assert (span["trace"], span["parent"]) == (trace, "00f067aa0ba902b7")
    assert (span["name"], span["service.name"]) == ("GET /hello/<name>", "greetings")
    assert span["http.request.header.x_request_id"] == request_id
    until(lambda: "GET /hello/ada" in container.log, "the request is logged")
    logged = [line for line in container.lines if trace in str(line.get("traceparent"))]
    assert {(line["source"], line["request_id"]) for line in logged} == {("nginx", request_id), ("app", request_id)}


@pytest.mark.parametrize("preload", ["off", "on"])
def test_neither_a_reload_nor_a_stop_loses_a_span(serve: Start, collector: Container, preload: str) -> None:
    container = serve(FOREVER, "--env=PROCESSES=2", f"--env=PRELOAD={preload}")
    before, after = trace_ids(1000, 20), trace_ids(2000, 20)
    for trace in before:
        ask(container, trace)
    sent = len(collector.lines)
    docker("kill", "--signal=HUP", container.id)
    until(lambda: len(collector.lines) >= sent + 20, "the spans of the old workers arrive")
    for trace in after:
        ask(container, trace)
    docker("stop", container.id)
    until(lambda: len(collector.lines) >= sent + 40, "the spans of the new workers arrive")
    assert sorted(span["trace"] for span in collector.lines[sent:]) == before + after


def test_the_code_in_the_documentation_is_that_of_the_tested_app() -> None:
    (code,) = re.findall(r"^```python\n(from flask.*?)^```", (REPO / "docs/observability.md").read_text(), re.M | re.S)
    routes = (APPS / "traces/routes.py").read_text().splitlines()
    assert [line for line in code.splitlines() if line not in routes] == []
