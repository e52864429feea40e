"""/metrics: what is counted, and the app's own metrics, in Prometheus's text format or OpenMetrics.

Imported when first asked for: process 1 of a container that nobody scrapes saves the memory. Names and units follow
https://prometheus.io/docs/practices/naming/.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from wsgi_runtime import METRICS
from wsgi_runtime.admin.metrics import BUCKETS, Metrics, resident_memory


@dataclass(eq=False)
class Collector:
    """Our own metrics, as prometheus_client collects them."""

    metrics: Metrics
    status: dict[str, Any]

    def collect(self) -> Iterator[Any]:
        """Each family in turn."""
        counted, status = self.metrics, self.status
        yield counter("wsgi_requests", "Requests answered.", dict(counted.requests), "method", "status")
        yield durations(counted)
        yield gauge("wsgi_requests_in_flight", "Requests that workers have in hand.", {(): counted.in_flight()})
        yield counter("wsgi_sent_bytes", "Bytes sent to clients.", {(): counted.sent})
        yield counter("wsgi_received_bytes", "Bytes received from clients.", {(): counted.received})
        yield counter("wsgi_cache_requests", "Requests that nginx asked its cache for.", counted.cache, "status")
        yield counter("wsgi_exceptions", "Exceptions that the app left.", counted.exceptions_by_type(), "type")

        yield gauge("wsgi_workers", "uWSGI workers.", counted.workers_by_state(), "state")
        memory = {worker["id"]: resident_memory(worker["pid"]) for worker in counted.workers}
        yield gauge("wsgi_worker_memory_bytes", "Resident memory.", memory, "worker")
        requests = {worker: count for (name, worker), count in counted.totals.items() if name == "requests"}
        yield counter("wsgi_worker_requests", "Requests that a worker took.", requests, "worker")
        respawns = {(): counted.total("respawn_count")}
        yield counter("wsgi_worker_respawns", "Workers that took the place of others.", respawns)
        kills = {"deadline": counted.kills, "harakiri": counted.total("harakiri_count")}
        yield counter("wsgi_worker_kills", "Workers replaced for requests that took too long.", kills, "reason")
        if status["queue"] is not None:
            yield gauge("wsgi_listen_queue_requests", "Requests that wait for a worker.", {(): status["queue"]})
        yield gauge("wsgi_nginx_connections", "Connections to nginx.", status["connections"], "state")

        yield counter("wsgi_program_restarts", "Programs started again.", counted.restarts(), "program")
        reloads = {result: counted.reloads[result] for result in ("success", "failure")}
        yield counter("wsgi_reloads", "Reloads, by whether the new code could be imported.", reloads, "result")
        yield gauge("wsgi_healthy", "Whether the status page has nothing to complain of.", {(): status["healthy"]})
        yield gauge("wsgi_start_time_seconds", "When the container started, in Unix time.", {(): counted.started})
        versions = status["versions"]
        yield gauge("wsgi_build_info", "What is running.", {tuple(versions.values()): 1}, *versions)


def counter(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Any:
    """A family of counters; the keys of `values` are the labels' values."""
    return _filled(CounterMetricFamily(name, text, labels=labels), values)


def gauge(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Any:
    """A family of gauges; the keys of `values` are the labels' values."""
    return _filled(GaugeMetricFamily(name, text, labels=labels), values)


def _filled(family: Any, values: Mapping[Any, float]) -> Any:
    for key, value in values.items():
        family.add_metric([str(label) for label in (key if isinstance(key, tuple) else (key,))], value)
    return family


def durations(counted: Metrics) -> HistogramMetricFamily:
    """How long requests took, by endpoint."""
    text = "Time from a request's first byte to its answer's last."
    family = HistogramMetricFamily("wsgi_request_duration_seconds", text, labels=["endpoint"])
    for endpoint, counts in counted.buckets.items():
        sums = [sum(counts[: index + 1]) for index in range(len(counts))]
        bounds = [*(str(float(bound)) for bound in BUCKETS), "+Inf"]
        family.add_metric([endpoint], list(zip(bounds, sums, strict=True)), counted.seconds[endpoint])
    return family


def render(metrics: Metrics, status: dict[str, Any], accept: str) -> tuple[bytes, str]:
    """The metrics in the format that an Accept header asks for, and its media type."""
    registry = CollectorRegistry()
    registry.register(Collector(metrics, status))
    MultiProcessCollector(registry, str(METRICS))  # type: ignore[no-untyped-call]
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
