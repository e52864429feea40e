"""Response headers that Nginx adds, its error pages, and the parts of its configuration that an app can bring."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from conftest import APPS, Container, docker, until
from raw_http import exchange

Start = Callable[..., Container]
SCRIPTED = f"--volume={APPS}/scripted:/app:ro"
SECURITY = ["X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options", "Content-Security-Policy"]


@pytest.fixture(scope="module")
def scripted(start: Start) -> Container:
    return start(SCRIPTED, "--env=MAX_BODY_SIZE=1k").wait()


def respond(container: Container, *headers: str, **options: str) -> requests.Response:
    """Make the app respond with these headers; return the response."""
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
def test_responses_have_the_security_headers_for_their_type(scripted: Container, kind: str, names: list[str]) -> None:
    got = respond(scripted, f"Content-Type:{kind}").headers
    assert [name for name in SECURITY if name in got] == names


@pytest.mark.parametrize("status", ["201", "404", "500"])
def test_error_pages_of_the_app_are_not_replaced_and_have_the_security_headers(
    scripted: Container, status: str
) -> None:
    got = respond(scripted, "Content-Type:text/html", status=status)
    assert str(got.status_code) == status
    assert got.text.startswith("call ")
    assert got.headers.keys() >= set(SECURITY)


@pytest.mark.parametrize("name", SECURITY)
def test_a_security_header_of_the_app_replaces_ours(scripted: Container, name: str) -> None:
    got = respond(scripted, "Content-Type:text/html", f"{name}:mine")
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
    """Container with a value of CSP, and the policy that its pages must have."""
    return start(SCRIPTED, f"--env=CSP={request.param}").wait(), POLICIES[request.param]


def test_csp_sets_the_policy_of_pages(policy: tuple[Container, str | None]) -> None:
    """X-Frame-Options is sent only with the policies `minimal` and `strict`."""
    container, expected = policy
    got = respond(container, "Content-Type:text/html").headers
    assert got.get("Content-Security-Policy") == expected
    framed = expected in (POLICIES["minimal"], POLICIES["strict"])
    assert got.get("X-Frame-Options") == ("SAMEORIGIN" if framed else None)
    assert "Content-Security-Policy" not in respond(container, "Content-Type:text/plain").headers


def test_the_default_policy_is_minimal(scripted: Container) -> None:
    assert respond(scripted, "Content-Type:text/html").headers["Content-Security-Policy"] == POLICIES["minimal"]


@pytest.mark.parametrize(
    ("header", "csp", "frame_options"),
    [
        ("X-Frame-Options:DENY", "object-src 'none'; base-uri 'self'", "DENY"),
        ("Content-Security-Policy:frame-ancestors *", "frame-ancestors *", None),
        ("Content-Security-Policy:img-src *", "img-src *", "SAMEORIGIN"),
        ("Content-Security-Policy:;", ";", None),
    ],
)
def test_x_frame_options_and_frame_ancestors_never_contradict_each_other(
    scripted: Container, header: str, csp: str, frame_options: str | None
) -> None:
    """Browsers ignore X-Frame-Options next to frame-ancestors."""
    got = respond(scripted, "Content-Type:text/html", header).headers
    assert (got["Content-Security-Policy"], got.get("X-Frame-Options")) == (csp, frame_options)


@pytest.mark.parametrize(
    "value", ["minimum", "on", "default-src 'self'\"", "img-src $host", "img-src a\\", "img-src *\nX: y", "; ;"]
)
def test_a_value_of_csp_that_is_no_policy_ends_the_container_with_78(start: Start, value: str) -> None:
    container = start(f"--env=CSP={value}")
    assert container.exit_code() == 78
    assert "CSP is" in container.log


@pytest.mark.parametrize("name", ["Strict-Transport-Security", "X-Cache-Status", "Cache-Control", "Retry-After"])
def test_a_header_of_the_app_that_nginx_also_sets_is_sent_once(scripted: Container, name: str) -> None:
    assert respond(scripted, f"{name}:12").headers[name] == "12"


@pytest.mark.parametrize("status", ["429", "503"])
def test_a_429_or_503_of_the_app_gets_no_retry_after(scripted: Container, status: str) -> None:
    got = respond(scripted, status=status)
    assert (got.status_code, got.headers.get("Retry-After")) == (int(status), None)


def test_the_response_has_the_request_id_of_the_log(scripted: Container) -> None:
    request_id = respond(scripted, "X-Request-ID:mine").headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    until(lambda: request_id in scripted.log, "the request is logged")


@pytest.mark.parametrize("path", ["/", "/static/style.css", "/hello", "/none", "/static/.hidden"])
def test_responses_reveal_neither_versions_nor_uwsgi_nor_python(container: Container, path: str) -> None:
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
def test_text_of_1_kb_and_more_is_compressed(scripted: Container, kind: str, size: str, compressed: bool) -> None:
    got = respond(scripted, f"Content-Type:{kind}", size=size)
    assert (got.headers.get("Content-Encoding"), got.headers.get("Vary")) == (
        ("gzip", "Accept-Encoding") if compressed else (None, None)
    )
    assert got.text.endswith("." * int(size))


def test_a_response_that_the_app_has_compressed_is_not_compressed_again(scripted: Container) -> None:
    query = {"header": ["Content-Encoding:br", "Content-Type:text/html"], "size": "2000"}
    got = scripted.get("/any", params=query, stream=True)
    assert got.raw.read(decode_content=False).startswith(b"call ")


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
def test_an_error_page_of_nginx_has_the_request_id_and_is_not_cacheable(
    scripted: Container, request_bytes: bytes, status: int
) -> None:
    head, _, page = exchange(scripted, request_bytes, half_close=True).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert headers["X-Request-ID"].encode() in page
    assert b"%d" % status in page
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Type"].startswith("text/html")


def test_a_client_that_accepts_json_gets_errors_as_json(scripted: Container) -> None:
    got = requests.post(scripted.url("/"), data=b"x" * 2000, headers={"Accept": "application/json"}, timeout=5)
    assert (got.status_code, got.headers["Content-Type"]) == (413, "application/json")
    assert got.json() == {"status": 413, "request_id": got.headers["X-Request-ID"]}


@pytest.mark.parametrize("accept", ["text/html,application/json;q=0.9", "text/html, application/ld+json", "*/*", ""])
def test_other_clients_get_errors_as_html(scripted: Container, accept: str) -> None:
    got = scripted.get("/static/.env", headers={"Accept": accept})
    assert (got.status_code, got.headers["Content-Type"]) == (404, "text/html")


def test_error_pages_in_the_apps_folder_errors_replace_ours(start: Start, tmp_path: Path) -> None:
    (tmp_path / "routes.py").write_text((APPS / "scripted/routes.py").read_text())
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
    "location = /old { return 301 /greeting; }\n"
    "location = /own { include nginx/uwsgi_params; uwsgi_param HTTP_X_OWN 1; uwsgi_pass unix:/run/uwsgi.sock; }\n",
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Folder of an app that brings parts of Nginx's configuration."""
    (tmp_path / "routes.py").write_text((APPS / "scripted/routes.py").read_text())
    for name, text in SNIPPETS.items():
        (tmp_path / name).write_text(text)
    tmp_path.chmod(0o755)
    return tmp_path


def test_the_app_can_add_directives_to_http_and_to_server(start: Start, own: Path) -> None:
    """With uwsgi_cache_lock one request fills the cache while the others wait."""
    container = start(f"--volume={own}:/app:ro", "--env=WEB_CONCURRENCY=1", "--env=CACHE=on").wait()
    assert container.get("/greeting?who=ada").text == "servus\n"
    assert "X-Request-ID" in container.get("/greeting").headers
    with ThreadPoolExecutor(10) as clients:
        path = "/slow?header=Cache-Control:max-age=60&sleep=0.5"
        assert {response.text for response in clients.map(container.get, [path] * 10)} == {"call 1"}


def test_redirects_of_the_apps_directives_lead_to_the_public_port(start: Start, own: Path) -> None:
    container = start(f"--volume={own}:/app:ro").wait()
    assert container.get("/old", allow_redirects=False).headers["Location"] == "/greeting"
    assert container.get("/old?").text == "hello\n"


def test_a_location_of_the_app_that_includes_uwsgi_params_has_our_params_and_hidden_headers(
    start: Start, own: Path
) -> None:
    container = start(f"--volume={own}:/app:ro").wait()
    names = ("HTTP_X_OWN", "HTTP_X_FORWARDED_USER", "HTTP_X_FORWARDED_FOR", "REQUEST_METHOD")
    query = {"echo": names, "header": ["X-Wsgi-Endpoint:secret", "X-Request-ID:mine"]}
    headers = {"X-Forwarded-User": "evil", "X-Forwarded-For": "192.0.2.1", "X-Own": "2"}
    got = container.get("/own", params=query, headers=headers)
    number, user, client, method = got.text.removeprefix("call 1 ").split(" ")
    assert (number, user, method) == ("1", "", "GET")
    assert client not in ("", "192.0.2.1")
    assert "X-Wsgi-Endpoint" not in got.headers
    assert got.headers["X-Request-ID"] != "mine"


def test_a_container_with_directives_of_the_app_can_be_restarted(start: Start, own: Path) -> None:
    container = start(f"--volume={own}:/app:ro").wait()
    docker("restart", container.id)
    until(lambda: container.answers("/greeting?who=ada"), "Nginx answers")


@pytest.mark.parametrize("name", SNIPPETS)
def test_an_error_in_the_apps_directives_ends_the_container_with_78_and_names_file_and_line(
    start: Start, own: Path, name: str
) -> None:
    (own / name).write_text("# a comment\nno_such_directive on;\n")
    container = start(f"--volume={own}:/app:ro")
    assert container.exit_code() == 78
    assert f"/app/{name}:2" in container.lines[-1]["message"]


OWN = (
    "error_log stderr; daemon off; pid /run/nginx.pid; events {}\nhttp { server { listen ${PORT}; return 200 own; } }\n"
)


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_nginx_conf_in_the_apps_folder_replaces_ours(start: Start, own: Path, form: str) -> None:
    (own / "nginx.conf").write_text(OWN)
    container = start(f"--volume={own}:/app:ro", "--env=PORT=80", f"--env=LOG_FORMAT={form}").wait()
    assert container.get("/").text == "own"
    until(lambda: '"GET / HTTP/1.1" 200' in container.log.replace('\\"', '"'), "the request is logged")
    assert container.running
    if form == "json":
        assert all("message" in line for line in container.lines)


def test_an_nginx_conf_of_the_apps_own_may_include_the_containers_files(start: Start, own: Path) -> None:
    (own / "nginx.conf").write_text(
        "daemon off; pid /run/nginx.pid; events {} http { include nginx/http.d/*.conf; server { listen ${PORT}; "
        "include nginx/server.d/*.conf; location / { uwsgi_pass unix:/run/uwsgi.sock; } } }"
    )
    container = start(f"--volume={own}:/app:ro", "--env=CSP=strict", "--env=CACHE=on").wait()
    got = respond(container, "Content-Type:text/html")
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


def test_settings_that_the_apps_nginx_conf_does_not_use_end_the_container_with_78(start: Start, own: Path) -> None:
    (own / "nginx.conf").write_text(OWN.replace("${PORT}", "8080"))
    container = start(f"--volume={own}:/app:ro", "--env=MAX_BODY_SIZE=1m", "--env=CACHE=off", "--env=THREADS=2")
    assert container.exit_code() == 78
    message = container.lines[-1]["message"]
    assert "MAX_BODY_SIZE has no effect" in message
    assert "CACHE has no effect" in message
    assert "must listen on ${PORT}" in message
    assert "THREADS" not in message
