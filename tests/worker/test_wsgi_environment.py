"""A faithful WSGI environment: what a client sends is what the app gets, and what the app sends is what arrives.

The app is tests/apps/probe, mounted over the image's own. Sockets are raw where a client library would tidy up.
"""

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

from conftest import DEADLINE, REPO, Container, until

PROBE = REPO / "tests/apps/probe"
NOISE = random.Random(0).randbytes(50_000_000)
"""What uploads are made of: no part of it looks like another."""


@dataclass
class Answer:
    """A response."""

    status: int
    headers: Message
    body: bytes

    @property
    def told(self) -> dict:
        """What the echo of the probe tells."""
        assert self.status == 200, (self.status, self.body)
        return json.loads(self.body)

    @property
    def environ(self) -> dict[str, str]:
        """The environment that the app was called with."""
        return self.told["environ"]


class Connection:
    """One connection to a container, which sends exactly what it is told to."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened

    def send(self, line: str, *headers: str, body: bytes = b"") -> None:
        """Sends a request: its first line, its headers, its body."""
        self.socket.sendall("\r\n".join([line, *headers, "", ""]).encode() + body)

    def receive(self, method: str = "GET") -> Answer:
        """Reads the response to a request of that method."""
        response = http.client.HTTPResponse(self.socket, method=method)
        response.begin()
        return Answer(response.status, response.headers, response.read())


Ask = Callable[..., Answer]


@contextmanager
def connect(address: tuple[str, int]) -> Iterator[Connection]:
    """Opens a connection, and closes it again."""
    with socket.create_connection(address, timeout=DEADLINE) as opened:
        yield Connection(opened)


@pytest.fixture(scope="module")
def probe(start: Callable[..., Container]) -> Container:
    """A container that serves the probe with the default settings."""
    return start(f"--volume={PROBE}:/app:ro").wait()


@pytest.fixture(scope="module")
def address(probe: Container) -> tuple[str, int]:
    """Host and port of the probe."""
    host, port = probe.address.rsplit(":", 1)
    return host, int(port)


@pytest.fixture(scope="module")
def base(address: tuple[str, int]) -> str:
    """The probe's URL, without a path."""
    return "http://{}:{}".format(*address)


@pytest.fixture(scope="module")
def ask(address: tuple[str, int]) -> Ask:
    """Sends one request on a connection of its own: ask(LINE, HEADER..., body=)."""

    def ask(line: str = "GET / HTTP/1.1", *headers: str, body: bytes = b"", host: str = "localhost") -> Answer:
        if host:
            headers = (f"Host: {host}", *headers)
        if body:
            headers = (*headers, f"Content-Length: {len(body)}")
        with connect(address) as connection:
            connection.send(line, *headers, "Connection: close", body=body)
            return connection.receive(line.split()[0])

    return ask


def arrived_whole(told: dict, body: bytes) -> bool:
    """Whether the app read `body`, byte for byte."""
    return (told["length"], told["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    """The body in pieces; requests sends an iterator in chunks."""
    return (body[start : start + size] for start in range(0, len(body), size))


# --- Bodies ---


@pytest.mark.parametrize(
    ("length", "size"), [(0, 1), (1, 1), (3000, 1), (65_536, 4096), (1_000_001, 1000), (9_000_000, 65_537)]
)
def test_a_chunked_upload_arrives_whole(base: str, length: int, size: int) -> None:
    """Nginx undoes the chunks, and the app is told the length instead of being told to look for chunks."""
    body = NOISE[:length]
    told = requests.post(f"{base}/upload", data=pieces(body, size), timeout=DEADLINE).json()
    assert arrived_whole(told, body)
    assert "HTTP_TRANSFER_ENCODING" not in told["environ"]
    assert told["environ"]["CONTENT_LENGTH"] == str(length)


def test_chunks_may_have_extensions_and_trailers(ask: Ask) -> None:
    """What HTTP allows around a chunk is no part of the body, and a trailer is no header."""
    answer = ask(
        "POST /upload HTTP/1.1",
        "Host: localhost",
        "Transfer-Encoding: Chunked\r\n\r\n5;name=value\r\nhello\r\n0\r\nX-Trailer: 1",
        host="",
    )
    assert arrived_whole(answer.told, b"hello")
    assert "HTTP_X_TRAILER" not in answer.environ


@pytest.mark.parametrize("length", [1, 65_535, 65_536, 65_537, 9_000_000])
def test_an_upload_arrives_whole(base: str, length: int) -> None:
    """Around the size of a buffer and far above it, every byte arrives."""
    body = NOISE[:length]
    assert arrived_whole(requests.put(f"{base}/upload", data=body, timeout=DEADLINE).json(), body)


@pytest.mark.parametrize("way", ["all", "bytes", "line", "lines", "iteration"])
@pytest.mark.parametrize("body", [b"", b"one\ntwo\n\nlast", b"long line " * 20_000 + b"\nlast\n"], ids=len)
def test_every_way_to_read_the_body_gives_the_same(base: str, way: str, body: bytes) -> None:
    """wsgi.input is a file with read, readline, readlines and iteration, and it ends where the body ends."""
    assert requests.post(f"{base}/read?{way}", data=body, timeout=DEADLINE).content == body


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_body_above_the_limit_is_refused(base: str, chunked: bool) -> None:
    """MAX_BODY_SIZE is 10 MB by default, however the body is sent."""
    body = NOISE[: 10 * 1024 * 1024 + 1]
    data = pieces(body, 65_536) if chunked else body
    assert requests.post(f"{base}/upload", data=data, timeout=DEADLINE).status_code == 413
    assert arrived_whole(requests.post(f"{base}/upload", data=body[1:], timeout=DEADLINE).json(), body[1:])


def test_a_raised_limit_lets_large_bodies_in(start: Callable[..., Container]) -> None:
    """With MAX_BODY_SIZE=64m, 50 MB arrive whole, in chunks as well."""
    roomy = start("--env=MAX_BODY_SIZE=64m", f"--volume={PROBE}:/app:ro").wait().url("/upload")
    assert arrived_whole(requests.put(roomy, data=NOISE, timeout=DEADLINE).json(), NOISE)
    assert arrived_whole(requests.put(roomy, data=pieces(NOISE, 1_000_000), timeout=DEADLINE).json(), NOISE)


def test_an_early_answer_to_an_unread_body_arrives(base: str) -> None:
    """An app that doesn't read 5 MB still gets its answer through, every time."""
    body = NOISE[:5_000_000]
    answers = [requests.post(f"{base}/early", data=body, timeout=DEADLINE) for _ in range(30)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"early")] * 30


def test_who_waits_for_100_continue_gets_it(address: tuple[str, int]) -> None:
    """A client that asks before it sends its body, as curl does, is told to go on."""
    with connect(address) as connection:
        connection.send("POST / HTTP/1.1", "Host: localhost", "Content-Length: 4", "Expect: 100-continue")
        assert connection.socket.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.socket.sendall(b"body")
        assert arrived_whole(connection.receive().told, b"body")


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Content-Length: 4", "Content-Length: 5"),
        ("Content-Length: +4",),
        ("Transfer-Encoding: chunked, chunked",),
    ],
    ids=" and ".join,
)
def test_a_body_of_unclear_length_is_refused(ask: Ask, headers: tuple[str, ...]) -> None:
    """Two readings of one request are what smugglers live on."""
    assert ask("POST / HTTP/1.1", *headers).status in (400, 501)


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
def test_the_app_sees_the_host_and_port_that_were_asked_for(ask: Ask, host: str, seen: str) -> None:
    """The port belongs to the host: without it, links and CSRF checks fail on every port but 80."""
    environ = ask(host=host).environ
    assert environ["HTTP_HOST"] == environ["HTTP_X_FORWARDED_HOST"] == seen
    assert environ["SERVER_NAME"] == re.sub(r":\d+$", "", seen)


def test_a_request_without_host_has_a_server_name(ask: Ask) -> None:
    """HTTP/1.0 knows no Host, and WSGI knows no empty SERVER_NAME or SERVER_PORT."""
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
def test_the_host_of_an_absolute_target_beats_the_header(ask: Ask, line: str, seen: str) -> None:
    """Name and port come from the same place, never one from the target and one from the Host header."""
    environ = ask(line, host="header:9000").environ
    assert environ["HTTP_HOST"] == environ["HTTP_X_FORWARDED_HOST"] == seen
    assert environ["PATH_INFO"] == "/path"


@pytest.mark.parametrize(
    "host", ["", "bad/host", "a b", "name\x7f", "n" * 256, "n" * 20_000], ids=lambda host: host[:9]
)
def test_a_host_that_cannot_be_one_is_refused(ask: Ask, host: str) -> None:
    """HTTP/1.1 needs one Host, and a name."""
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
def test_path_and_query_are_what_was_asked_for(ask: Ask, target: str, path: str | bytes, query: str) -> None:
    """PATH_INFO is decoded, in bytes as WSGI writes them; REQUEST_URI and QUERY_STRING are as sent."""
    environ = ask(f"GET {target} HTTP/1.1").environ
    path = path if isinstance(path, bytes) else path.encode()
    assert environ["PATH_INFO"].encode("latin-1") == path
    assert environ["QUERY_STRING"].encode("latin-1") == query.encode()
    assert environ["REQUEST_URI"].encode("latin-1") == target.encode()
    assert environ["SCRIPT_NAME"] == ""


@pytest.mark.parametrize("target", ["/proxied", "/proxied?a=b"])
def test_an_app_behind_proxy_fix_builds_the_url_that_was_asked_for(ask: Ask, target: str) -> None:
    """An app that was made for a proxy, and believes every header of one, finds them all in agreement."""
    assert ask(f"GET {target} HTTP/1.1", host="name:8080").body.decode() == f"http://name:8080{target}"


# --- Headers ---


def test_each_parameter_is_sent_to_the_app_once() -> None:
    """Of a parameter that arrives twice, only chance says which one counts."""
    names = re.findall(r"^\s*uwsgi_param\s+(\S+)", (REPO / "nginx/uwsgi_params").read_text(), re.MULTILINE)
    assert sorted(names) == sorted(set(names))


def test_content_type_and_length_arrive_once(ask: Ask) -> None:
    """WSGI has CONTENT_TYPE and CONTENT_LENGTH without HTTP_, and forbids the other two."""
    environ = ask("POST / HTTP/1.1", "Content-Type: text/x-test; charset=utf-8", body=b"body").environ
    assert environ["CONTENT_TYPE"] == "text/x-test; charset=utf-8"
    assert environ["CONTENT_LENGTH"] == "4"
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_16_kilobytes_of_cookies_arrive(ask: Ask) -> None:
    """Single sign-on and its like fill cookies far beyond uWSGI's 4 KB."""
    cookie = "c=" + "x" * 16_384
    assert ask("GET / HTTP/1.1", f"Cookie: {cookie}").environ["HTTP_COOKIE"] == cookie


def test_the_longest_request_that_nginx_takes_reaches_the_app(ask: Ask) -> None:
    """The line and the headers may fill nginx's buffers at once without being too much for uWSGI."""
    query, cookie = "q" * 20_000, "c" * 20_000
    environ = ask(f"GET /?{query} HTTP/1.1", f"Cookie: {cookie}").environ
    assert (environ["QUERY_STRING"], environ["HTTP_COOKIE"]) == (query, cookie)


@pytest.mark.parametrize(("target", "header", "status"), [("/" + "q" * 21_000, "", 414), ("/", "c" * 21_000, 431)])
def test_a_longer_request_is_the_clients_fault(ask: Ask, target: str, header: str, status: int) -> None:
    """What doesn't fit is refused as such, and is no error of the server's."""
    assert ask(f"GET {target} HTTP/1.1", f"Cookie: {header}").status == status


def test_repeated_headers_arrive_as_one(ask: Ask) -> None:
    """Lists are joined with a comma, cookies with a semicolon, as CGI and HTTP have it."""
    environ = ask("GET / HTTP/1.1", "X-Thing: one", "X-Thing: two", "Cookie: a=1", "Cookie: b=2").environ
    assert environ["HTTP_X_THING"] == "one, two"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


def test_an_app_may_send_many_headers(ask: Ask) -> None:
    """Two cookies of 6 KB are set, both of them."""
    assert ask("GET /cookies HTTP/1.1").headers.get_all("Set-Cookie") == ["a=" + "a" * 6000, "b=" + "b" * 6000]


CLAIMS = {
    "X-Forwarded-For": "198.51.100.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Protocol": "https",
    "X-Forwarded-Scheme": "https",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "4443",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-By": "evil.example",
    "X-Forwarded-User": "evil",
    "X-Forwarded-Preferred-Username": "evil",
    "X-Forwarded-Email": "evil@evil.example",
    "X-Forwarded-Groups": "evil",
    "Forwarded": "for=198.51.100.7;proto=https;host=evil.example",
    "X-Real-IP": "198.51.100.7",
    "X-Scheme": "https",
    "X-Script-Name": "/evil",
    "X-Remote-User": "evil",
    "Remote-User": "evil",
    "Proxy": "http://evil.example:3128",
    "X-Request-ID": "evil",
    "X_Forwarded_For": "198.51.100.7",
    "X_Forwarded_Proto": "https",
    "X-Forwarded_Host": "evil.example",
    "X.Forwarded.For": "198.51.100.7",
    "Content_Length": "3",
    "Transfer_Encoding": "chunked",
    "Script_Name": "/evil",
}
"""What software behind proxies believes, and the same with the other characters that become an underscore."""


@pytest.mark.parametrize("name", CLAIMS)
def test_what_a_client_claims_does_not_reach_the_app(ask: Ask, name: str) -> None:
    """A claim changes nothing: the app is called as if the header weren't there."""

    def steady(environ: dict[str, str]) -> dict[str, str]:
        volatile = {"REMOTE_PORT", "HTTP_X_REQUEST_ID", "uwsgi.core"}
        return {key: value for key, value in environ.items() if key not in volatile}

    honest = ask("POST / HTTP/1.1", body=b"body")
    claiming = ask("POST / HTTP/1.1", f"{name}: {CLAIMS[name]}", f"{name.lower()}: {CLAIMS[name]}", body=b"body")
    assert steady(claiming.environ) == steady(honest.environ)
    assert arrived_whole(claiming.told, b"body")
    assert CLAIMS[name] not in claiming.environ.values()


def test_the_client_is_the_peer_and_the_scheme_is_http(ask: Ask) -> None:
    """Every header that names client or scheme says what is so."""
    environ = ask().environ
    assert ipaddress.ip_address(environ["REMOTE_ADDR"])
    assert environ["REMOTE_ADDR"] == environ["HTTP_X_FORWARDED_FOR"] == environ["HTTP_X_REAL_IP"]
    assert environ["wsgi.url_scheme"] == environ["REQUEST_SCHEME"] == environ["HTTP_X_FORWARDED_PROTO"] == "http"
    assert "HTTPS" not in environ


def test_a_request_has_one_id_of_our_making(ask: Ask) -> None:
    """The app and the client get the same X-Request-ID, which the client can't choose."""
    answer = ask("GET / HTTP/1.1", "X-Request-ID: chosen")
    assert re.fullmatch("[0-9a-f]{32}", answer.environ["HTTP_X_REQUEST_ID"])
    assert answer.headers.get_all("X-Request-ID") == [answer.environ["HTTP_X_REQUEST_ID"]]


# --- Methods and responses ---


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_every_method_reaches_the_app_with_its_body(ask: Ask, method: str) -> None:
    """Also those that seldom have a body, or that few have heard of."""
    answer = ask(f"{method} / HTTP/1.1", body=b"body")
    assert answer.environ["REQUEST_METHOD"] == method
    assert arrived_whole(answer.told, b"body")


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_validator_of_wsgi_has_no_complaint(ask: Ask, probe: Container, method: str) -> None:
    """wsgiref.validate, the standard's own judge, stands between uWSGI and the app."""
    body = b"" if method in ("GET", "HEAD") else b"body"
    answer = ask(f"{method} /valid?a=b HTTP/1.1", body=body)
    assert answer.status == 200
    assert method == "HEAD" or arrived_whole(answer.told, body)
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
def test_a_response_without_body_leaves_the_connection_usable(address: tuple[str, int], line: str, status: int) -> None:
    """Not one byte follows the headers, so the next response on the connection is read as what it is."""
    with connect(address) as connection:
        connection.send(line, "Host: localhost")
        connection.send("GET /next HTTP/1.1", "Host: localhost", "Connection: close")
        received = b"".join(iter(lambda: connection.socket.recv(65_536), b""))
    first, _, rest = received.partition(b"\r\n\r\n")
    assert first.startswith(f"HTTP/1.1 {status} ".encode())
    assert rest.startswith(b"HTTP/1.1 200 ")
    assert b'"PATH_INFO": "/next"' in rest


def test_head_tells_the_length_that_get_would_have(ask: Ask) -> None:
    """A HEAD request is answered with the headers of the GET."""
    head, get = (ask(f"{method} /early HTTP/1.1") for method in ("HEAD", "GET"))
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == "5"
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_streamed_response_arrives_whole(ask: Ask, version: str) -> None:
    """A generator's pieces arrive in order, none missing, to the last one."""
    assert ask(f"GET /stream {version}").body == b"".join(f"{number}\n".encode() * 50 for number in range(1000))


def test_a_stream_that_asks_for_it_is_not_buffered(base: str) -> None:
    """With X-Accel-Buffering: no, as for server-sent events, the first piece arrives before the second is made."""
    with requests.get(f"{base}/drip", stream=True, timeout=DEADLINE) as response:
        lines = response.iter_lines(chunk_size=None)
        assert next(lines) == b"first"
        assert requests.get(f"{base}/heard", timeout=DEADLINE).ok
        assert list(lines) == [b"heard"]


@pytest.mark.parametrize("end", ["end", "client"])
def test_a_response_is_closed_at_its_end(base: str, ask: Ask, end: str) -> None:
    """WSGI promises to call close(), where apps let go of what they hold, even when the client has gone away."""
    with requests.get(f"{base}/closing?{end}", stream=True, timeout=DEADLINE) as response:
        assert next(response.iter_content(6)) == b"piece\n"
    until(lambda: ask("GET /closed HTTP/1.1").status == 200, "close() is called")


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_file_is_sent_from_where_it_was_left(ask: Ask, kind: str) -> None:
    """wsgi.file_wrapper begins at the current position, as WSGI demands, and takes what has no descriptor."""
    assert ask(f"GET /rest?{kind} HTTP/1.1").body == (PROBE / "static/note.txt").read_bytes()[5:]


# --- Static files ---


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
def test_nothing_but_static_is_served(ask: Ask, target: str) -> None:
    """The app's source and its neighbours are no files to nginx: such a path is a question to the app."""
    answer = ask(f"GET {target} HTTP/1.1")
    assert answer.environ["REQUEST_URI"] == target


@pytest.mark.parametrize("target", ["/static/..%5croutes.py", "/static//..//routes.py"])
def test_code_below_static_is_not_even_looked_for(ask: Ask, target: str) -> None:
    """Whatever the path may mean."""
    assert ask(f"GET {target} HTTP/1.1").status == 404


@pytest.mark.parametrize("target", ["/../routes.py", "/static/../../app/routes.py", "/static/note.txt%00.css"])
def test_a_path_that_leads_nowhere_is_refused(ask: Ask, target: str) -> None:
    """Above the root there is nothing, and a path has no zero byte."""
    assert ask(f"GET {target} HTTP/1.1").status == 400


def test_a_static_file_is_served_by_nginx(ask: Ask) -> None:
    """It comes with what browsers need to ask for it only once."""
    answer = ask("GET /static/note.txt HTTP/1.1")
    assert answer.body == (PROBE / "static/note.txt").read_bytes()
    assert answer.headers["ETag"]
    assert answer.headers["Last-Modified"]
    again = ask("GET /static/note.txt HTTP/1.1", f"If-None-Match: {answer.headers['ETag']}")
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("name", sorted(path.name for path in (PROBE / "static/texts").iterdir()))
def test_static_text_is_utf_8(ask: Ask, name: str) -> None:
    """Every kind of text says its encoding, so that no browser guesses."""
    assert ask(f"GET /static/texts/{name} HTTP/1.1").headers.get_content_charset() == "utf-8"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("target", ["/static/missing", "/static/texts/", "/static/note.txt/more", "/static"])
def test_what_is_not_in_static_is_answered_by_the_app(ask: Ask, method: str, target: str) -> None:
    """Packages with static folders of their own live below the same path, with every method and body."""
    body = NOISE[:1_000_000]
    answer = ask(f"{method} {target} HTTP/1.1", body=body)
    assert answer.environ["PATH_INFO"] == target
    assert answer.environ["REQUEST_METHOD"] == method
    assert arrived_whole(answer.told, body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_static_file_cannot_be_written_to(ask: Ask, method: str) -> None:
    """Nginx only reads: any other method on an existing file is the app's affair."""
    assert arrived_whole(ask(f"{method} /static/note.txt HTTP/1.1", body=b"body").told, b"body")


def test_a_static_folder_without_its_slash_leads_nowhere_else(ask: Ask) -> None:
    """Inside the container the port is another one, so a redirect must not name it."""
    answer = ask("GET /static/texts HTTP/1.1", host="name:8080")
    assert answer.headers.get("Location", "/static/texts/") == "/static/texts/"
