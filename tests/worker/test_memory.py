"""Slow clients at small memory limits, with the hardened command: nothing is killed, no response is truncated."""

import re
import resource
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from conftest import APPS, DEADLINE, HARDENED, Container, docker, until

Start = Callable[..., Container]
LARGE = f"--volume={APPS}/large:/app:ro"
ON_DISK = tuple("--volume=/tmp" if option == "--tmpfs=/tmp" else option for option in HARDENED)
UPLOAD_BYTES = 10_000_000


@pytest.fixture(scope="module", autouse=True)
def _open_files() -> None:
    """1,000 connections at once."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))


@pytest.fixture(scope="module", params=["128m", "256m", "512m"])
def on_disk(start: Start, request: pytest.FixtureRequest) -> Container:
    """A container with a memory limit whose /tmp is a volume."""
    return start(LARGE, *ON_DISK, f"--memory={request.param}").wait()


@pytest.fixture(scope="module", params=["128m"])
def in_memory(start: Start, request: pytest.FixtureRequest) -> Container:
    """A container with a memory limit whose /tmp is a tmpfs."""
    return start(LARGE, *HARDENED, f"--memory={request.param}").wait()


def connect(container: Container) -> socket.socket:
    """Connect to its own address: the engine's proxy would read for the client."""
    address = docker("inspect", "--format={{.NetworkSettings.IPAddress}}", container.id)
    return connect_to(address)


def connect_to(address: str) -> socket.socket:
    """Open a connection with a small receive buffer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.settimeout(2 * DEADLINE)
    connection.connect((address, 80))
    return connection


@contextmanager
def readers(container: Container, count: int, size: int) -> Iterator[list[socket.socket]]:
    """Clients that have asked for responses of that size, and read the first 12 bytes: the status."""
    address = docker("inspect", "--format={{.NetworkSettings.IPAddress}}", container.id)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect_to(address)) for _ in range(count)]
        for connection in connections:
            connection.sendall(f"GET /?{size} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        for connection in connections:
            assert connection.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        yield connections


def body_bytes(connection: socket.socket) -> int:
    """Read a response to its end; return the length of its body."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
    length = len(head.partition(b"\r\n\r\n")[2])
    while piece := connection.recv(1 << 20):
        length += len(piece)
    return length


def upload(container: Container, stack: ExitStack) -> bytes:
    """Send an upload but for its last bytes; return what the server has answered by then."""
    connection = stack.enter_context(connect(container))
    received = b""
    try:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % UPLOAD_BYTES)
        for _ in range(UPLOAD_BYTES // 100_000 - 1):
            connection.sendall(bytes(100_000))
        connection.settimeout(0.5)
        while piece := connection.recv(65536):
            received += piece
    except (TimeoutError, ConnectionError):
        pass
    return received


def unfinished_uploads(container: Container) -> list[bytes]:
    """Send 60 uploads at once, and make an ordinary request while they wait."""
    with ExitStack() as stack, ThreadPoolExecutor(20) as clients:
        received = list(clients.map(lambda _: upload(container, stack), range(60)))
        assert container.get("/?5").text == "xxxxx"
    for response in received:
        if response:
            assert re.match(rb"HTTP/1\.1 503 .*\r\nRetry-After: 1\r\n.*Service unavailable", response, re.DOTALL)
    return received


def assert_nothing_was_killed(container: Container) -> None:
    """By the kernel, as the engine knows it, nor any process of it."""
    assert docker("inspect", "--format={{.State.Running}} {{.State.OOMKilled}}", container.id) == "true false"
    assert not re.search("signal 9|SIGKILL", container.log)


def test_unfinished_uploads_do_not_exhaust_the_memory(on_disk: Container) -> None:
    """60 of 10 MB."""
    unfinished_uploads(on_disk)
    assert_nothing_was_killed(on_disk)


@pytest.mark.parametrize(("count", "size"), [(20, 200_000_000), (1000, 2_000_000)])
def test_slow_readers_do_not_exhaust_the_memory(on_disk: Container, count: int, size: int) -> None:
    """Two of them then read to the end."""
    with readers(on_disk, count, size) as connections:
        assert on_disk.get("/?5").text == "xxxxx"
        for connection in connections[:: count - 1]:
            assert body_bytes(connection) == size
    assert_nothing_was_killed(on_disk)


def test_uploads_that_find_no_room_in_a_tmpfs_get_a_503(in_memory: Container) -> None:
    """At least one is accepted."""
    received = unfinished_uploads(in_memory)
    assert 0 < received.count(b"") < 60
    assert_nothing_was_killed(in_memory)


def test_slow_readers_slow_the_app_down_if_responses_can_not_be_spooled(in_memory: Container) -> None:
    """Longer than uWSGI's default timeout of 4 s; the responses are complete."""
    with readers(in_memory, 6, 100_000_000) as connections:
        asked = time.monotonic()
        until(lambda: in_memory.get("/?5").text == "xxxxx" and time.monotonic() - asked > 5, "5 s have passed")
        for connection in connections[:2]:
            assert body_bytes(connection) == 100_000_000
    assert_nothing_was_killed(in_memory)


def test_many_slow_readers_do_not_exhaust_the_memory_of_a_tmpfs(in_memory: Container) -> None:
    """Threads wait for them, and no response is written to memory."""
    address = docker("inspect", "--format={{.NetworkSettings.IPAddress}}", in_memory.id)
    with ExitStack() as stack:
        for _ in range(1000):
            connection = stack.enter_context(connect_to(address))
            connection.sendall(b"GET /?2000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert in_memory.get("/static/none.css/.hidden").status_code == 404
    until(lambda: in_memory.get("/?5").text == "xxxxx", "the app's threads are free again", 2 * DEADLINE)
    assert_nothing_was_killed(in_memory)


def test_a_body_that_could_exhaust_the_memory_stops_the_container(start: Start) -> None:
    """MAX_BODY_SIZE must fit, or /tmp must be on a disk."""
    for size in "100m", "0":
        container = start(LARGE, *HARDENED, "--memory=128m", f"--env=MAX_BODY_SIZE={size}")
        assert container.exit_code() == 78
        assert f"MAX_BODY_SIZE is {size}, but /tmp is in memory" in container.log
    assert start(LARGE, *ON_DISK, "--memory=128m", "--env=MAX_BODY_SIZE=100m").wait().running


def test_no_space_left_for_a_body_is_a_503(start: Start) -> None:
    """A full tmpfs."""
    container = start(LARGE, "--read-only", "--tmpfs=/run", "--tmpfs=/tmp:size=4m").wait()
    with ExitStack() as stack:
        received = upload(container, stack)
    assert re.match(rb"HTTP/1\.1 503 .*\r\nRetry-After: 1\r\n.*Service unavailable", received, re.DOTALL)


def test_nginx_has_few_workers_where_memory_is_small(start: Start) -> None:
    """Whatever the number of CPUs is."""
    container = start(LARGE, "--memory=128m").wait()
    assert container.exec("cat", "/run/nginx.conf").count("worker_processes        1;") == 1
