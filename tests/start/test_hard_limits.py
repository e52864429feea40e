"""What happens in a container that has little of something."""

import resource
import time
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
def test_it_serves_and_stops_with_little(start: Start, options: tuple[str, ...]) -> None:
    """Requests one after the other, and eight at once; then it stops with 0."""
    container = start(FAULTY, *options).wait()
    for _ in range(20):
        assert container.get("/quick").status_code == 200
    with load(container, clients=8) as clients:
        time.sleep(1.5)
    assert clients.lost == []
    assert clients.answered > 20
    docker("stop", container.id)
    assert container.exit_code() == 0


def test_an_upload_into_a_full_tmp_is_refused_and_all_else_goes_on(start: Start) -> None:
    """A tmpfs of 8 MB, and a body of 9."""
    container = start(FAULTY, "--read-only", "--tmpfs=/run", "--tmpfs=/tmp:size=8m").wait()
    assert requests.post(container.url("/quick"), data=b"x" * (9 << 20), timeout=20).status_code == 503
    assert container.get("/quick").status_code == 200
    assert requests.post(container.url("/quick"), data=b"x" * (2 << 20), timeout=20).status_code == 200
