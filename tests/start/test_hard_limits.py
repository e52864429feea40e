"""Containers with little CPU time, memory, processes, files or disk space."""

import resource
from collections.abc import Callable

import pytest
import requests

from conftest import Container, docker
from load import load
from processes import FAULTY

pytestmark = pytest.mark.alone

Start = Callable[..., Container]


@pytest.mark.parametrize(
    "options",
    [
        ("--cpus=0.25", "--memory=96m"),
        ("--pids-limit=32",),
        ("--ulimit=nofile=64",),
        ("--ulimit=nofile=1024",),
        (f"--ulimit=nofile={min(1_000_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])}",),
        ("--sysctl=net.core.somaxconn=128",),
        ("--sysctl=net.ipv6.conf.all.disable_ipv6=1",),
    ],
    ids=lambda options: " ".join(options),
)
def test_a_container_serves_and_stops_under_a_limit(start: Start, options: tuple[str, ...]) -> None:
    container = start(FAULTY, *options).wait()
    for _ in range(20):
        assert container.get("/quick").status_code == 200
    with load(container, clients=8) as clients:
        clients.until_answered(100)
    assert clients.lost == []
    docker("stop", container.id)
    assert container.exit_code() == 0


def test_an_upload_that_does_not_fit_into_tmp_is_answered_with_503_and_other_requests_are_served(start: Start) -> None:
    container = start(FAULTY, "--read-only", "--tmpfs=/run", "--tmpfs=/tmp:size=8m").wait()
    assert requests.post(container.url("/quick"), data=b"x" * (9 << 20), timeout=20).status_code == 503
    assert container.get("/quick").status_code == 200
    assert requests.post(container.url("/quick"), data=b"x" * (2 << 20), timeout=20).status_code == 200
