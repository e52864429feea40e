"""Requests of any size, and clients that close their sending side: what nginx accepts reaches the app."""

import json
import socket
from collections.abc import Callable

import pytest
import requests

from conftest import APPS, Container, until

Start = Callable[..., Container]


@pytest.fixture(scope="module")
def probe(start: Start) -> Container:
    """The app that answers with what reached it."""
    return start(f"--volume={APPS}/probe:/app:ro", "--env=MAX_BODY_SIZE=1k").wait()


def exchange(container: Container, request: bytes, half_close: bool = False) -> bytes:
    """Send a request; return everything that comes until the server closes the connection."""
    host, _, port = container.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def headers(count: int, size: int = 1) -> str:
    """That many headers, with values of that size."""
    return "".join(f"a{number}:{'v' * size}\r\n" for number in range(count))


ACCEPTED = {
    "110 headers": ("/", headers(110)),
    "990 headers": ("/", headers(990)),
    "990 headers of 20 bytes": ("/", headers(990, 14)),
    "a target of 16 KB": ("/" + "a" * 16_000, ""),
    "a target and a cookie of 16 KB each": ("/" + "a" * 16_000, f"Cookie: {'c' * 16_000}\r\n"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_request_that_fits_into_a_uwsgi_packet_reaches_the_app(probe: Container, case: str) -> None:
    """With all its headers."""
    target, lines = ACCEPTED[case]
    answer = exchange(probe, f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n".encode())
    environ = json.loads(answer.partition(b"\r\n\r\n")[2])["environ"]
    assert environ["REQUEST_URI"] == target
    assert len([name for name in environ if name.startswith("HTTP_A")]) == lines.count("\r\na") + lines.startswith("a")


REFUSED = {
    "2,000 headers and a target of 18 KB": ("/" + "a" * 18_000, headers(2000)),
    "3,500 short headers and a long target": ("/" + "a" * 18_000, headers(3500, 0)),
    "one header of 30 KB": ("/", f"X: {'x' * 30_000}\r\n"),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("case", REFUSED)
def test_larger_requests_get_a_431(probe: Container, case: str, method: str) -> None:
    """As an error page with the request's id."""
    target, lines = REFUSED[case]
    body = f"Content-Length: 2\r\n{lines}\r\nab" if method == "POST" else f"{lines}\r\n"
    answer = exchange(probe, f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{body}".encode())
    head, _, page = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert (
        requests.structures.CaseInsensitiveDict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])[
            "X-Request-ID"
        ].encode()
        in page
    )


@pytest.mark.parametrize("size", [16_000, 60_000])
def test_response_headers_of_64_kb_reach_the_client(start: Start, probe: Container, size: int) -> None:
    """In several headers."""
    got = requests.get(probe.url(f"/large?{size}"), timeout=5, stream=True)
    assert sum(len(value) for _, value in got.raw.headers.items()) >= size
    assert got.status_code == 200


@pytest.mark.parametrize("target", ["/echo", "/static/note.txt"])
def test_a_client_that_has_closed_its_sending_side_gets_its_response(probe: Container, target: str) -> None:
    """Ten of ten."""
    request = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    complete = len(exchange(probe, request))
    for _ in range(10):
        answer = exchange(probe, request, half_close=True)
        assert answer.startswith(b"HTTP/1.1 200")
        assert abs(len(answer) - complete) < 50


def test_the_app_notices_at_its_next_write_that_a_client_has_gone(probe: Container) -> None:
    """A stream without end."""
    with requests.get(probe.url("/closing"), stream=True, timeout=5) as response:
        response.raw.read(1000)
    until(lambda: probe.get("/closed").status_code == 200, "the app's response is closed")


def test_the_access_log_has_the_method_that_was_asked(probe: Container) -> None:
    """Also after an error page, which nginx serves as a GET."""
    answer = requests.post(probe.url("/"), data=b"x" * 2000, timeout=5)
    assert answer.status_code == 413
    request_id = answer.headers["X-Request-ID"]

    def methods() -> list[object]:
        return [line["method"] for line in probe.lines if line.get("request_id") == request_id]

    until(methods, "it is logged")
    assert methods() == ["POST"]


def test_the_metrics_have_the_method_that_was_asked(probe: Container) -> None:
    """Also after an error page."""
    path = "/metrics"

    def counted() -> float:
        text = probe.exec(
            "python3",
            "-c",
            f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090{path}').read().decode())",
        )
        lines = [line for line in text.splitlines() if 'method="PUT"' in line and 'status="4xx"' in line]
        return float(lines[0].split()[-1]) if lines else 0

    requests.put(probe.url("/"), data=b"x" * 2000, timeout=5)
    until(lambda: counted() == 1, "it is counted")
