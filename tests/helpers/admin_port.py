"""Requests to the admin port of a container."""

import requests
from prometheus_client.parser import text_string_to_metric_families as text_format
from prometheus_client.samples import Sample

from conftest import DEADLINE, Container, docker, until

ASK = "import urllib.request; urllib.request.urlopen('http://127.0.0.1{}')"
"""Python code that sends one request from inside the container; `{}` is the path."""


def ip(container: Container) -> str:
    """The container's address in its network."""
    return docker("inspect", "--format={{.NetworkSettings.IPAddress}}", container.id)


def private(container: Container, path: str, port: int = 9090, **headers: str) -> requests.Response:
    """GETs `path` of the private port, from this machine."""
    return requests.get(f"http://{ip(container)}:{port}{path}", headers=headers, timeout=DEADLINE)


def samples(container: Container) -> dict[tuple[str, ...], float]:
    """Every sample: its name and the values of its labels, and its own value."""

    def key(sample: Sample) -> tuple[str, ...]:
        return sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))

    families = text_format(private(container, "/metrics").text)
    return {key(sample): sample.value for family in families for sample in family.samples}


def until_counted(container: Container, key: tuple[str, ...], value: float) -> dict[tuple[str, ...], float]:
    """Waits until a sample has at least the value; returns all. nginx's lines come once a second."""
    until(lambda: samples(container).get(key, 0) >= value, f"{key} becomes {value}")
    return samples(container)


def status(container: Container) -> dict:
    """What /status.json says."""
    return private(container, "/status.json").json()
