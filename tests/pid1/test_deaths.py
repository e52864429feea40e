"""What happens when a process is killed."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Container, docker, until
from load import load
from processes import FAULTY, NAMES, kill, processes

pytestmark = pytest.mark.alone

Start = Callable[..., Container]


@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept connections", "new connections"])
@pytest.mark.parametrize(
    ("name", "in_flight"), [("uWSGI worker", 8), ("uWSGI master", 0), ("nginx worker", 16), ("nginx master", 0)]
)
def test_a_killed_process_is_replaced_within_2_seconds_and_loses_its_own_requests_at_most(
    start: Start, name: str, in_flight: int, keep_alive: bool
) -> None:
    """Those in flight inside it: masters have none, and what they leave finishes its own."""
    container = start(FAULTY, "--env=WEB_CONCURRENCY=2", "--env=THREADS=8").wait()
    before = {each: len(processes(container, each)) for each in NAMES}
    with load(container, keep_alive=keep_alive) as clients:
        time.sleep(0.5)
        killed = kill(container, name)
        time.sleep(2)
    assert len(clients.lost) <= in_flight, clients.lost
    assert clients.silence < 2
    assert {each: len(processes(container, each)) for each in NAMES} == before
    assert killed not in processes(container, name)


def test_what_a_dead_master_of_uwsgi_leaves_finishes_its_requests_and_goes(start: Start) -> None:
    """While new workers answer already."""
    container = start(FAULTY, "--env=WEB_CONCURRENCY=2").wait()
    before = processes(container, "uWSGI worker")
    with load(container, path="/sleep?s=0.5") as clients:
        time.sleep(0.7)
        kill(container, "uWSGI master")
        time.sleep(2)
    assert clients.lost == []
    assert clients.answered > 48
    assert not set(before) & set(processes(container, "uWSGI worker"))


@pytest.mark.parametrize("name", ["uWSGI master", "nginx master"])
def test_a_program_that_dies_again_and_again_ends_the_container(start: Start, name: str) -> None:
    """Within 15 seconds, and not with 0."""
    container = start(FAULTY).wait()
    end = time.monotonic() + 15
    while container.running and time.monotonic() < end:
        # It may be away just now, or the container be gone.
        pids = docker("exec", container.id, "sh", "-c", "grep -l . /proc/[0-9]*/cmdline", check=False)
        found = [
            pid
            for pid in re.findall(r"/proc/(\d+)/", pids)
            if re.search(NAMES[name], docker("exec", container.id, "cat", f"/proc/{pid}/cmdline", check=False))
        ]
        for pid in found:
            docker("exec", container.id, "sh", "-c", f"kill -9 {pid}", check=False)
    assert not container.running
    assert container.exit_code() not in (0, 22, 78)


def test_nothing_survives_process_1(start: Start) -> None:
    """The kernel ends a container with its first process."""
    container = start(FAULTY).wait()
    pids = [line.split()[1] for line in docker("top", container.id).splitlines()[1:]]
    assert len(pids) > 4
    docker("kill", container.id)
    assert container.exit_code() == 137
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "all of its processes are gone")
