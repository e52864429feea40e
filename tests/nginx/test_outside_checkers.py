"""Checkers of other projects: gixy-ng for the configuration, REDbot's httplint for every kind of response."""

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

from conftest import APPS, DEADLINE, Container, certificate, docker, until

ACCEPTED_FINDINGS = {
    ("return_bypasses_allow_deny", "location = /livez"): "liveness is for every client",
    ("try_files_is_evil_too", "acme-challenge"): "only ACME servers ask for these files",
    ("ssl_ecdh_curve", "X25519MLKEM768"): "only older versions of OpenSSL lack this curve",
    (
        "add_header_redefinition",
        "location ^~ /.container/range/",
    ): "this location is there to drop the other headers; errors.conf says why",
}
"""Accepted findings of gixy, by check and configuration, with the reason."""

GZIP, BROTLI = {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "br"}
JSON = {"Accept": "application/json"}

KINDS: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "page": (200, "GET", "/", {}),
    "page, HEAD": (200, "HEAD", "/", {}),
    "JSON": (200, "GET", "/json", {}),
    "OPTIONS": (200, "OPTIONS", "/", {}),
    "redirect by the app": (302, "GET", "/redirect", {}),
    "404 by the app": (404, "GET", "/nothing", {}),
    "405 by the app": (405, "POST", "/", {}),
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
    "file, no such range, JSON": (416, "GET", "/static/style.css", {"Range": "bytes=99999-"} | JSON),
    "fingerprinted file": (200, "GET", "FINGERPRINTED", {}),
    "fingerprinted file, brotli": (200, "GET", "FINGERPRINTED", BROTLI),
    "fingerprinted file, unchanged": (304, "GET", "FINGERPRINTED", {"If-None-Match": "ETAG"}),
    "image": (200, "GET", "/static/icon.svg", {}),
    "no such file": (404, "GET", "/static/nothing", {}),
    "hidden file": (404, "GET", "/static/.hidden", {}),
    "file, POST": (405, "POST", "/static/style.css", {}),
    "internal location": (404, "GET", "/.container/error.html", {}),
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
    "invalid host": (400, "GET", "/", {"Host": 'a">b'}),
    "page over HTTPS": (200, "GET", "/", {}),
    "429": (429, "GET", "/", {}),
    "429, JSON": (429, "GET", "/", JSON),
}

ACCEPTED_NOTES = {
    "FRESHNESS_HEURISTIC": "the app decides what is cacheable, and this app sends neither Cache-Control nor "
    "Last-Modified; Nginx doesn't cache such a response",
    "PARTIAL_WITHOUT_RANGE": "with several ranges each part has its own Content-Range (RFC 9110, section 15.3.7.2)",
    "STORE_PUBLIC_UNNECESSARY": "public lets caches store a file although its request had an Authorization header",
    "HSTS_NO_SUBDOMAINS": "a container doesn't know whether all subdomains have HTTPS",
    "STATUS_BAD_REQUEST": "the request was bad",
    "STATUS_URI_TOO_LONG": "the target was too long",
}
"""Accepted notes of httplint at the levels warning and bad, with the reason."""

SEEN: set[str] = set()
"""Notes that httplint made in this module."""


@pytest.fixture(scope="module")
def plain(start: Callable[..., Container]) -> Container:
    """The image with its own static files, and an app with every kind of response."""
    routes = APPS / "kinds/routes.py"
    return start(
        f"--volume={routes}:/app/routes.py:ro", "--env=REQUEST_TIMEOUT=1", "--env=CACHE=on", "--no-healthcheck"
    ).wait()


@pytest.fixture(scope="module")
def strict(start: Callable[..., Container], tmp_path_factory: pytest.TempPathFactory) -> Container:
    """Container with HTTPS, trusted proxies, and a limit of six requests a minute."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)
    certificate(folder)
    tls = (f"--volume={folder}:/tls:ro", "--env=TLS_CERT=/tls/tls.crt", "--env=TLS_KEY=/tls/tls.key")
    rest = ("--env=RATE_LIMIT=6r/m", "--env=TRUSTED_PROXIES=10.0.0.0/8,fd00::/8", "--publish=127.0.0.1::443")
    return start(*tls, *rest).wait()


def lint(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]
) -> tuple[int, set[str]]:
    """Send a request; return the status, and the names of httplint's notes and of repeated headers."""
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
    """Return a connection to a published port; port 443 with TLS, and without verification of the certificate."""
    host, published = docker("port", container.id, str(port)).splitlines()[0].split(":")
    if port == 80:
        return http.client.HTTPConnection(host, int(published), timeout=DEADLINE)
    return http.client.HTTPSConnection(host, int(published), timeout=DEADLINE, context=ssl._create_unverified_context())


@pytest.mark.parametrize("kind", KINDS)
def test_httplint_has_no_complaint_about_a_response(kind: str, plain: Container) -> None:
    status, method, path, headers = KINDS[kind]
    if path == "FINGERPRINTED":
        path = "/static/" + json.loads(plain.exec("cat", "/app/static/.assets.json"))["style.css"]
    if "ETAG" in headers.values():
        headers = headers | {"If-None-Match": plain.get(path, headers={"Accept-Encoding": ""}).headers["ETag"]}
    if status == 503:
        plain.exec("touch", "/run/stopping")
    try:
        answered, found = lint(connect(plain), method, path, headers)
    finally:
        plain.exec("rm", "-f", "/run/stopping")
    assert answered == status
    assert found <= ACCEPTED_NOTES.keys()
    SEEN.update(found)
    if status in (502, 504):
        until(plain.answers, "the app answers")


@pytest.mark.parametrize("kind", STRICT)
def test_httplint_has_no_complaint_about_redirects_to_https_and_rate_limited_responses(
    kind: str, strict: Container
) -> None:
    status, method, path, headers = STRICT[kind]
    if status == 429:
        until(lambda: lint(connect(strict, 443), "GET", "/", {})[0] == 429, "the rate limit is reached")
    answered, found = lint(connect(strict, 443 if status in (200, 429) else 80), method, path, headers)
    assert answered == status
    assert found <= ACCEPTED_NOTES.keys()
    SEEN.update(found)


def test_every_accepted_note_of_httplint_still_occurs() -> None:
    assert ACCEPTED_NOTES.keys() == SEEN


@pytest.mark.parametrize("which", ["plain", "strict"])
def test_gixy_has_no_complaint_about_the_rendered_configuration(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    container = request.getfixturevalue(which)
    dump = tmp_path / "nginx.conf"
    dump.write_text(container.exec("nginx", "-T", "-q", "-e", "stderr", "-c", "/run/nginx.conf"))
    done = subprocess.run(
        [Path(sys.executable).with_name("gixy"), "--format=json", dump], capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert found, "the accepted findings occur"
    for finding in found:
        assert any(check == finding["plugin"] and shown in finding["config"] for check, shown in ACCEPTED_FINDINGS), (
            finding
        )
