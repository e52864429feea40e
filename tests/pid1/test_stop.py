"""What happens at a stop."""

import threading
import time
from collections.abc import Callable

import pytest
import requests

from conftest import Container, docker, until
from load import load
from processes import FAULTY

pytestmark = pytest.mark.alone

Start = Callable[..., Container]


@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept connections", "new connections"])
@pytest.mark.parametrize("signal", ["TERM", "INT", "QUIT"])
def test_every_accepted_request_is_answered_when_it_is_stopped(start: Start, signal: str, keep_alive: bool) -> None:
    """Under load, and the exit code is 0."""
    container = start(FAULTY).wait()
    with load(container, keep_alive=keep_alive, path="/sleep?s=0.05") as clients:
        time.sleep(1)
        docker("kill", f"--signal={signal}", container.id)
        assert container.exit_code(10) == 0
    assert clients.answered > 100
    assert clients.lost == []


def test_new_connections_are_refused_as_soon_as_a_stop_begins(start: Start) -> None:
    """So that whoever sends them tries elsewhere; at that time the listening sockets are still open."""
    container = start(FAULTY, "--env=GRACE_PERIOD=6").wait()
    connect = "import socket; socket.create_connection(('127.0.0.1', 80))"
    container.exec("python3", "-c", connect)
    # Stopped, nginx can't close its copies of them.
    stop_nginx = "pid=$(cat /run/nginx.pid) && kill -STOP $pid $(cat /proc/$pid/task/$pid/children)"
    container.exec("sh", "-c", stop_nginx)
    docker("kill", "--signal=TERM", container.id)
    until(lambda: ": stopping" in container.log, "it stops")
    time.sleep(0.2)
    with pytest.raises(AssertionError, match="ConnectionRefusedError"):
        container.exec("python3", "-c", connect)


def test_a_request_that_hangs_holds_a_stop_for_the_grace_period_at_most(start: Start) -> None:
    """The others are answered; then it is over, with exit code 0."""
    container = start(FAULTY, "--env=GRACE_PERIOD=4").wait()
    outcomes: dict[str, object] = {}

    def ask(path: str) -> None:
        try:
            outcomes[path] = container.get(path).status_code
        except requests.ConnectionError as error:
            outcomes[path] = error

    asking = [threading.Thread(target=ask, args=(path,)) for path in ("/hang", "/sleep?s=1", "/sleep?s=2")]
    for thread in asking:
        thread.start()
    time.sleep(0.5)
    began = time.monotonic()
    docker("stop", "--time=20", container.id)
    assert time.monotonic() - began < 5
    for thread in asking:
        thread.join()
    assert container.exit_code() == 0
    assert (outcomes["/sleep?s=1"], outcomes["/sleep?s=2"]) == (200, 200)
    assert outcomes["/hang"] != 200


def test_a_stop_with_nothing_to_do_is_quick(start: Start) -> None:
    """Well within what docker stop grants."""
    container = start(FAULTY).wait()
    began = time.monotonic()
    docker("stop", container.id)
    assert time.monotonic() - began < 3
    assert container.exit_code() == 0


def test_it_serves_for_stop_delay_while_health_says_503(start: Start) -> None:
    """So that a load balancer can look elsewhere first."""
    container = start(FAULTY, "--env=STOP_DELAY=3").wait()
    docker("kill", "--signal=TERM", container.id)
    began = time.monotonic()
    until(lambda: container.get("/health").status_code == 503, "health says 503", 1)
    while time.monotonic() < began + 2.5:
        assert container.get("/quick").status_code == 200
        assert container.get("/health").status_code == 503
    assert container.exit_code() == 0
    assert 3 <= time.monotonic() - began < 6


def test_a_second_signal_cuts_the_stop_delay_short(start: Start) -> None:
    """As somebody does who presses Ctrl-C twice."""
    container = start(FAULTY, "--env=STOP_DELAY=60").wait()
    docker("kill", "--signal=INT", container.id)
    until(lambda: container.get("/health").status_code == 503, "health says 503")
    docker("kill", "--signal=INT", container.id)
    assert container.exit_code(5) == 0


def test_the_same_container_can_be_started_again_and_again(start: Start) -> None:
    """Ten restarts, and no socket or pid file of the one before is in the way."""
    container = start(FAULTY).wait()
    for signal in ("TERM", "KILL") * 5:
        docker("kill", f"--signal={signal}", container.id)
        container.exit_code()
        docker("start", container.id)
        container.wait()
        assert container.get("/quick").status_code == 200
        assert container.get("/health").status_code == 200
