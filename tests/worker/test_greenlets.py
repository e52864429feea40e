"""GREENLETS: gevent's greenlets answer requests in place of threads, with the same guarantees."""

from collections.abc import Callable
from pathlib import Path

import pytest

from admin_port import status, until_counted, until_in_flight
from conftest import APPS, Container, build, docker, until
from load import load
from processes import counts, kill, processes

pytestmark = pytest.mark.alone

Start = Callable[..., Container]
Context = Callable[..., Path]
GREENLETS = ("--env=GREENLETS=600", "--env=PROCESSES=2")


@pytest.fixture(scope="module")
def gevent(context: Context) -> str:
    """Image of the faulty app with gevent, and with the packages of another app that is mounted into it."""
    return build(context("faulty", **{"requirements.txt": "flask\ngevent==26.*\nprometheus_client==0.*\n"}))


def test_a_thousand_requests_that_wait_a_second_are_answered_within_three(start: Start, gevent: str) -> None:
    container = start(*GREENLETS, image=gevent).wait()
    with load(container, clients=1000, path="/sleep?s=1", keep_alive=False) as clients:
        pass
    assert clients.lost == []
    assert clients.answered == 1000
    assert max(end for _, end, _ in clients.outcomes) - min(start for start, _, _ in clients.outcomes) < 3


@pytest.mark.parametrize(
    ("name", "max_lost"), [("uWSGI worker", 16), ("uWSGI master", 0), ("nginx worker", 16), ("nginx master", 0)]
)
def test_a_killed_process_is_replaced_within_2_seconds_and_only_its_own_requests_are_lost(
    start: Start, gevent: str, name: str, max_lost: int
) -> None:
    container = start(*GREENLETS, image=gevent).wait()
    before = counts(container)
    with load(container) as clients:
        clients.until_answered(200)
        killed = kill(container, name)
        until(lambda: killed not in processes(container, name) and counts(container) == before, "it is replaced")
        clients.until_answered(200)
    assert len(clients.lost) <= max_lost, clients.lost
    assert clients.silence < 2


def test_a_stop_answers_every_accepted_request_and_exits_with_0(start: Start, gevent: str) -> None:
    container = start(*GREENLETS, image=gevent).wait()
    with load(container, clients=100, path="/sleep?s=0.2") as clients:
        clients.until_answered(200)
        docker("stop", container.id)
    assert container.exit_code() == 0
    assert clients.lost == []


def test_a_reload_under_load_loses_no_request(start: Start, gevent: str) -> None:
    container = start(*GREENLETS, image=gevent).wait()
    before = set(processes(container, "uWSGI worker"))
    with load(container, path="/sleep?s=0.05") as clients:
        docker("kill", "--signal=HUP", container.id)
        until(lambda: not before & set(processes(container, "uWSGI worker")), "the workers are replaced")
        clients.until_answered(200)
    assert clients.lost == []


def test_a_request_that_exceeds_request_timeout_gets_a_504_and_disturbs_no_other(start: Start, gevent: str) -> None:
    container = start("--env=GREENLETS=100", "--env=PROCESSES=1", "--env=REQUEST_TIMEOUT=3", image=gevent).wait()
    (hanging,) = processes(container, "uWSGI worker")
    with load(container, clients=2, path="/sleep?s=1") as others:
        assert container.get("/hang").status_code == 504
        until(lambda: hanging not in processes(container, "uWSGI worker"), "the worker that hangs is replaced")
        others.until_answered(2)
    assert others.lost == []


def test_metrics_and_status_page_have_the_requests_of_greenlets(start: Start, gevent: str) -> None:
    container = start(*GREENLETS, f"--volume={APPS}/metrics:/app:ro", image=gevent)
    until(lambda: container.answers("/hello/x"), "the app answers")
    with load(container, clients=50, path="/sleep/2.0") as clients:
        until_in_flight(container, 50)
        running = [request for worker in status(container)["workers"] for request in worker["running"]]
        assert {(request["path"], request["endpoint"]) for request in running} == {("/sleep/2.0", "sleep")}
    assert clients.lost == []
    timed = ("wsgi_request_duration_seconds_count", "endpoint=sleep")
    assert until_counted(container, timed, clients.answered)[timed] == clients.answered


def test_greenlets_without_gevent_end_the_container_with_78(start: Start) -> None:
    refused = start("--env=GREENLETS=100")
    assert refused.exit_code() == 78
    assert "GREENLETS is '100': gevent is not installed" in refused.log


def test_threads_beside_greenlets_end_the_container_with_78(start: Start, gevent: str) -> None:
    refused = start("--env=GREENLETS=100", "--env=THREADS=2", image=gevent)
    assert refused.exit_code() == 78
    assert "THREADS has no effect when GREENLETS" in refused.log
