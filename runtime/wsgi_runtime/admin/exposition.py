"""/metrics: our own metrics and the app's, in Prometheus's text format or OpenMetrics.

Names and units follow https://prometheus.io/docs/practices/naming/.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from wsgi_runtime import METRICS
from wsgi_runtime.admin.metrics import BUCKETS, Metrics
from wsgi_runtime.scoreboard import resident_memory


@dataclass(eq=False)
class Collector:
    """Gives prometheus_client families that have been collected already."""

    families: list[Any]

    def collect(self) -> list[Any]:
        """Return each family."""
        return self.families


def families(metrics: Metrics, status: dict[str, Any]) -> Iterator[Any]:
    """Yield each family of our own metrics."""
    yield counter("wsgi_requests", "Requests that got a response.", dict(metrics.requests), "method", "status")
    yield durations(metrics)
    yield gauge("wsgi_requests_in_flight", "Requests that are being served.", {(): metrics.in_flight()})
    yield counter("wsgi_sent_bytes", "Bytes sent to clients.", {(): metrics.sent})
    yield counter("wsgi_received_bytes", "Bytes received from clients.", {(): metrics.received})
    yield counter("wsgi_cache_requests", "Requests that Nginx looked up in its cache.", metrics.cache, "status")
    exceptions = metrics.exceptions_by_type()
    yield counter("wsgi_exceptions", "Exceptions that the app did not handle.", exceptions, "type")

    yield gauge("wsgi_workers", "uWSGI workers.", metrics.workers_by_state(), "state")
    memory = {number: resident_memory(worker.pid) for number, worker in enumerate(metrics.bank().workers, 1)}
    yield gauge("wsgi_worker_memory_bytes", "Resident memory.", memory, "worker")
    requests = {worker: count for (name, worker), count in metrics.totals.items() if name == "requests"}
    yield counter("wsgi_worker_requests", "Requests that a worker has served.", requests, "worker")
    respawns = {(): metrics.total("respawns")}
    yield counter("wsgi_worker_respawns", "Worker processes started again after the previous one died.", respawns)
    kills = {"deadline": status["kills"]}
    yield counter("wsgi_worker_kills", "Workers replaced because a request exceeded REQUEST_TIMEOUT.", kills, "reason")
    if status["queue"] is not None:
        yield gauge("wsgi_listen_queue_requests", "Requests that wait for a worker.", {(): status["queue"]})
    yield gauge("wsgi_nginx_connections", "Connections to Nginx.", status["connections"], "state")
    dropped = {(): metrics.board.dropped_lines}
    yield counter("wsgi_log_dropped_lines", "Log lines dropped because the log reader was too slow.", dropped)

    yield counter("wsgi_program_restarts", "Restarts of a program.", status["restarts"], "program")
    running = {name: state in ("running", "starting") for name, state in status["programs"].items()}
    yield gauge("wsgi_program_up", "1 if all processes of a program run, otherwise 0.", running, "program")
    reloads = {result: status["reloads"].get(result, 0) for result in ("success", "failure")}
    yield counter("wsgi_reloads", "Replacements of uWSGI by a new instance.", reloads, "result")
    yield gauge("wsgi_healthy", "1 if the status page shows no problem, otherwise 0.", {(): status["healthy"]})
    yield gauge("wsgi_start_time_seconds", "Time when the container started, in Unix time.", {(): status["start"]})
    versions = status["versions"]
    yield gauge("wsgi_build_info", "Versions in the container.", {tuple(versions.values()): 1}, *versions)


def counter(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Any:
    """Return a family of counters; the keys of `values` are label values."""
    return _filled(CounterMetricFamily(name, text, labels=labels), values)


def gauge(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Any:
    """Return a family of gauges; the keys of `values` are label values."""
    return _filled(GaugeMetricFamily(name, text, labels=labels), values)


def _filled(family: Any, values: Mapping[Any, float]) -> Any:
    for key, value in values.items():
        family.add_metric([str(label) for label in (key if isinstance(key, tuple) else (key,))], value)
    return family


def durations(metrics: Metrics) -> HistogramMetricFamily:
    """Return the histogram of request durations by endpoint."""
    text = "Time from the first byte of a request to the last byte of its response."
    family = HistogramMetricFamily("wsgi_request_duration_seconds", text, labels=["endpoint"])
    for endpoint, counts in metrics.buckets.items():
        sums = [sum(counts[: index + 1]) for index in range(len(counts))]
        bounds = [*(str(float(bound)) for bound in BUCKETS), "+Inf"]
        family.add_metric([endpoint], list(zip(bounds, sums, strict=True)), metrics.seconds[endpoint])
    return family


def render(metrics: Metrics, status: dict[str, Any], accept: str) -> tuple[bytes, str]:
    """Return the metrics in the format that an Accept header asks for, and its media type."""
    registry = CollectorRegistry()
    with metrics.lock:
        registry.register(Collector(list(families(metrics, status))))
    MultiProcessCollector(registry, str(METRICS))  # type: ignore[no-untyped-call]
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
