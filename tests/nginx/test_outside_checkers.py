"""What others' checkers say: gixy-ng of the configuration, REDbot's httplint of every kind of response."""

import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from httplint import HttpRequestLinter, HttpResponseLinter, levels

from conftest import APPS, DEADLINE, Container, docker, until

GIXY = {
    ("ssl_ecdh_curve", "X25519MLKEM768"): "an older OpenSSL doesn't know it; the image's does, as it serves here",
    ("add_header_redefinition", "location @unsatisfiable"): "it is what that location is for; nginx.conf says why",
}
"""Findings that stay, by gixy's check and what the finding shows, and why."""

GZIP, BROTLI = {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "br"}
JSON = {"Accept": "application/json"}

KINDS: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "page": (200, "GET", "/", {}),
    "page, HEAD": (200, "HEAD", "/", {}),
    "JSON": (200, "GET", "/json", {}),
    "OPTIONS": (200, "OPTIONS", "/", {}),
    "redirect of the app's": (302, "GET", "/redirect", {}),
    "404 of the app's": (404, "GET", "/nothing", {}),
    "405 of the app's": (405, "POST", "/", {}),
    "cacheable, first": (200, "GET", "/cached?MISS", {}),
    "cacheable, again": (200, "GET", "/cached?MISS", {}),
    "cacheable, HEAD": (200, "HEAD", "/cached?HEAD", {}),
    "cacheable, gzip": (200, "GET", "/cached?MISS", GZIP),
    "cacheable, unchanged": (304, "GET", "/cached?MISS", {"If-None-Match": '"1"'}),
    "file": (200, "GET", "/static/style.css", {}),
    "file, HEAD": (200, "HEAD", "/static/style.css", {}),
    "file, gzip": (200, "GET", "/static/style.css", GZIP),
    "file, brotli": (200, "GET", "/static/style.css", BROTLI),
    "file, unchanged": (304, "GET", "/static/style.css", {"If-None-Match": "ETAG"}),
    "file, changed": (412, "GET", "/static/style.css", {"If-Match": '"other"'}),
    "file, one range": (206, "GET", "/static/style.css", {"Range": "bytes=0-9"}),
    "file, two ranges": (206, "GET", "/static/style.css", {"Range": "bytes=0-1,4-5"}),
    "file, no such range": (416, "GET", "/static/style.css", {"Range": "bytes=99999-"}),
    "file with a hash": (200, "GET", "HASHED", {}),
    "file with a hash, brotli": (200, "GET", "HASHED", BROTLI),
    "file with a hash, unchanged": (304, "GET", "HASHED", {"If-None-Match": "ETAG"}),
    "picture": (200, "GET", "/static/icon.svg", {}),
    "no such file": (404, "GET", "/static/nothing", {}),
    "hidden file": (404, "GET", "/static/.hidden", {}),
    "file, POST": (405, "POST", "/static/style.css", {}),
    "internal place": (404, "GET", "/.container/error.html", {}),
    "400": (400, "GET", "/%00", {}),
    "400, JSON": (400, "GET", "/%00", JSON),
    "405": (405, "TRACE", "/", {}),
    "413": (413, "POST", "/", {"Content-Length": "99999999999"}),
    "413, JSON": (413, "POST", "/", {"Content-Length": "99999999999"} | JSON),
    "413 of a file, JSON": (413, "POST", "/static/style.css", {"Content-Length": "99999999999"} | JSON),
    "413 of a file": (413, "POST", "/static/style.css", {"Content-Length": "99999999999"}),
    "414": (414, "GET", f"/{'a' * 30_000}", {}),
    "431": (431, "GET", "/", {"Cookie": "a" * 30_000}),
    "501": (501, "POST", "/", {"Transfer-Encoding": "unknown"}),
    "502": (502, "GET", "/die", {}),
    "504": (504, "GET", "/slow", {}),
    "504, JSON": (504, "GET", "/slow", JSON),
    "503": (503, "GET", "/health", {}),
    "503, JSON": (503, "GET", "/health", JSON),
}
STRICT = {
    "redirect to HTTPS": (308, "GET", "/a?b", {}),
    "redirect to HTTPS, POST": (308, "POST", "/a?b", {}),
    "400 before the redirect": (400, "GET", "/%00", {}),
    "431 before the redirect": (431, "GET", "/", {"Cookie": "a" * 30_000}),
    "no host to redirect to": (400, "GET", "/", {"Host": 'a">b'}),
    "page over HTTPS": (200, "GET", "/", {}),
    "429": (429, "GET", "/", {}),
    "429, JSON": (429, "GET", "/", JSON),
}

JUSTIFIED = {
    "FRESHNESS_HEURISTIC": "whether a response may be kept is the app's word, and this app says nothing; "
    "Nginx keeps none of it, and there is no Last-Modified to guess from",
    "PARTIAL_WITHOUT_RANGE": "of several ranges each part has its own Content-Range (RFC 9110, 15.3.7.2)",
    "STORE_PUBLIC_UNNECESSARY": "public says that caches may keep a file although its request had an Authorization",
    "HSTS_NO_SUBDOMAINS": "whether all names below this one have HTTPS is not for one container to say",
    "STATUS_BAD_REQUEST": "the request was bad",
    "STATUS_URI_TOO_LONG": "the target was too long",
}
"""Notes of httplint at the levels warning and bad that stay, and why."""

SEEN: set[str] = set()
"""Those that it made."""


@pytest.fixture(scope="module")
def plain(start: Callable[..., Container]) -> Container:
    """The image with its own static files, and an app for every kind of response."""
    routes = APPS / "kinds/routes.py"
    return start(
        f"--volume={routes}:/app/routes.py:ro", "--env=REQUEST_TIMEOUT=1", "--env=CACHE=on", "--no-healthcheck"
    ).wait()


@pytest.fixture(scope="module")
def strict(start: Callable[..., Container], tmp_path_factory: pytest.TempPathFactory) -> Container:
    """HTTPS, trusted proxies, and six requests a minute."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    made = [*words.split(), "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(["openssl", *made], check=True, capture_output=True)
    (folder / "key.pem").chmod(0o644)
    tls = (f"--volume={folder}:/tls:ro", "--env=TLS_CERT=/tls/cert.pem", "--env=TLS_KEY=/tls/key.pem")
    rest = ("--env=RATE_LIMIT=6r/m", "--env=TRUSTED_PROXIES=10.0.0.0/8,fd00::/8", "--publish=127.0.0.1::443")
    return start(*tls, *rest).wait()


def complaints(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]
) -> tuple[int, set[str]]:
    """Asks, and lets httplint look at the answer; returns the status, and the names of its complaints."""
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    request = HttpRequestLinter()
    request.process_request_topline(method.encode(), f"http://localhost{path}".encode(), b"1.1")
    request.process_headers([(name.encode(), value.encode()) for name, value in headers.items()])
    linter = HttpResponseLinter(start_time=time.time())
    linter.request = request
    linter.is_head_response = method == "HEAD"
    linter.process_response_topline(b"1.1", str(response.status).encode(), response.reason.encode())
    linter.process_headers([(name.encode(), value.encode("latin-1")) for name, value in response.getheaders()])
    linter.feed_content(body)
    linter.finish_content(complete=True)
    notes = [each for note in linter.notes for each in (note, *note.subnotes)]
    names = [name.lower() for name, _ in response.getheaders()]
    twice = {f"{name} twice" for name in names if names.count(name) > 1}
    return response.status, twice | {type(note).__name__ for note in notes if note.level in (levels.WARN, levels.BAD)}


def connect(container: Container, port: int = 80) -> http.client.HTTPConnection:
    """A connection to one of its ports; to 443 over TLS, whoever the certificate is of."""
    host, published = docker("port", container.id, str(port)).splitlines()[0].split(":")
    if port == 80:
        return http.client.HTTPConnection(host, int(published), timeout=DEADLINE)
    return http.client.HTTPSConnection(host, int(published), timeout=DEADLINE, context=ssl._create_unverified_context())


@pytest.mark.parametrize("kind", KINDS)
def test_httplint_finds_nothing_in_a_response(kind: str, plain: Container) -> None:
    """No warning that is not justified, and no header twice."""
    status, method, path, headers = KINDS[kind]
    if path == "HASHED":
        path = "/static/" + json.loads(plain.exec("cat", "/app/static/.assets.json"))["style.css"]
    if "ETAG" in headers.values():
        headers = headers | {"If-None-Match": plain.get(path, headers={"Accept-Encoding": ""}).headers["ETag"]}
    if status == 503:
        plain.exec("touch", "/run/stopping")
    try:
        answered, found = complaints(connect(plain), method, path, headers)
    finally:
        plain.exec("rm", "-f", "/run/stopping")
    assert answered == status
    assert found <= JUSTIFIED.keys()
    SEEN.update(found)
    if status in (502, 504):
        until(plain.answers, "it answers again")


@pytest.mark.parametrize("kind", STRICT)
def test_httplint_finds_nothing_where_https_and_a_limit_are_on(kind: str, strict: Container) -> None:
    """Over HTTP, what is sent to HTTPS; there, what is answered and what is too often."""
    status, method, path, headers = STRICT[kind]
    if status == 429:
        until(lambda: complaints(connect(strict, 443), "GET", "/", {})[0] == 429, "it is too often")
    answered, found = complaints(connect(strict, 443 if status in (200, 429) else 80), method, path, headers)
    assert answered == status
    assert found <= JUSTIFIED.keys()
    SEEN.update(found)


def test_what_is_justified_is_still_said() -> None:
    """A note that httplint no longer makes needs no reason."""
    assert JUSTIFIED.keys() == SEEN


@pytest.mark.parametrize("which", ["plain", "strict"])
def test_gixy_finds_nothing_in_the_configuration(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """In all files of it, as rendered."""
    container = request.getfixturevalue(which)
    dump = tmp_path / "nginx.conf"
    dump.write_text(container.exec("nginx", "-T", "-q", "-e", "stderr", "-c", "/run/nginx.conf"))
    done = subprocess.run(
        [Path(sys.executable).with_name("gixy"), "--format=json", dump], capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert found
    for finding in found:
        assert [
            reason
            for (check, shown), reason in GIXY.items()
            if check == finding["plugin"] and shown in finding["config"]
        ]
