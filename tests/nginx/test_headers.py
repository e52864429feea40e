"""What nginx adds to answers, and what it says when it has to answer itself."""

import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from conftest import APPS, Container, docker, until

Start = Callable[..., Container]
FRONT = f"--volume={APPS}/front:/app:ro"
SECURITY = ["X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options", "Content-Security-Policy"]


@pytest.fixture(scope="module")
def front(start: Start) -> Container:
    """The app that answers what the query string says."""
    return start(FRONT, "--env=MAX_BODY_SIZE=1k").wait()


def answer(container: Container, *headers: str, **options: str) -> requests.Response:
    """What the app answers with these headers."""
    return container.get("/any", params={"header": headers, **options})


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("text/html", SECURITY),
        ("text/html; charset=utf-8", SECURITY),
        ("application/json", SECURITY[:2]),
        ("image/png", SECURITY[:2]),
    ],
)
def test_answers_have_the_security_headers_of_their_type(front: Container, kind: str, names: list[str]) -> None:
    """Frames and content policies are for pages."""
    got = answer(front, f"Content-Type:{kind}").headers
    assert [name for name in SECURITY if name in got] == names


@pytest.mark.parametrize("status", ["201", "404", "500"])
def test_errors_of_the_app_have_them_too_and_pass_untouched(front: Container, status: str) -> None:
    """Their pages are the app's."""
    got = answer(front, "Content-Type:text/html", status=status)
    assert str(got.status_code) == status
    assert got.text.startswith("call ")
    assert got.headers.keys() >= set(SECURITY)


@pytest.mark.parametrize("name", SECURITY)
def test_the_apps_own_header_wins(front: Container, name: str) -> None:
    """It is there once, and the others are as ever."""
    got = answer(front, "Content-Type:text/html", f"{name}:mine")
    assert got.headers[name] == "mine"
    assert got.headers.keys() >= set(SECURITY)


POLICIES = {
    "minimal": "object-src 'none'; base-uri 'self'; frame-ancestors 'self'",
    "strict": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'",
    "off": None,
    "img-src https://a.example:8443/{x} *; script-src 'nonce-a/b+c=' 'self';": "img-src https://a.example:8443/{x} *; "
    "script-src 'nonce-a/b+c=' 'self';",
}


@pytest.fixture(scope="module", params=POLICIES)
def policy(start: Start, request: pytest.FixtureRequest) -> tuple[Container, str | None]:
    """A container with a value of CSP, and the policy that this stands for."""
    return start(FRONT, f"--env=CSP={request.param}").wait(), POLICIES[request.param]


def test_csp_sets_the_policy_of_pages(policy: tuple[Container, str | None]) -> None:
    """X-Frame-Options is sent with our policies only."""
    container, expected = policy
    got = answer(container, "Content-Type:text/html").headers
    assert got.get("Content-Security-Policy") == expected
    framed = expected in (POLICIES["minimal"], POLICIES["strict"])
    assert got.get("X-Frame-Options") == ("SAMEORIGIN" if framed else None)
    assert "Content-Security-Policy" not in answer(container, "Content-Type:text/plain").headers


def test_minimal_is_the_default(front: Container) -> None:
    """Apps with inline scripts, styles and foreign files work."""
    assert answer(front, "Content-Type:text/html").headers["Content-Security-Policy"] == POLICIES["minimal"]


@pytest.mark.parametrize(
    ("header", "csp", "frame_options"),
    [
        ("X-Frame-Options:DENY", "object-src 'none'; base-uri 'self'", "DENY"),
        ("Content-Security-Policy:frame-ancestors *", "frame-ancestors *", None),
        ("Content-Security-Policy:img-src *", "img-src *", "SAMEORIGIN"),
        ("Content-Security-Policy:;", ";", None),
    ],
)
def test_an_app_that_sets_one_of_the_frame_headers_decides_alone(
    front: Container, header: str, csp: str, frame_options: str | None
) -> None:
    """Browsers ignore X-Frame-Options next to frame-ancestors: they must not contradict each other."""
    got = answer(front, "Content-Type:text/html", header).headers
    assert (got["Content-Security-Policy"], got.get("X-Frame-Options")) == (csp, frame_options)


@pytest.mark.parametrize(
    "value", ["minimum", "on", "default-src 'self'\"", "img-src $host", "img-src a\\", "img-src *\nX: y", "; ;"]
)
def test_a_csp_that_is_no_policy_stops_the_container(start: Start, value: str) -> None:
    """Nor one that could change nginx's configuration."""
    container = start(f"--env=CSP={value}")
    assert container.exit_code() == 78
    assert "CSP is" in container.log


@pytest.mark.parametrize("name", ["Strict-Transport-Security", "X-Cache-Status", "Cache-Control", "Retry-After"])
def test_the_apps_header_is_sent_once(start: Start, front: Container, name: str) -> None:
    """With the app's value."""
    assert answer(front, f"{name}:12").headers[name] == "12"


def test_the_response_has_the_request_id_of_the_log(front: Container) -> None:
    """The app's own X-Request-ID is not sent."""
    got = answer(front, "X-Request-ID:mine").headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", got)
    until(lambda: got in front.log, "it is logged")


@pytest.mark.parametrize("path", ["/", "/static/style.css", "/hello", "/none", "/static/.hidden"])
def test_nobody_learns_what_runs_here(container: Container, path: str) -> None:
    """No version of nginx, and nothing of uWSGI and Python."""
    got = container.get(path)
    assert got.headers["Server"] == "nginx"
    assert not re.search("(?i)uwsgi|python|werkzeug|supervisor|nginx/", str(got.headers))
    assert got.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("kind", "size", "compressed"),
    [
        ("text/html", "2000", True),
        ("application/json", "2000", True),
        ("text/html", "10", False),
        ("image/png", "2000", False),
    ],
)
def test_text_of_some_length_is_compressed(front: Container, kind: str, size: str, compressed: bool) -> None:
    """By type and size, and caches are told."""
    got = answer(front, f"Content-Type:{kind}", size=size)
    assert (got.headers.get("Content-Encoding") == "gzip") == compressed
    assert got.text.endswith("." * int(size))


def test_what_the_app_has_compressed_is_left_alone(front: Container) -> None:
    """It says so by Content-Encoding."""
    got = requests.get(
        front.url("/any"),
        params={"header": ["Content-Encoding:br", "Content-Type:text/html"], "size": "2000"},
        stream=True,
        timeout=5,
    )
    assert got.raw.read(decode_content=False).startswith(b"call ")


def raw(container: Container, request: bytes) -> bytes:
    """What comes back for these bytes, up to the end of the connection."""
    host, _, port = container.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


ERRORS = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 30000 + b"\r\n\r\n", 431),
    (b"GET /" + b"x" * 30000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n" + b"x" * 2000, 413),
    (b"GET /static/.env HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
]


@pytest.mark.parametrize(("request_bytes", "status"), ERRORS, ids=lambda value: value if isinstance(value, int) else "")
def test_an_error_of_nginxs_own_has_a_page_with_the_requests_id(
    front: Container, request_bytes: bytes, status: int
) -> None:
    """Which no cache keeps."""
    head, _, page = raw(front, request_bytes).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert headers["X-Request-ID"].encode() in page
    assert b"%d" % status in page
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Type"].startswith("text/html")


def test_who_asks_for_json_gets_errors_in_json(front: Container) -> None:
    """By Accept."""
    got = requests.post(front.url("/"), data=b"x" * 2000, headers={"Accept": "application/json"}, timeout=5)
    assert (got.status_code, got.headers["Content-Type"]) == (413, "application/json")
    assert got.json() == {"status": 413, "request_id": got.headers["X-Request-ID"]}


def test_the_apps_own_error_pages_replace_ours(start: Start, tmp_path: Path) -> None:
    """A folder errors/ in src/."""
    (tmp_path / "routes.py").write_text((APPS / "front/routes.py").read_text())
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors/error.html").write_text('<h1>Ours: <!--# echo var="status" --></h1>')
    (tmp_path / "errors/error.json").write_text('{"ours": <!--# echo var="status" -->}')
    tmp_path.chmod(0o755)
    container = start(f"--volume={tmp_path}:/app:ro").wait()
    assert container.get("/static/.env").text == "<h1>Ours: 404</h1>"
    assert container.get("/static/.env", headers={"Accept": "application/json"}).json() == {"ours": 404}
    (tmp_path / "errors/error.json").unlink()
    refused = start(f"--volume={tmp_path}:/app:ro")
    assert refused.exit_code() == 78
    assert "/app/errors/error.json is missing" in refused.log


SNIPPETS = {
    "nginx-http.conf": "map $arg_who $greeting { default hello; ada servus; }\n",
    "nginx-server.conf": 'location = /greeting { return 200 "$greeting\\n"; }\n'
    "location = /slow { uwsgi_cache_lock on; uwsgi_pass unix:/run/uwsgi.sock; }\n"
    "location = /own { include nginx/uwsgi_params; uwsgi_param HTTP_X_OWN 1; uwsgi_pass unix:/run/uwsgi.sock; }\n",
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An app that brings parts of nginx's configuration."""
    (tmp_path / "routes.py").write_text((APPS / "front/routes.py").read_text())
    for name, text in SNIPPETS.items():
        (tmp_path / name).write_text(text)
    tmp_path.chmod(0o755)
    return tmp_path


def test_the_app_may_add_to_nginx_conf(start: Start, own: Path) -> None:
    """Inside http, and inside server: with a lock, one request fills the cache while others wait."""
    container = start(f"--volume={own}:/app:ro", "--env=WEB_CONCURRENCY=1", "--env=CACHE=on").wait()
    assert container.get("/greeting?who=ada").text == "servus\n"
    assert "X-Request-ID" in container.get("/greeting").headers
    with ThreadPoolExecutor(10) as crowd:
        query = "/slow?header=Cache-Control:max-age=60&sleep=0.5"
        assert {answer.text for answer in crowd.map(container.get, [query] * 10)} == {"call 1"}


def test_a_location_with_a_parameter_of_its_own_includes_the_others(start: Start, own: Path) -> None:
    """A client's proxy headers don't reach the app there either."""
    container = start(f"--volume={own}:/app:ro").wait()
    names = ("HTTP_X_OWN", "HTTP_X_FORWARDED_USER", "HTTP_X_FORWARDED_FOR", "REQUEST_METHOD")
    sent = {"X-Forwarded-User": "evil", "X-Forwarded-For": "192.0.2.1", "X-Own": "2"}
    headers = {"tell": names, "header": ["X-Wsgi-Endpoint:secret", "X-Request-ID:mine"]}
    got = container.get("/own", params=headers, headers=sent)
    number, user, client, method = got.text.removeprefix("call 1 ").split(" ")
    assert (number, user, method) == ("1", "", "GET")
    assert client not in ("", "192.0.2.1")
    assert "X-Wsgi-Endpoint" not in got.headers
    assert got.headers["X-Request-ID"] != "mine"


def test_a_container_with_additions_can_be_started_again(start: Start, own: Path) -> None:
    """What it has left in /run holds nothing up."""
    container = start(f"--volume={own}:/app:ro").wait()
    docker("restart", container.id)
    until(lambda: container.answers("/greeting?who=ada"), "it answers again")


@pytest.mark.parametrize("name", SNIPPETS)
def test_an_error_in_what_the_app_adds_is_named_with_file_and_line(start: Start, own: Path, name: str) -> None:
    """And the container ends with 78."""
    (own / name).write_text("# a comment\nno_such_directive on;\n")
    container = start(f"--volume={own}:/app:ro")
    assert container.exit_code() == 78
    assert f'unknown directive "no_such_directive" in /app/{name}:2' in container.lines[-1]["message"]


OWN = (
    "error_log stderr; daemon off; pid /run/nginx.pid; events {}\nhttp { server { listen ${PORT}; return 200 own; } }\n"
)


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_nginx_conf_of_the_apps_own_replaces_ours(start: Start, own: Path, form: str) -> None:
    """With the settings that it names; what it logs is a line like any other."""
    (own / "nginx.conf").write_text(OWN)
    container = start(f"--volume={own}:/app:ro", "--env=PORT=80", f"--env=LOG_FORMAT={form}").wait()
    assert container.get("/").text == "own"
    until(lambda: '"GET / HTTP/1.1" 200' in container.log.replace('\\"', '"'), "it is logged")
    assert container.running
    if form == "json":
        assert all("message" in line for line in container.lines)


def test_an_nginx_conf_of_the_apps_own_may_include_the_containers_files(start: Start, own: Path) -> None:
    (own / "nginx.conf").write_text(
        "daemon off; pid /run/nginx.pid; events {} http { include nginx/http.d/*.conf; server { listen ${PORT}; "
        "include nginx/server.d/*.conf; location / { uwsgi_pass unix:/run/uwsgi.sock; } } }"
    )
    container = start(f"--volume={own}:/app:ro", "--env=CSP=strict", "--env=CACHE=on").wait()
    got = answer(container, "Content-Type:text/html")
    assert got.headers["Content-Security-Policy"] == POLICIES["strict"]
    assert got.headers["X-Cache-Status"] == "MISS"
    assert container.exec("python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 9090))") == ""


def test_a_location_with_a_header_of_its_own_includes_the_others(start: Start, own: Path) -> None:
    (own / "nginx-server.conf").write_text(
        "location = /own { include nginx/server.d/headers.conf; add_header X-Own 1; uwsgi_pass unix:/run/uwsgi.sock; }"
    )
    container = start(f"--volume={own}:/app:ro").wait()
    got = container.get("/own?header=Content-Type:text/html")
    assert got.headers["X-Own"] == "1"
    assert got.headers.keys() >= set(SECURITY)


def test_a_setting_that_it_makes_void_is_an_error(start: Start, own: Path) -> None:
    """So is a port that it doesn't listen on."""
    (own / "nginx.conf").write_text(OWN.replace("${PORT}", "8080"))
    container = start(f"--volume={own}:/app:ro", "--env=MAX_BODY_SIZE=1m", "--env=CACHE=off", "--env=THREADS=2")
    assert container.exit_code() == 78
    message = container.lines[-1]["message"]
    assert "MAX_BODY_SIZE has no effect" in message
    assert "CACHE has no effect" in message
    assert "must listen on ${PORT}" in message
    assert "THREADS" not in message


def test_events_reach_the_client_as_they_are_written(start: Start, app: Callable[[str], str]) -> None:
    """Server-sent ones, with X-Accel-Buffering: no, also to a client that accepts gzip."""
    code = """
import time
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no")])
    for number in range(3):
        yield b"data: %d\\n\\n" % number
        time.sleep(1)
"""
    container = start(app(code)).wait()
    began = time.monotonic()
    events = requests.get(container.url("/events"), stream=True, timeout=10)
    arrived = [time.monotonic() - began for _ in events.iter_lines(delimiter=b"\n\n") if _]
    assert arrived[-1] - arrived[0] > 1.5
