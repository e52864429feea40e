"""Stopping the container."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from admin_port import until_in_flight
from conftest import Container, docker, until
from load import load
from processes import FAULTY, seconds_to_stop

pytestmark = pytest.mark.alone

Start = Callable[..., Container]


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "new connections"])
@pytest.mark.parametrize("signal", ["TERM", "INT", "QUIT"])
def test_every_accepted_request_is_answered_when_the_container_is_stopped(
    start: Start, signal: str, keep_alive: bool
) -> None:
    container = start(FAULTY).wait()
    with load(container, keep_alive=keep_alive, path="/sleep?s=0.05") as clients:
        clients.until_answered(100)
        docker("kill", f"--signal={signal}", container.id)
        assert container.exit_code(10) == 0
    assert clients.lost == []


def test_new_connections_are_refused_as_soon_as_a_stop_begins(start: Start) -> None:
    """The client can try another container at once, while this one still finishes its requests."""
    container = start(FAULTY, "--env=GRACE_PERIOD=6").wait()
    connect = "import socket; socket.create_connection(('127.0.0.1', 80))"
    container.exec("python3", "-c", connect)
    # Stopped processes of Nginx cannot close their copies of the listening sockets.
    stop_nginx = "pid=$(cat /run/nginx.pid) && kill -STOP $pid $(cat /proc/$pid/task/$pid/children)"
    container.exec("sh", "-c", stop_nginx)
    docker("kill", "--signal=TERM", container.id)

    def refused() -> bool:
        return "ConnectionRefusedError" in docker("exec", container.id, "python3", "-c", connect, check=False)

    until(refused, "connections are refused", 3)


def test_a_request_that_hangs_delays_a_stop_by_the_grace_period_at_most(start: Start) -> None:
    container = start(FAULTY, "--env=GRACE_PERIOD=4").wait()
    with ThreadPoolExecutor() as clients:
        hanging = clients.submit(container.get, "/hang")
        others = [clients.submit(container.get, f"/sleep?s={seconds}") for seconds in (2, 3)]
        until_in_flight(container, 3)
        assert seconds_to_stop(container) < 5
    assert container.exit_code() == 0
    assert [other.result().status_code for other in others] == [200, 200]
    assert isinstance(hanging.exception(), requests.ConnectionError) or hanging.result().status_code >= 500


def test_a_stop_with_no_request_in_flight_takes_less_than_3_seconds(start: Start) -> None:
    container = start(FAULTY).wait()
    assert seconds_to_stop(container) < 3
    assert container.exit_code() == 0


def test_during_stop_delay_requests_are_served_and_the_health_check_answers_503(start: Start) -> None:
    """A load balancer gets the time to send its requests elsewhere."""
    container = start(FAULTY, "--env=STOP_DELAY=3").wait()
    docker("kill", "--signal=TERM", container.id)
    began = time.monotonic()
    until(lambda: container.get("/health").status_code == 503, "the health check answers 503", 1)
    while time.monotonic() < began + 2.5:
        assert container.get("/quick").status_code == 200
        assert container.get("/health").status_code == 503
    assert container.exit_code() == 0
    assert 3 <= time.monotonic() - began < 6


def test_a_second_signal_ends_the_stop_delay(start: Start) -> None:
    """A user presses Ctrl-C twice."""
    container = start(FAULTY, "--env=STOP_DELAY=60").wait()
    docker("kill", "--signal=INT", container.id)
    until(lambda: container.get("/health").status_code == 503, "the health check answers 503")
    docker("kill", "--signal=INT", container.id)
    assert container.exit_code(5) == 0


def test_a_container_can_be_started_again_ten_times_after_stops_and_kills(start: Start) -> None:
    """Sockets and pid files of the previous run are in the same file system."""
    container = start(FAULTY).wait()
    for signal in ("TERM", "KILL") * 5:
        docker("kill", f"--signal={signal}", container.id)
        container.exit_code()
        docker("start", container.id)
        container.wait()
        assert container.get("/quick").status_code == 200
        assert container.get("/health").status_code == 200
