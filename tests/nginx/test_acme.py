"""Challenges of ACME servers: Nginx answers with the files that certbot writes below /data. RFC 8555, section 8.3."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Container, certificate

Start = Callable[..., Container]

APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("app " + environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"]).encode()]
"""
CHALLENGES = "/.well-known/acme-challenge"


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Option of docker run that mounts a folder with one challenge at /data."""
    folder = tmp_path / "data"
    (folder / CHALLENGES[1:]).mkdir(parents=True)
    (folder / CHALLENGES[1:] / "token").write_text("token.thumbprint")
    (folder / "private").write_text("private")
    return f"--volume={folder}:/data:ro"


def test_a_file_of_the_folder_is_sent_and_the_app_gets_all_other_requests(
    start: Start, app: Callable[[str], str], data: str
) -> None:
    container = start(app(APP), data).wait()
    challenge = container.get(f"{CHALLENGES}/token")
    assert challenge.text == "token.thumbprint"
    assert challenge.headers["Content-Type"] == "application/octet-stream"
    for path in (f"{CHALLENGES}/", f"{CHALLENGES}/missing", CHALLENGES, "/.well-known/x", "/private", "/data/private"):
        assert container.get(path).text == f"app GET {path}"


def test_http_is_not_redirected_to_https(start: Start, app: Callable[[str], str], data: str, tmp_path: Path) -> None:
    certificate(tmp_path)
    tls = f"--volume={tmp_path}:/tls:ro", "--env=TLS_CERT=/tls/tls.crt", "--env=TLS_KEY=/tls/tls.key"
    container = start(app(APP), data, *tls).wait()
    assert container.get(f"{CHALLENGES}/token", allow_redirects=False).text == "token.thumbprint"
    assert container.get("/private", allow_redirects=False).status_code == 308


def test_below_a_url_prefix_the_path_of_the_challenges_stays(
    start: Start, app: Callable[[str], str], data: str
) -> None:
    container = start(app(APP), data, "--env=URL_PREFIX=/shop").wait()
    assert container.get(f"{CHALLENGES}/token").text == "token.thumbprint"
    assert container.get(f"{CHALLENGES}/missing").status_code == 404
    assert container.get("/private").status_code == 404
    assert container.get(f"/shop{CHALLENGES}/token").text == f"app GET {CHALLENGES}/token"


def test_a_location_of_the_app_takes_precedence(
    start: Start, app: Callable[[str], str], data: str, tmp_path: Path
) -> None:
    (tmp_path / "nginx-server.conf").write_text(f"location {CHALLENGES}/ {{ return 200 own; }}\n")
    container = start(app(APP), data).wait()
    assert container.get(f"{CHALLENGES}/token").text == "own"
