"""Slow clients at small memory limits, in a hardened container: no process is killed, no response is truncated."""

import re
import resource
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from admin_port import ip, status
from conftest import APPS, DEADLINE, HARDENED, Container, docker, until
from processes import processes

Start = Callable[..., Container]
LARGE = f"--volume={APPS}/large:/app:ro"
ON_DISK = tuple("--volume=/tmp" if option == "--tmpfs=/tmp" else option for option in HARDENED)
UPLOAD_BYTES = 10_000_000
RESPONSE_SECONDS = 0.5
"""Time for a refusal to arrive; the server sends nothing to an upload that it has accepted."""


@pytest.fixture(scope="module", autouse=True)
def _open_files() -> None:
    """Allow this process 1,000 connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))


@pytest.fixture(scope="module", params=["128m", "256m", "512m"])
def on_disk(start: Start, request: pytest.FixtureRequest) -> Container:
    """Container with a memory limit and with /tmp on a disk."""
    return start(LARGE, *ON_DISK, f"--memory={request.param}").wait()


@pytest.fixture(scope="module", params=["128m"])
def in_memory(start: Start, request: pytest.FixtureRequest) -> Container:
    """Container with a memory limit and with /tmp on a tmpfs."""
    return start(LARGE, *HARDENED, f"--memory={request.param}").wait()


def connect(address: str) -> socket.socket:
    """Open a connection with a small receive buffer to a container's own address, without the engine's proxy."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.settimeout(2 * DEADLINE)
    connection.connect((address, 80))
    return connection


@contextmanager
def readers(container: Container, count: int, size: int) -> Iterator[list[socket.socket]]:
    """Connect `count` clients that request responses of `size` bytes, and read the first 12 bytes: the status."""
    address = ip(container)
    with ExitStack() as stack:
        connections = []
        for _ in range(count):  # Nginx closes a connection that has sent no request after client_header_timeout
            connections.append(connection := stack.enter_context(connect(address)))
            connection.sendall(f"GET /?{size} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        for connection in connections:
            assert connection.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        yield connections


def body_bytes(connection: socket.socket) -> int:
    """Read the rest of a response; return the length of its body."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
    length = len(head.partition(b"\r\n\r\n")[2])
    while piece := connection.recv(1 << 20):
        length += len(piece)
    return length


def upload(container: Container, stack: ExitStack) -> bytes:
    """Send an upload except its last bytes; return the response, or nothing if the server waits for these bytes."""
    connection = stack.enter_context(connect(ip(container)))
    received = b""
    try:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % UPLOAD_BYTES)
        for _ in range(UPLOAD_BYTES // 100_000 - 1):
            connection.sendall(bytes(100_000))
        connection.settimeout(RESPONSE_SECONDS)
        while piece := connection.recv(65536):
            received += piece
    except (TimeoutError, ConnectionError):
        pass
    return received


def unfinished_uploads(container: Container) -> list[bytes]:
    """Send 60 uploads at once, and an ordinary request while they wait; return the responses of the uploads."""
    with ExitStack() as stack, ThreadPoolExecutor(20) as clients:
        received = list(clients.map(lambda _: upload(container, stack), range(60)))
        assert container.get("/?5").text == "xxxxx"
    for response in filter(None, received):
        assert re.match(rb"HTTP/1\.1 503 .*\r\nRetry-After: 1\r\n", response, re.DOTALL)
    return received


def assert_nothing_was_killed(container: Container) -> None:
    """Assert that neither the container nor one of its processes was killed for its memory."""
    assert docker("inspect", "--format={{.State.Running}} {{.State.OOMKilled}}", container.id) == "true false"
    counters = status(container)
    assert {counters["respawns"], counters["kills"], *counters["restarts"].values()} == {0}


def test_60_unfinished_uploads_of_10_mb_do_not_exhaust_the_memory(on_disk: Container) -> None:
    unfinished_uploads(on_disk)
    assert_nothing_was_killed(on_disk)


@pytest.mark.parametrize(("count", "size"), [(20, 200_000_000), (1000, 1_000_000)])
def test_slow_readers_do_not_exhaust_the_memory(on_disk: Container, count: int, size: int) -> None:
    with readers(on_disk, count, size) as connections:
        assert on_disk.get("/?5").text == "xxxxx"
        for connection in connections[0], connections[-1]:
            assert body_bytes(connection) == size
    assert_nothing_was_killed(on_disk)


def test_uploads_that_do_not_fit_into_a_tmpfs_get_a_503(in_memory: Container) -> None:
    received = unfinished_uploads(in_memory)
    assert 0 < received.count(b"") < 60
    assert_nothing_was_killed(in_memory)


def test_responses_to_slow_readers_are_complete_when_nginx_cannot_spool_them(in_memory: Container) -> None:
    """The app waits for the readers longer than uWSGI's default socket-timeout of 4 s."""
    with readers(in_memory, 6, 100_000_000) as connections:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert in_memory.get("/?5").text == "xxxxx"
        for connection in connections[:2]:
            assert body_bytes(connection) == 100_000_000
    assert_nothing_was_killed(in_memory)


def test_many_slow_readers_do_not_exhaust_the_memory_of_a_tmpfs(in_memory: Container) -> None:
    """Threads of the app wait for the readers."""
    address = ip(in_memory)
    with ExitStack() as stack:
        for _ in range(1000):
            connection = stack.enter_context(connect(address))
            connection.sendall(b"GET /?2000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert in_memory.get("/static/none.css/.hidden").status_code == 404
    until(lambda: in_memory.get("/?5").text == "xxxxx", "the app's threads are free again", 2 * DEADLINE)
    assert_nothing_was_killed(in_memory)


def test_a_max_body_size_that_could_exhaust_the_memory_of_a_tmpfs_ends_the_container_with_78(start: Start) -> None:
    for size in "100m", "0":
        container = start(LARGE, *HARDENED, "--memory=128m", f"--env=MAX_BODY_SIZE={size}")
        assert container.exit_code() == 78
        assert f"MAX_BODY_SIZE is {size}" in container.log
    assert start(LARGE, *ON_DISK, "--memory=128m", "--env=MAX_BODY_SIZE=100m").wait().running


def test_nginx_has_one_worker_at_128_mb(start: Start) -> None:
    container = start(LARGE, "--memory=128m").wait()
    assert len(processes(container, "nginx worker")) == 1
