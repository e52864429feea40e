"""Processes that are killed."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from admin_port import until_in_flight
from conftest import Container, docker, until
from load import load
from processes import FAULTY, counts, kill, processes

pytestmark = pytest.mark.alone

Start = Callable[..., Container]


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "new connections"])
@pytest.mark.parametrize(
    ("name", "max_lost"), [("uWSGI worker", 8), ("uWSGI master", 0), ("nginx worker", 16), ("nginx master", 0)]
)
def test_a_killed_process_is_replaced_within_2_seconds_and_only_its_own_requests_are_lost(
    start: Start, name: str, max_lost: int, keep_alive: bool
) -> None:
    """A master has no requests of its own, and its workers finish theirs."""
    container = start(FAULTY, "--env=PROCESSES=2", "--env=THREADS=8").wait()
    before = counts(container)
    with load(container, keep_alive=keep_alive) as clients:
        clients.until_answered(200)
        killed = kill(container, name)
        until(lambda: killed not in processes(container, name) and counts(container) == before, "it is replaced")
        clients.until_answered(200)
    assert len(clients.lost) <= max_lost, clients.lost
    assert clients.silence < 2


def test_workers_of_a_killed_uwsgi_master_finish_their_requests_and_exit(start: Start) -> None:
    container = start(FAULTY, "--env=PROCESSES=2").wait()
    before = set(processes(container, "uWSGI worker"))
    with load(container, path="/sleep?s=0.5") as clients:
        until_in_flight(container, 16)
        kill(container, "uWSGI master")
        until(lambda: not before & set(processes(container, "uWSGI worker")), "the old workers exit")
        clients.until_answered(16)
    assert clients.lost == []


@pytest.mark.parametrize("name", ["uWSGI master", "nginx master"])
def test_a_program_that_dies_again_and_again_ends_the_container_within_15_seconds(start: Start, name: str) -> None:
    container = start(FAULTY).wait()
    end = time.monotonic() + 15
    while container.running and time.monotonic() < end:
        # The process may not run yet, and the container may have exited.
        with contextlib.suppress(IndexError, AssertionError):
            kill(container, name)
    assert not container.running
    assert container.exit_code() not in (0, 22, 78)


def test_no_process_survives_pid_1(start: Start) -> None:
    container = start(FAULTY).wait()
    pids = [line.split()[1] for line in docker("top", container.id).splitlines()[1:]]
    assert len(pids) > 4
    docker("kill", container.id)
    assert container.exit_code() == 137
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "all of its processes are gone")
