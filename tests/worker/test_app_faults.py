"""Faults of the app: requests that hang, leaks, crashes, and threads and processes that a request leaves behind."""

import itertools
import time
from collections.abc import Callable
from datetime import datetime

import pytest
import requests

from admin_port import status
from conftest import Container, docker, until
from load import load
from processes import FAULTY, processes

pytestmark = pytest.mark.alone

Start = Callable[..., Container]


def worker(container: Container) -> str:
    """Return the process id of the worker that answers a request."""
    return container.get("/quick").text.split()[1]


def until_replaced(container: Container, count: int) -> None:
    """Wait until `count` different workers have answered requests."""
    workers: set[str] = set()
    until(lambda: workers.add(worker(container)) or len(workers) >= count, "workers are replaced")


# --- Timeouts ---


def test_a_request_that_exceeds_request_timeout_gets_a_504_and_disturbs_no_other(start: Start) -> None:
    container = start(FAULTY, "--env=REQUEST_TIMEOUT=3", "--env=PROCESSES=1", "--env=THREADS=4").wait()
    hanging = worker(container)
    with load(container, clients=2, path="/sleep?s=1") as others:
        answer = container.get("/hang", headers={"Accept": "application/json"})
        until(lambda: worker(container) != hanging, "the worker that hangs is replaced")
    assert others.lost == []
    request_id = answer.headers["X-Request-ID"]
    assert (answer.status_code, answer.json()) == (504, {"status": 504, "request_id": request_id})

    def logged() -> list[dict[str, object]]:
        return [line for line in container.lines if line.get("request_id") == request_id]

    until(lambda: {"nginx", "supervisord"} <= {line["source"] for line in logged()}, "Nginx and PID 1 log the request")
    assert all("/hang" in str(line["message"]) for line in logged())


def test_a_browser_gets_the_504_as_a_page_with_the_request_id(start: Start) -> None:
    container = start(FAULTY, "--env=REQUEST_TIMEOUT=1").wait()
    answer = container.get("/hang", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["X-Request-ID"] in answer.text


def test_a_response_that_stalls_is_cut_after_request_timeout(start: Start) -> None:
    container = start(FAULTY, "--env=REQUEST_TIMEOUT=2", "--env=GRACE_PERIOD=2").wait()
    began = time.monotonic()
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        container.get("/stall")
    assert 2 <= time.monotonic() - began < 8


# --- Memory and processes ---


def test_workers_that_leak_300_mb_in_a_container_of_200_mb_are_replaced_and_no_request_is_lost(start: Start) -> None:
    container = start(FAULTY, "--memory=200m", "--env=PROCESSES=2").wait()
    answers = [container.get("/leak") for _ in range(300)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) > 2
    assert docker("inspect", "--format={{.State.OOMKilled}}", container.id) == "false"


def test_uwsgi_is_replaced_after_max_requests_and_no_request_is_lost(start: Start) -> None:
    container = start(FAULTY, "--env=MAX_REQUESTS=500", "--env=PROCESSES=2").wait()
    with load(container) as clients:
        until_replaced(container, 6)
    assert clients.lost == []


def test_a_replaced_uwsgi_finishes_its_long_requests_while_the_next_one_serves(start: Start) -> None:
    container = start(FAULTY, "--env=MAX_REQUESTS=50", "--env=PROCESSES=2", "--env=THREADS=4").wait()
    with load(container, clients=4) as clients, load(container, clients=2, path="/sleep?s=8") as long_requests:
        until_replaced(container, 6)
    assert clients.lost == [] == long_requests.lost
    assert clients.silence < 2


def test_an_app_that_does_not_fit_its_share_of_memory_is_not_replaced_after_each_request(start: Start) -> None:
    container = start(FAULTY, "--memory=320m", "--env=PROCESSES=2", "--env=BALLAST=110").wait()
    assert len({worker(container) for _ in range(40)}) <= 2
    until(
        lambda: any(line["level"] == "warning" and "320 MB" in str(line["message"]) for line in container.lines),
        "a warning names the memory limit",
    )


def test_a_request_that_allocates_all_memory_only_kills_its_worker(start: Start) -> None:
    container = start(FAULTY, "--memory=256m", "--memory-swap=256m", "--env=PROCESSES=2").wait()
    assert container.get("/devour").status_code == 502
    until(container.answers, "another worker answers")
    assert container.get("/quick").status_code == 200
    assert container.running


def test_a_request_that_starts_processes_up_to_the_pids_limit_fails_alone(start: Start) -> None:
    container = start(FAULTY, "--pids-limit=64").wait()
    assert container.get("/breed").status_code >= 500
    assert container.get("/quick").status_code == 200
    assert container.running
    docker("stop", container.id)
    assert container.exit_code() == 0


# --- Crashes ---


@pytest.mark.parametrize("fault", ["segfault", "leave"])
def test_a_request_that_crashes_its_worker_gets_a_502_and_the_worker_is_replaced(start: Start, fault: str) -> None:
    container = start(FAULTY, "--env=PROCESSES=2").wait()
    for _ in range(3):
        answer = container.get(f"/{fault}")
        assert answer.status_code == 502
        assert answer.headers["X-Request-ID"] in answer.text
        assert container.get("/quick").status_code == 200
    until(lambda: len(processes(container, "uWSGI worker")) == 2, "both workers run")


def test_a_thread_that_never_ends_delays_a_reload_or_a_stop_by_the_grace_period_at_most(start: Start) -> None:
    container = start(FAULTY, "--env=PROCESSES=1", "--env=GRACE_PERIOD=3").wait()
    container.get("/thread")
    before = worker(container)
    docker("kill", "--signal=HUP", container.id)
    until(lambda: worker(container) != before, "the worker is replaced")
    container.get("/thread")
    began = time.monotonic()
    docker("stop", container.id)
    assert time.monotonic() - began < 5
    assert container.exit_code() == 0


def test_pid_1_reaps_orphans(start: Start) -> None:
    container = start(FAULTY).wait()
    for _ in range(5):
        container.get("/abandon")
    running = "cat /proc/[0-9]*/stat 2> /dev/null; true"
    until(lambda: "(sleep)" not in container.exec("sh", "-c", running), "neither orphans nor zombies are left")


# --- The queue ---


def test_requests_that_do_not_fit_into_the_queue_get_a_503_with_retry_after(start: Start) -> None:
    container = start(FAULTY, "--sysctl=net.core.somaxconn=8", "--env=PROCESSES=1", "--env=THREADS=1").wait()
    with load(container, clients=40, path="/sleep?s=0.1", keep_alive=False) as clients:
        until(lambda: container.get("/quick").status_code == 503, "the queue is full")
        answers = [container.get("/quick") for _ in range(20)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {(answer.status_code, answer.headers["Retry-After"]) for answer in refused} <= {(503, "1")}
    assert set(clients.lost) == {"503"}
    until(lambda: container.get("/quick").status_code == 200, "the queue is empty", 2)


def test_workers_that_die_right_after_their_start_are_replaced_ever_more_slowly_and_reported(
    start: Start, app: Callable[[str], str]
) -> None:
    dies = "import os, threading\nprint('imported')\nthreading.Timer(0.2, os._exit, (3,)).start()\n"
    container = start(app(dies + "def app(environ, start_response): pass\n"), "--env=PROCESSES=1")

    def longest_pause() -> float:
        times = [datetime.fromisoformat(line["time"]) for line in container.lines if line["message"] == "imported"]
        return max(((after - before).total_seconds() for before, after in itertools.pairwise(times)), default=0)

    until(lambda: longest_pause() > 3, "a worker waits before it loads the app", 60)
    until(lambda: "worker 1 died" in str(status(container)["problems"]), "the status page reports the worker")
