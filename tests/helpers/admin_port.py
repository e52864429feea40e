"""Requests to the admin port of a container, and requests for it to count."""

import requests
from prometheus_client.parser import text_string_to_metric_families as text_format
from prometheus_client.samples import Sample

from conftest import DEADLINE, Container, docker, until


def ip(container: Container) -> str:
    """Return the container's address in its network."""
    return docker("inspect", "--format={{.NetworkSettings.IPAddress}}", container.id)


def admin_get(container: Container, path: str, port: int = 9090, **headers: str) -> requests.Response:
    """Return the response to a GET of `path` on the admin port, sent from this machine."""
    return requests.get(f"http://{ip(container)}:{port}{path}", headers=headers, timeout=DEADLINE)


def get_in_background(container: Container, path: str) -> None:
    """Send a GET of `path` to the public port from inside the container, without waiting for the response."""
    code = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1{path}')"
    docker("exec", "--detach", container.id, "python3", "-c", code)


def samples(container: Container) -> dict[tuple[str, ...], float]:
    """Return the value of each sample of /metrics, by its name and its labels (`name=value`, sorted)."""

    def key(sample: Sample) -> tuple[str, ...]:
        return sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))

    families = text_format(admin_get(container, "/metrics").text)
    return {key(sample): sample.value for family in families for sample in family.samples}


def until_counted(
    container: Container, key: tuple[str, ...], value: float, deadline: float = DEADLINE
) -> dict[tuple[str, ...], float]:
    """Wait until a sample has at least this value; return all samples. Access lines are counted once a second."""
    until(lambda: samples(container).get(key, 0) >= value, f"{key} becomes {value}", deadline)
    return samples(container)


def until_in_flight(container: Container, count: int) -> None:
    """Wait until exactly this many requests are in flight in the workers."""
    until(lambda: samples(container)["wsgi_requests_in_flight",] == count, f"{count} requests are in flight")


def status(container: Container) -> dict:
    """Return /status.json."""
    return admin_get(container, "/status.json").json()
