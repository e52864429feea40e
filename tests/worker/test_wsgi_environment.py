"""The WSGI environment (PEP 3333): requests reach the app unchanged, and its responses reach the client unchanged."""

import hashlib
import http.client
import ipaddress
import json
import random
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message

import pytest
import requests

import raw_http
from conftest import DEADLINE, REPO, Container, until

PROBE = REPO / "tests/apps/probe"
NOISE = random.Random(0).randbytes(50_000_000)
"""Content of uploads."""


@dataclass
class Answer:
    """Response to a raw request."""

    status: int
    headers: Message
    body: bytes

    @property
    def echo(self) -> dict:
        """Environment, length and digest of the body that reached the app."""
        assert self.status == 200, (self.status, self.body)
        return json.loads(self.body)

    @property
    def environ(self) -> dict[str, str]:
        """Environment that the app was called with."""
        return self.echo["environ"]


class Connection:
    """Connection that sends requests as raw bytes."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened

    def send(self, line: str, *headers: str, body: bytes = b"") -> None:
        """Send a request: request line, headers, body."""
        self.socket.sendall("\r\n".join([line, *headers, "", ""]).encode() + body)

    def receive(self, method: str = "GET") -> Answer:
        """Read the response to a request of that method."""
        response = http.client.HTTPResponse(self.socket, method=method)
        response.begin()
        return Answer(response.status, response.headers, response.read())


Ask = Callable[..., Answer]


@contextmanager
def connect(address: tuple[str, int]) -> Iterator[Connection]:
    """Open a connection for the block."""
    with socket.create_connection(address, timeout=DEADLINE) as opened:
        yield Connection(opened)


@pytest.fixture(scope="module")
def probe(start: Callable[..., Container]) -> Container:
    return start(f"--volume={PROBE}:/app:ro").wait()


@pytest.fixture(scope="module")
def address(probe: Container) -> tuple[str, int]:
    return raw_http.address(probe)


@pytest.fixture(scope="module")
def base(address: tuple[str, int]) -> str:
    """URL of the probe without a path."""
    return "http://{}:{}".format(*address)


@pytest.fixture(scope="module")
def ask(address: tuple[str, int]) -> Ask:
    """Send a request on a new connection: ask(REQUEST LINE, HEADER..., body=, host=)."""

    def ask(line: str = "GET / HTTP/1.1", *headers: str, body: bytes = b"", host: str = "localhost") -> Answer:
        if host:
            headers = (f"Host: {host}", *headers)
        if body:
            headers = (*headers, f"Content-Length: {len(body)}")
        with connect(address) as connection:
            connection.send(line, *headers, "Connection: close", body=body)
            return connection.receive(line.split()[0])

    return ask


def received_all(echo: dict, body: bytes) -> bool:
    """Return True if the app has read exactly this body."""
    return (echo["length"], echo["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    """Yield the body in pieces, which requests sends as chunks."""
    return (body[start : start + size] for start in range(0, len(body), size))


# --- Bodies ---


@pytest.mark.parametrize(
    ("length", "size"), [(0, 1), (1, 1), (3000, 1), (65_536, 4096), (1_000_001, 1000), (9_000_000, 65_537)]
)
def test_a_chunked_upload_reaches_the_app_complete_and_with_a_content_length(base: str, length: int, size: int) -> None:
    """Werkzeug reads an empty body if the environment has Transfer-Encoding."""
    body = NOISE[:length]
    echo = requests.post(f"{base}/upload", data=pieces(body, size), timeout=DEADLINE).json()
    assert received_all(echo, body)
    assert "HTTP_TRANSFER_ENCODING" not in echo["environ"]
    assert echo["environ"]["CONTENT_LENGTH"] == str(length)


def test_chunk_extensions_and_trailers_do_not_reach_the_app(ask: Ask) -> None:
    answer = ask(
        "POST /upload HTTP/1.1",
        "Host: localhost",
        "Transfer-Encoding: Chunked\r\n\r\n5;name=value\r\nhello\r\n0\r\nX-Trailer: 1",
        host="",
    )
    assert received_all(answer.echo, b"hello")
    assert "HTTP_X_TRAILER" not in answer.environ


@pytest.mark.parametrize("length", [1, 65_535, 65_536, 65_537, 9_000_000])
def test_an_upload_reaches_the_app_complete(base: str, length: int) -> None:
    body = NOISE[:length]
    assert received_all(requests.put(f"{base}/upload", data=body, timeout=DEADLINE).json(), body)


@pytest.mark.parametrize("method", ["all", "bytes", "line", "lines", "iteration"])
@pytest.mark.parametrize("body", [b"", b"one\ntwo\n\nlast", b"long line " * 20_000 + b"\nlast\n"], ids=len)
def test_every_method_of_wsgi_input_reads_the_whole_body(base: str, method: str, body: bytes) -> None:
    assert requests.post(f"{base}/read?{method}", data=body, timeout=DEADLINE).content == body


@pytest.mark.parametrize("chunked", [False, True], ids=["Content-Length", "chunked"])
def test_by_default_bodies_of_more_than_10_mb_are_refused(base: str, chunked: bool) -> None:
    body = NOISE[: 10 * 1024 * 1024 + 1]
    data = pieces(body, 65_536) if chunked else body
    assert requests.post(f"{base}/upload", data=data, timeout=DEADLINE).status_code == 413
    assert received_all(requests.post(f"{base}/upload", data=body[1:], timeout=DEADLINE).json(), body[1:])


def test_a_body_of_50_mb_reaches_the_app_if_max_body_size_allows_it(start: Callable[..., Container]) -> None:
    url = start("--env=MAX_BODY_SIZE=64m", f"--volume={PROBE}:/app:ro").wait().url("/upload")
    assert received_all(requests.put(url, data=NOISE, timeout=DEADLINE).json(), NOISE)
    assert received_all(requests.put(url, data=pieces(NOISE, 1_000_000), timeout=DEADLINE).json(), NOISE)


def test_a_client_that_expects_100_continue_gets_it(address: tuple[str, int]) -> None:
    with connect(address) as connection:
        connection.send("POST / HTTP/1.1", "Host: localhost", "Content-Length: 4", "Expect: 100-continue")
        assert connection.socket.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.socket.sendall(b"body")
        assert received_all(connection.receive().echo, b"body")


# --- Host, target, path and query ---


@pytest.mark.parametrize(
    ("host", "seen"),
    [
        ("name", "name"),
        ("name:8080", "name:8080"),
        ("name:80", "name:80"),
        ("Some.Example.org:8080", "some.example.org:8080"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("[::1]", "[::1]"),
        ("[::1]:8080", "[::1]:8080"),
        ("name:", "name"),
    ],
)
def test_the_app_gets_the_host_with_its_port(ask: Ask, host: str, seen: str) -> None:
    """Without the port, links and CSRF checks fail on every port except 80."""
    environ = ask(host=host).environ
    assert environ["HTTP_HOST"] == environ["HTTP_X_FORWARDED_HOST"] == seen
    assert environ["SERVER_NAME"] == re.sub(r":\d+$", "", seen)


def test_a_request_without_host_has_a_server_name_and_port(ask: Ask) -> None:
    """HTTP/1.0 has no Host header, and PEP 3333 forbids an empty SERVER_NAME and SERVER_PORT."""
    environ = ask("GET / HTTP/1.0", host="").environ
    assert environ["SERVER_NAME"]
    assert environ["SERVER_PORT"] == "80"
    assert environ["HTTP_HOST"] == environ["SERVER_NAME"]
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("GET http://example.org:8123/path HTTP/1.1", "example.org:8123"),
        ("GET http://example.org/path HTTP/1.1", "example.org"),
        ("GET HTTP://EXAMPLE.org:8123/path?at=http://other:99/ HTTP/1.1", "example.org:8123"),
        ("GET http://[::1]:8123/path HTTP/1.1", "[::1]:8123"),
        ("GET http://[::1]/path HTTP/1.1", "[::1]"),
        ("GET  http://example.org:8123/path HTTP/1.1", "example.org:8123"),
        ("GET other+scheme://example.org:8123/path HTTP/1.1", "example.org:8123"),
        ("GET /path?at=http://example.org:8123/ HTTP/1.1", "header:9000"),
    ],
)
def test_host_and_port_of_an_absolute_target_replace_the_host_header(ask: Ask, line: str, seen: str) -> None:
    environ = ask(line, host="header:9000").environ
    assert environ["HTTP_HOST"] == environ["HTTP_X_FORWARDED_HOST"] == seen
    assert environ["PATH_INFO"] == "/path"


@pytest.mark.parametrize("host", ["", "bad/host", "name\x7f", "n" * 20_000], ids=lambda host: host[:9])
def test_an_invalid_host_in_a_long_request_is_refused(ask: Ask, host: str) -> None:
    assert ask(f"GET /?{'q' * 19_000} HTTP/1.1", f"Host: {host}", host="").status == 400


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a/b", "/a/b", ""),
        ("/a?", "/a", ""),
        ("/a?b=c&b=d+e%20f", "/a", "b=c&b=d+e%20f"),
        ("/a?b=c?d", "/a", "b=c?d"),
        ("/a%3Fb?c", "/a?b", "c"),
        ("/a%2Fb", "/a/b", ""),
        ("/a//b", "/a//b", ""),
        ("//a", "//a", ""),
        ("/a%20b%25+", "/a b%+", ""),
        ("/caf%C3%A9?q=caf%C3%A9", "/café", "q=caf%C3%A9"),
        ("/café?q=café", "/café", "q=café"),
        ("/%FF", b"/\xff", ""),
    ],
)
def test_path_info_is_decoded_and_query_string_and_request_uri_are_not(
    ask: Ask, target: str, path: str | bytes, query: str
) -> None:
    environ = ask(f"GET {target} HTTP/1.1").environ
    path = path if isinstance(path, bytes) else path.encode()
    assert environ["PATH_INFO"].encode("latin-1") == path
    assert environ["QUERY_STRING"].encode("latin-1") == query.encode()
    assert environ["REQUEST_URI"].encode("latin-1") == target.encode()
    assert environ["SCRIPT_NAME"] == ""


@pytest.mark.parametrize("target", ["/proxied", "/proxied?a=b"])
def test_an_app_with_proxy_fix_builds_the_url_of_the_request(ask: Ask, target: str) -> None:
    assert ask(f"GET {target} HTTP/1.1", host="name:8080").body.decode() == f"http://name:8080{target}"


# --- Headers ---


def test_content_type_and_content_length_have_no_http_variables(ask: Ask) -> None:
    environ = ask("POST / HTTP/1.1", "Content-Type: text/x-test; charset=utf-8", body=b"body").environ
    assert environ["CONTENT_TYPE"] == "text/x-test; charset=utf-8"
    assert environ["CONTENT_LENGTH"] == "4"
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_a_query_and_a_cookie_of_20_kb_each_reach_the_app(ask: Ask) -> None:
    """They fill Nginx's buffers (large_client_header_buffers) and must fit into uWSGI's (buffer-size)."""
    query, cookie = "q" * 20_000, "c" * 20_000
    environ = ask(f"GET /?{query} HTTP/1.1", f"Cookie: {cookie}").environ
    assert (environ["QUERY_STRING"], environ["HTTP_COOKIE"]) == (query, cookie)


def test_repeated_headers_reach_the_app_as_one_list(ask: Ask) -> None:
    """RFC 3875, section 4.1.18, and RFC 9113, section 8.2.3, for cookies."""
    environ = ask("GET / HTTP/1.1", "X-Thing: one", "X-Thing: two", "Cookie: a=1", "Cookie: b=2").environ
    assert environ["HTTP_X_THING"] == "one, two"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


FORGED = {
    "X-Forwarded-For": "198.51.100.7",
    "X_Forwarded_Proto": "https",
    "X-Forwarded_Host": "evil.example",
    "X.Forwarded.For": "198.51.100.7",
    "Content_Length": "3",
    "Transfer_Encoding": "chunked",
    "Script_Name": "/evil",
}
"""Names whose variables are those of other headers, and one plain header; test_hostile.py has the rest."""


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_header_does_not_reach_the_app(ask: Ask, name: str) -> None:
    def constant(environ: dict[str, str]) -> dict[str, str]:
        variable = {"REMOTE_PORT", "HTTP_X_REQUEST_ID", "uwsgi.core"}
        return {key: value for key, value in environ.items() if key not in variable}

    plain = ask("POST / HTTP/1.1", body=b"body")
    forged = ask("POST / HTTP/1.1", f"{name}: {FORGED[name]}", f"{name.lower()}: {FORGED[name]}", body=b"body")
    assert constant(forged.environ) == constant(plain.environ)
    assert received_all(forged.echo, b"body")


def test_all_variables_of_the_client_and_of_the_scheme_agree(ask: Ask) -> None:
    environ = ask().environ
    assert ipaddress.ip_address(environ["REMOTE_ADDR"])
    assert environ["REMOTE_ADDR"] == environ["HTTP_X_FORWARDED_FOR"] == environ["HTTP_X_REAL_IP"]
    assert environ["wsgi.url_scheme"] == environ["REQUEST_SCHEME"] == environ["HTTP_X_FORWARDED_PROTO"] == "http"
    assert "HTTPS" not in environ


def test_app_and_client_get_the_same_request_id_and_the_client_cannot_choose_it(ask: Ask) -> None:
    answer = ask("GET / HTTP/1.1", "X-Request-ID: chosen")
    assert re.fullmatch("[0-9a-f]{32}", answer.environ["HTTP_X_REQUEST_ID"])
    assert answer.headers.get_all("X-Request-ID") == [answer.environ["HTTP_X_REQUEST_ID"]]


# --- Methods and responses ---


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_every_method_reaches_the_app_with_its_body(ask: Ask, method: str) -> None:
    answer = ask(f"{method} / HTTP/1.1", body=b"body")
    assert answer.environ["REQUEST_METHOD"] == method
    assert received_all(answer.echo, b"body")


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_wsgiref_validate_has_no_complaint(ask: Ask, probe: Container, method: str) -> None:
    body = b"" if method in ("GET", "HEAD") else b"body"
    answer = ask(f"{method} /valid?a=b HTTP/1.1", body=body)
    assert answer.status == 200
    assert method == "HEAD" or received_all(answer.echo, body)
    assert "wsgiref" not in probe.log
    assert "without being closed" not in probe.log


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("HEAD / HTTP/1.1", 200),
        ("GET /status?204 HTTP/1.1", 204),
        ("GET /status?304 HTTP/1.1", 304),
        ("HEAD /static/note.txt HTTP/1.1", 200),
        ("HEAD /static/missing HTTP/1.1", 200),
    ],
)
def test_a_response_without_body_keeps_the_connection_usable(address: tuple[str, int], line: str, status: int) -> None:
    with connect(address) as connection:
        connection.send(line, "Host: localhost")
        connection.send("GET /next HTTP/1.1", "Host: localhost", "Connection: close")
        received = b"".join(iter(lambda: connection.socket.recv(65_536), b""))
    first, _, rest = received.partition(b"\r\n\r\n")
    assert first.startswith(f"HTTP/1.1 {status} ".encode())
    assert rest.startswith(b"HTTP/1.1 200 ")
    assert b'"PATH_INFO": "/next"' in rest


def test_head_has_the_headers_of_get(ask: Ask) -> None:
    head, get = (ask(f"{method} /early HTTP/1.1") for method in ("HEAD", "GET"))
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == "5"
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_streamed_response_is_complete(ask: Ask, version: str) -> None:
    assert ask(f"GET /stream {version}").body == b"".join(f"{number}\n".encode() * 50 for number in range(1000))


def test_a_response_with_x_accel_buffering_no_is_not_buffered(base: str) -> None:
    """Server-sent events depend on it."""
    with requests.get(f"{base}/drip", stream=True, timeout=DEADLINE) as response:
        lines = response.iter_lines(chunk_size=None)
        assert next(lines) == b"first"
        assert requests.get(f"{base}/heard", timeout=DEADLINE).ok
        assert list(lines) == [b"heard"]


@pytest.mark.parametrize("end", ["end", "client"])
def test_close_is_called_at_the_end_of_a_response_and_when_the_client_has_gone(base: str, ask: Ask, end: str) -> None:
    with requests.get(f"{base}/closing?{end}", stream=True, timeout=DEADLINE) as response:
        assert next(response.iter_content(6)) == b"piece\n"
    until(lambda: ask("GET /closed HTTP/1.1").status == 200, "close() is called")


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_wsgi_file_wrapper_sends_a_file_from_its_current_position(ask: Ask, kind: str) -> None:
    """PEP 3333 requires it also for objects without a file descriptor."""
    assert ask(f"GET /rest?{kind} HTTP/1.1").body == (PROBE / "static/note.txt").read_bytes()[5:]


# --- Paths below and beside the static files ---


@pytest.mark.parametrize(
    "target",
    [
        "/static../routes.py",
        "/static../static/note.txt",
        "/static/../routes.py",
        "/static/%2e%2e/routes.py",
        "/static/..%2froutes.py",
        "/static/%2e%2e%2froutes.py",
        "/static%2f..%2froutes.py",
        "/static//..//routes.txt",
        "/static/texts/../../routes.py",
        "/static_private",
        "/static/../static_private",
        "/routes.py",
        "//static/note.txt",
    ],
)
def test_a_path_that_leaves_the_static_folder_reaches_the_app_unchanged(ask: Ask, target: str) -> None:
    answer = ask(f"GET {target} HTTP/1.1")
    assert answer.environ["REQUEST_URI"] == target


@pytest.mark.parametrize("name", sorted(path.name for path in (PROBE / "static/texts").iterdir()))
def test_static_text_is_utf_8(ask: Ask, name: str) -> None:
    assert ask(f"GET /static/texts/{name} HTTP/1.1").headers.get_content_charset() == "utf-8"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("target", ["/static/missing", "/static/texts/", "/static/note.txt/more", "/static"])
def test_a_missing_static_file_is_answered_by_the_app(ask: Ask, method: str, target: str) -> None:
    """Flask extensions serve static files of their own below the same path."""
    body = NOISE[:1_000_000]
    answer = ask(f"{method} {target} HTTP/1.1", body=body)
    assert answer.environ["PATH_INFO"] == target
    assert answer.environ["REQUEST_METHOD"] == method
    assert received_all(answer.echo, body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_for_a_static_file_reach_the_app(ask: Ask, method: str) -> None:
    assert received_all(ask(f"{method} /static/note.txt HTTP/1.1", body=b"body").echo, b"body")


def test_a_redirect_to_a_static_folder_does_not_name_the_containers_port(ask: Ask) -> None:
    answer = ask("GET /static/texts HTTP/1.1", host="name:8080")
    assert answer.headers.get("Location", "/static/texts/") == "/static/texts/"
