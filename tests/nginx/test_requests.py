"""Requests of any size, and clients that close their sending side: a request that Nginx accepts reaches the app."""

import json
import re
from collections.abc import Callable

import pytest
import requests

from admin_port import samples
from conftest import APPS, Container, until
from raw_http import exchange

Start = Callable[..., Container]


@pytest.fixture(scope="module")
def probe(start: Start) -> Container:
    return start(f"--volume={APPS}/probe:/app:ro", "--env=MAX_BODY_SIZE=1k").wait()


def headers(count: int, size: int = 1) -> str:
    """Return the lines of `count` headers with values of `size` bytes."""
    return "".join(f"a{number}:{'v' * size}\r\n" for number in range(count))


ACCEPTED = {
    "110 headers": ("/", headers(110)),
    "990 headers": ("/", headers(990)),
    "990 headers of 20 bytes": ("/", headers(990, 14)),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_request_that_fits_into_a_uwsgi_packet_reaches_the_app(probe: Container, case: str) -> None:
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
    target, lines = REFUSED[case]
    body = f"Content-Length: 2\r\n{lines}\r\nab" if method == "POST" else f"{lines}\r\n"
    answer = exchange(probe, f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{body}".encode())
    head, _, page = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert re.search(rb"^X-Request-ID: (\w+)", head, re.MULTILINE)[1] in page


@pytest.mark.parametrize("size", [16_000, 60_000])
def test_response_headers_of_60_kb_reach_the_client(probe: Container, size: int) -> None:
    got = probe.get(f"/large?{size}", stream=True)
    assert sum(len(value) for _, value in got.raw.headers.items()) >= size
    assert got.status_code == 200


@pytest.mark.parametrize("target", ["/echo", "/static/note.txt"])
def test_a_client_that_has_closed_its_sending_side_gets_its_response(probe: Container, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    complete = len(exchange(probe, request))
    for _ in range(10):
        answer = exchange(probe, request, half_close=True)
        assert answer.startswith(b"HTTP/1.1 200")
        assert abs(len(answer) - complete) < 50


def test_the_access_log_has_the_method_of_a_request_that_gets_an_error_page(probe: Container) -> None:
    """Nginx changes $request_method to GET before it serves an error page."""
    answer = requests.post(probe.url("/"), data=b"x" * 2000, timeout=5)
    assert answer.status_code == 413
    request_id = answer.headers["X-Request-ID"]

    def methods() -> list[object]:
        return [line["method"] for line in probe.lines if line.get("request_id") == request_id]

    until(methods, "the request is logged")
    assert methods() == ["POST"]


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("GET", "/%zz", 400), ("get", "/lower", 400), ("OPTIONS", "*", 400), ("POST", f"/{'a' * 70_000}", 414)],
)
def test_the_access_log_has_method_and_path_of_a_request_line_that_nginx_refuses(
    method: str, target: str, status: int, probe: Container
) -> None:
    answer = exchange(probe, f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())

    def lines() -> list[dict[str, object]]:
        request_id = answer.partition(b"X-Request-ID: ")[2][:32].decode()
        return [line for line in probe.lines if line.get("request_id") == request_id]

    until(lines, "the request is logged")
    (line,) = lines()
    assert line["method"] == method
    assert line["path"] == target or (status == 414 and re.fullmatch("/a+", str(line["path"])))


def test_the_metrics_have_the_method_of_a_request_that_gets_an_error_page(probe: Container) -> None:
    requests.put(probe.url("/"), data=b"x" * 2000, timeout=5)
    key = ("wsgi_requests_total", "method=PUT", "status=4xx")
    until(lambda: samples(probe).get(key) == 1, "the request is counted")
