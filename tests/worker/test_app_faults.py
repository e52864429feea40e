"""What happens when the app misbehaves: it hangs, leaks, crashes, or leaves things behind."""

import re
import threading
import time
from collections.abc import Callable

import pytest
import requests

from admin_port import ip
from conftest import Container, docker, until
from load import load
from processes import FAULTY

pytestmark = pytest.mark.alone

Start = Callable[..., Container]


def worker(container: Container) -> str:
    """The process that answers."""
    return container.get("/quick").text.split()[1]


def listing(container: Container, what: str) -> str:
    """A file of each process's folder in /proc, joined."""
    return container.exec("sh", "-c", f"cat /proc/[0-9]*/{what} 2> /dev/null | tr '\\0' ' '")


# --- Too long ---


def test_a_request_over_its_time_gets_a_504_and_touches_no_other(start: Start) -> None:
    """Its page has the request id, the log its path; those that run beside it are answered; its worker is freed."""
    container = start(FAULTY, "--env=REQUEST_TIMEOUT=3", "--env=WEB_CONCURRENCY=1", "--env=THREADS=4").wait()
    hanging = worker(container)
    beside: list[int] = []

    def ask() -> None:
        time.sleep(2)
        beside.append(container.get("/sleep?s=2").status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    answer = container.get("/hang", headers={"Accept": "application/json"})
    assert answer.status_code == 504
    assert answer.json() == {"status": 504, "request_id": answer.headers["X-Request-ID"]}
    asking.join()
    assert beside == [200]
    line = next(line for line in container.lines if line.get("request_id") == answer.headers["X-Request-ID"])
    assert (line["path"], line["status"]) == ("/hang", 504)
    until(lambda: "request /hang exceeded REQUEST_TIMEOUT (3 s)" in container.log, "its path is in the log")
    until(lambda: worker(container) != hanging, "the worker that hangs is replaced", 15)


def test_a_person_gets_a_page_with_the_request_id(start: Start) -> None:
    """HTML for whoever asks for it."""
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


# --- Too much ---


def test_a_leaking_worker_is_replaced_before_the_memory_ends_and_no_request_is_lost(start: Start) -> None:
    """300 MB are leaked in 200 MB."""
    container = start(FAULTY, "--memory=200m", "--env=WEB_CONCURRENCY=2").wait()
    seen = {container.get("/leak").text.split()[1] for _ in range(300)}
    assert len(seen) > 2
    assert "signal 9" not in container.log


def test_uwsgi_is_replaced_after_max_requests_and_no_request_is_lost(start: Start) -> None:
    container = start(FAULTY, "--env=MAX_REQUESTS=500", "--env=PROCESSES=2").wait()
    with load(container) as clients:
        seen: set[str] = set()
        until(lambda: seen.add(worker(container)) or len(seen) >= 6, "workers are replaced")
    assert clients.lost == []


def test_a_replacement_waits_for_a_long_request_while_others_serve(start: Start) -> None:
    container = start(FAULTY, "--env=MAX_REQUESTS=50", "--env=PROCESSES=2", "--env=THREADS=4").wait()
    with load(container, clients=2, path="/sleep?s=8") as long_ones, load(container, clients=4) as clients:
        time.sleep(5)
    assert clients.lost == [] == long_ones.lost
    assert clients.silence < 2


def test_an_app_that_does_not_fit_its_share_of_memory_is_not_replaced_after_each_request(start: Start) -> None:
    container = start(FAULTY, "--memory=320m", "--env=PROCESSES=2", "--env=BALLAST=110").wait()
    seen = {worker(container) for _ in range(40)}
    assert len(seen) <= 2
    until(lambda: "more than the memory limit of 320 MB allows" in container.log, "the log warns")


def test_a_request_that_allocates_without_bound_costs_its_worker_alone(start: Start) -> None:
    """In a container of 256 MB; the next request works."""
    container = start(FAULTY, "--memory=256m", "--memory-swap=256m", "--env=WEB_CONCURRENCY=2").wait()
    assert container.get("/devour").status_code == 502
    until(container.answers, "it answers")
    assert container.get("/quick").status_code == 200
    assert container.running


def test_children_without_end_cost_their_request_alone(start: Start) -> None:
    """Under --pids-limit 64; once they are gone it serves as before."""
    container = start(FAULTY, "--pids-limit=64").wait()
    assert container.get("/breed").status_code >= 500
    assert container.get("/quick").status_code == 200
    assert container.running
    docker("stop", container.id)
    assert container.exit_code() == 0


# --- Crashes ---


@pytest.mark.parametrize("fault", ["segfault", "leave"])
def test_a_crash_costs_the_requests_of_its_worker_alone(start: Start, fault: str) -> None:
    """C code, or os._exit: a 502 with a request id, and the next request works."""
    container = start(FAULTY, "--env=WEB_CONCURRENCY=2").wait()
    for _ in range(3):
        answer = container.get(f"/{fault}")
        assert answer.status_code == 502
        assert answer.headers["X-Request-ID"] in answer.text
        assert container.get("/quick").status_code == 200
    until(lambda: len(re.findall("uWSGI worker", listing(container, "cmdline"))) == 2, "both workers are back")


def test_system_exit_in_a_request_ends_no_more_than_that_request(start: Start) -> None:
    """As any other exception."""
    container = start(FAULTY, "--env=WEB_CONCURRENCY=2").wait()
    assert container.get("/system_exit").status_code >= 500
    for _ in range(10):
        assert container.get("/quick").status_code == 200


def test_a_thread_left_behind_holds_up_neither_a_reload_nor_a_stop(start: Start) -> None:
    """It is not waited for beyond the grace period."""
    container = start(FAULTY, "--env=WEB_CONCURRENCY=1", "--env=GRACE_PERIOD=3").wait()
    container.get("/thread")
    before = worker(container)
    docker("kill", "--signal=HUP", container.id)
    until(lambda: worker(container) != before, "the worker is replaced")
    container.get("/thread")
    began = time.monotonic()
    docker("stop", container.id)
    assert time.monotonic() - began < 5
    assert container.exit_code() == 0


def test_a_child_left_behind_is_reaped(start: Start) -> None:
    """Process 1 leaves no zombies."""
    container = start(FAULTY).wait()
    for _ in range(5):
        container.get("/abandon")
    until(lambda: not re.search(r"^State:\s+Z", listing(container, "status"), re.MULTILINE), "there is no zombie")
    until(lambda: "sleep 0.2" not in listing(container, "cmdline"), "they are gone")


# --- The queue ---


def test_what_cannot_be_queued_gets_a_quick_503_with_retry_after(start: Start) -> None:
    """More requests at once than the queue holds: never a 502."""
    container = start(FAULTY, "--sysctl=net.core.somaxconn=8", "--env=WEB_CONCURRENCY=1", "--env=THREADS=1").wait()
    with load(container, clients=40, path="/sleep?s=0.1", keep_alive=False) as clients:
        time.sleep(1)
        answers = [container.get("/quick") for _ in range(20)]
        time.sleep(1)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} <= {503}
    assert all(answer.headers["Retry-After"] == "1" for answer in refused)
    assert set(clients.lost) == {"503"}
    until(lambda: container.get("/quick").status_code == 200, "all is normal again", 2)


def test_workers_that_die_right_after_their_start_are_slowed_down_and_reported(
    start: Start, app: Callable[[str], str]
) -> None:
    dies = "import os, threading\nthreading.Timer(0.2, os._exit, (3,)).start()\n"
    container = start(app(dies + "def app(environ, start_response): pass\n"), "--env=PROCESSES=1")
    until(lambda: "has died early 4 times: waiting 4 s" in container.log, "the pauses grow")
    assert container.running
    assert container.log.count("Respawned uWSGI worker") <= 5
    url = f"http://{ip(container)}:9090/status.json"
    assert "right after its start" in str(requests.get(url, timeout=20).json()["problems"])
