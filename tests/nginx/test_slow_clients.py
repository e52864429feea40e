"""Slow clients, more clients than can be served at once, and a system clock that jumps."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from admin_port import status
from conftest import Container, docker, until
from load import SLOW, load
from processes import FAULTY, processes

pytestmark = pytest.mark.alone

Start = Callable[..., Container]

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.mark.parametrize("kind", SLOW)
def test_slow_clients_neither_stall_nor_fail_the_requests_of_others(start: Start, kind: str) -> None:
    """`make faults` measures how much slower these requests are."""
    container = start(FAULTY).wait()
    slow_clients = int(re.search(r"-c (\d+)", SLOW[kind])[1])
    command = ["slowhttptest", *SLOW[kind].split(), "-l", "6", "-u", container.url("/quick")]
    slow = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until(lambda: sum(status(container)["connections"].values()) >= slow_clients, "all slow clients are connected")
    with load(container, clients=4) as clients:
        output, _ = slow.communicate()
    assert "YES" in output, "slowhttptest found the service available"
    assert clients.lost == []
    assert clients.answered > 100
    assert clients.silence < 1


def test_four_times_more_clients_than_threads_get_as_many_responses_per_second(start: Start) -> None:
    container = start(FAULTY, "--cpus=1", "--env=PROCESSES=2", "--env=THREADS=8").wait()
    rate = {}
    for clients, requests in (16, 1500), (64, 6000):
        with load(container, clients=clients, path="/burn?s=0.002") as running:
            running.until_answered(requests, deadline=60)
        assert running.lost == []
        ends = [end for _, end, _ in running.outcomes]
        rate[clients] = running.answered / (max(ends) - min(ends))
    assert rate[64] > 0.8 * rate[16]
    began = time.monotonic()
    assert container.get("/quick").status_code == 200
    assert time.monotonic() - began < 2


def test_a_clock_that_jumps_neither_loses_a_request_nor_restarts_a_process(start: Start, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0s")
    tmp_path.chmod(0o755)
    container = start(
        FAULTY,
        f"--volume={FAKETIME}:/faketime.so:ro",
        f"--volume={tmp_path}:/clock:ro",
        "--env=LD_PRELOAD=/faketime.so",
        "--env=FAKETIME_TIMESTAMP_FILE=/clock/clock",
        "--env=FAKETIME_NO_CACHE=1",
        "--env=DONT_FAKE_MONOTONIC=1",
    ).wait()

    def hour() -> str:
        return container.exec("date", "+%F %H")

    def pids() -> tuple[str, list[int]]:
        return container.exec("supervisorctl", "pid", "all"), processes(container, "uWSGI worker")

    before = pids()
    with load(container, clients=4) as clients:
        for jump in ("+3600s", "-3600s"):
            previous = hour()
            clock.write_text(jump)
            until(lambda previous=previous: hour() != previous, "the clock has jumped")
            clients.until_answered(2000)
    assert clients.lost == []
    assert clients.silence < 1
    assert pids() == before
    docker("stop", container.id)
    assert container.exit_code() == 0
