"""With ASYNC, gevent's greenlets answer instead of threads, and what holds for threads holds for them."""

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from admin_port import samples, status, until_counted
from conftest import APPS, Container, build, docker, until
from load import load
from processes import NAMES, kill, processes

pytestmark = pytest.mark.alone

Start = Callable[..., Container]
Context = Callable[..., Path]
ON = ("--env=GREENLETS=600", "--env=PROCESSES=2")


@pytest.fixture(scope="module")
def gevent(context: Context) -> str:
    """An image of the faulty app whose requirements.txt asks for gevent, and for what another app needs."""
    return build(context("faulty", **{"requirements.txt": "flask\ngevent==26.*\nprometheus_client==0.*\n"}))


def test_a_thousand_requests_that_wait_a_second_are_answered_within_three(start: Start, gevent: str) -> None:
    """All at once, by two processes."""
    container = start(*ON, image=gevent).wait()
    with load(container, clients=1000, path="/sleep?s=1", keep_alive=False) as clients:
        pass
    assert clients.lost == []
    assert clients.answered == 1000
    assert max(end for _, end, _ in clients.outcomes) - min(start for start, _, _ in clients.outcomes) < 3


@pytest.mark.parametrize(
    ("name", "in_flight"), [("uWSGI worker", 16), ("uWSGI master", 0), ("nginx worker", 16), ("nginx master", 0)]
)
def test_a_killed_process_is_replaced(start: Start, gevent: str, name: str, in_flight: int) -> None:
    """Within 2 seconds, and no more is lost than what is in flight inside it."""
    container = start(*ON, image=gevent).wait()
    before = {each: len(processes(container, each)) for each in NAMES}
    with load(container) as clients:
        time.sleep(0.5)
        kill(container, name)
        time.sleep(2)
    assert len(clients.lost) <= in_flight, clients.lost
    assert clients.silence < 2
    assert {each: len(processes(container, each)) for each in NAMES} == before


def test_every_accepted_request_is_answered_when_it_is_stopped(start: Start, gevent: str) -> None:
    """With exit code 0."""
    container = start(*ON, image=gevent).wait()
    with load(container, clients=100, path="/sleep?s=0.2") as clients:
        time.sleep(1)
        docker("stop", container.id)
    assert container.exit_code() == 0
    assert clients.lost == []
    assert clients.answered > 100


def test_a_reload_under_load_loses_no_request(start: Start, gevent: str) -> None:
    """And other processes answer after it."""
    container = start(*ON, image=gevent).wait()
    before = processes(container, "uWSGI worker")
    with load(container, path="/sleep?s=0.05") as clients:
        docker("kill", "--signal=HUP", container.id)
        until(lambda: not set(before) & set(processes(container, "uWSGI worker")), "the workers are replaced")
        until(lambda: len(processes(container, "uWSGI worker")) == 2, "both are back")
        time.sleep(1)
    assert clients.lost == []
    assert clients.answered > 100


def test_a_request_over_its_time_gets_a_504_and_touches_no_other(start: Start, gevent: str) -> None:
    """Those beside it are answered, and its worker is replaced."""
    container = start("--env=GREENLETS=100", "--env=WEB_CONCURRENCY=1", "--env=REQUEST_TIMEOUT=3", image=gevent).wait()
    (hanging,) = processes(container, "uWSGI worker")
    beside: list[int] = []

    def ask() -> None:
        time.sleep(2)
        beside.append(container.get("/sleep?s=2").status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    assert container.get("/hang").status_code == 504
    asking.join()
    assert beside == [200]
    until(lambda: processes(container, "uWSGI worker") not in ([hanging], []), "the worker is replaced")
    assert container.get("/quick").status_code == 200


def test_metrics_count_greenlets_as_they_count_threads(start: Start, gevent: str) -> None:
    """In flight, with their endpoints on the status page; and each request once."""
    container = start(*ON, f"--volume={APPS}/metrics:/app:ro", image=gevent)
    until(lambda: container.answers("/hello/x"), "it answers")
    with load(container, clients=50, path="/sleep/2.0") as clients:
        until(lambda: samples(container)["wsgi_requests_in_flight",] == 50, "all are in flight")
        running = [request for worker in status(container)["workers"] for request in worker["running"]]
        assert {(request["path"], request["endpoint"]) for request in running} == {("/sleep/2.0", "sleep")}
    assert clients.lost == []
    timed = ("wsgi_request_duration_seconds_count", "endpoint=sleep")
    assert until_counted(container, timed, clients.answered)[timed] == clients.answered


def test_async_without_gevent_ends_the_container_with_78(start: Start) -> None:
    """And says where to add it; THREADS beside it would have no effect, which is an error too."""
    refused = start("--env=GREENLETS=100", "--env=THREADS=2")
    assert refused.exit_code() == 78
    assert re.search(r"GREENLETS is '100': gevent is not installed; add it to src/requirements.txt", refused.log)


def test_threads_beside_async_end_the_container_with_78(start: Start, gevent: str) -> None:
    """They would have no effect."""
    refused = start("--env=GREENLETS=100", "--env=THREADS=2", image=gevent)
    assert refused.exit_code() == 78
    assert "THREADS has no effect beside GREENLETS" in refused.log
