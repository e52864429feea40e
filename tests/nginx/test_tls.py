"""HTTPS: versions and ciphers, redirects from HTTP, renewal of the certificate, and bad certificates."""

import json
import re
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from conftest import APPS, Container, certificate, docker, until
from load import load
from processes import processes

Start = Callable[..., Container]
PROBE = f"--volume={APPS}/probe:/app:ro"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a certificate and its key."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)
    certificate(folder)
    return folder


def options(folder: Path) -> tuple[str, ...]:
    """Return the options of docker run for HTTPS with the certificate in a folder."""
    return (
        f"--volume={folder}:/tls:ro",
        "--env=TLS_CERT=/tls/tls.crt",
        "--env=TLS_KEY=/tls/tls.key",
        "--publish=127.0.0.1::443",
        PROBE,
    )


@pytest.fixture(scope="module")
def secure(start: Start, folder: Path) -> Container:
    return start(*options(folder)).wait()


def https_port(container: Container) -> str:
    """Return the port of this machine where port 443 is published."""
    return docker("port", container.id, "443").splitlines()[0].rpartition(":")[2]


def curl(container: Container, folder: Path, path: str, *words: str) -> str:
    """Send a GET over HTTPS and verify the certificate; return headers and body, or the error."""
    url = f"https://localhost:{https_port(container)}{path}"
    trust = ["--cacert", folder / "tls.crt", "--resolve", f"localhost:{https_port(container)}:127.0.0.1"]
    done = subprocess.run(["curl", "-sSi", "--max-time", "10", *trust, *words, url], capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_https_serves_http_2_and_http_1_and_the_app_sees_https(
    secure: Container, folder: Path, option: str, version: str
) -> None:
    answer = curl(secure, folder, "/echo", option)
    assert answer.startswith(f"HTTP/{version} 200")
    environ = json.loads(answer[answer.index("{") :])["environ"]
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    assert environ["HTTP_HOST"] == f"localhost:{https_port(secure)}"
    assert re.search("(?i)^strict-transport-security: max-age=63072000\r?$", answer, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "agreed"),
    [
        (("-tls1_3",), "TLSv1.3"),
        (("-tls1_2",), "TLSv1.2"),
        (("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), None),
        (("-tls1_2", "-cipher", "AES128-SHA"), None),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"), None),
    ],
    ids=str,
)
def test_old_versions_and_weak_ciphers_are_refused(
    secure: Container, words: tuple[str, ...], agreed: str | None
) -> None:
    """The intermediate profile of Mozilla's server side TLS guidelines."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{https_port(secure)}", *words],
        input="",
        capture_output=True,
        text=True,
        timeout=20,
    )
    found = re.search(r"^New, (TLSv[\d.]+), Cipher is (?!\(NONE\))", done.stdout, re.MULTILINE)
    assert (found and found[1]) == agreed
    # OpenSSL calls the id of a cached TLS 1.3 session a ticket, too.
    assert agreed == "TLSv1.3" or "TLS session ticket:" not in done.stdout


def test_http_redirects_to_https_except_for_the_health_check(secure: Container) -> None:
    """With 308, which keeps the method. HSTS has no effect over HTTP (RFC 6797, section 8.1)."""
    answer = secure.get("/a/path?q=1", allow_redirects=False, headers={"Host": "shop.example:8080"})
    assert (answer.status_code, answer.headers["Location"]) == (308, "https://shop.example/a/path?q=1")
    assert "Strict-Transport-Security" not in answer.headers
    assert secure.get("/health", allow_redirects=False).status_code in (200, 404)


def test_http_on_the_https_port_redirects_to_https(secure: Container) -> None:
    answer = requests.get(
        f"http://127.0.0.1:{https_port(secure)}/x", headers={"Host": "shop.example"}, allow_redirects=False, timeout=5
    )
    assert (answer.status_code, answer.headers["Location"]) == (308, "https://shop.example/x")


def test_by_default_http_neither_redirects_nor_sends_hsts(container: Container) -> None:
    answer = container.get("/")
    assert (answer.status_code, "Strict-Transport-Security" in answer.headers) == (200, False)


def test_redirects_name_another_https_port(start: Start, folder: Path) -> None:
    container = start(*options(folder), "--env=HTTPS_PORT=8443").wait()
    assert container.get("/x", allow_redirects=False).headers["Location"] == "https://127.0.0.1:8443/x"


def served_certificate(container: Container) -> str:
    """Return the certificate that Nginx sends, in PEM."""
    return ssl.get_server_certificate(("127.0.0.1", int(https_port(container))))


def test_a_reload_serves_a_renewed_certificate_and_loses_no_request(start: Start, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    certificate(tmp_path)
    container = start(*options(tmp_path)).wait()
    old, workers = served_certificate(container), processes(container, "uWSGI worker")
    with load(container, clients=4, path="/health") as clients:
        certificate(tmp_path)
        docker("kill", "--signal=HUP", container.id)
        until(lambda: served_certificate(container) != old, "the new certificate is served")
        until(lambda: not set(workers) & set(processes(container, "uWSGI worker")), "the app is reloaded as well")
    assert clients.lost == []


def test_a_renewed_certificate_is_served_without_a_reload_of_the_app(start: Start, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    certificate(tmp_path)
    container = start(*options(tmp_path)).wait()
    old, workers = served_certificate(container), processes(container, "uWSGI worker")
    certificate(tmp_path)
    until(lambda: served_certificate(container) != old, "the new certificate is served")
    assert processes(container, "uWSGI worker") == workers
    assert not [line for line in container.lines if line["level"] not in ("info", "debug")]


def test_a_reload_with_a_bad_certificate_keeps_the_old_one_and_logs_an_error(start: Start, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    certificate(tmp_path)
    container = start(*options(tmp_path)).wait()
    old = served_certificate(container)
    (tmp_path / "tls.crt").write_text("half a file")
    docker("kill", "--signal=HUP", container.id)
    until(
        lambda: any("/tls/tls.crt" in str(line["message"]) and line["level"] != "info" for line in container.lines),
        "the error is logged",
    )
    assert served_certificate(container) == old


def expired(folder: Path) -> None:
    """Replace the certificate by one that has expired."""
    certificate(folder, past=True)


def another_key(folder: Path) -> None:
    """Replace the key by that of another certificate."""
    crt = (folder / "tls.crt").read_text()
    certificate(folder)
    (folder / "tls.crt").write_text(crt)


BAD = [
    (expired, "TLS_CERT is /tls/tls.crt: "),
    (another_key, "TLS_KEY is /tls/tls.key: "),
    (lambda folder: (folder / "tls.key").chmod(0o600), "TLS_KEY is /tls/tls.key: Permission denied"),
    (lambda folder: (folder / "tls.key").unlink(), "TLS_KEY is /tls/tls.key: No such file or directory"),
    (lambda folder: (folder / "tls.crt").write_text("x"), "TLS_CERT is /tls/tls.crt: "),
    (lambda folder: (folder / "tls.key").write_text("x"), "TLS_KEY is /tls/tls.key: "),
]


@pytest.mark.parametrize(
    ("spoil", "problem"), BAD, ids=["expired", "wrong pair", "unreadable", "missing", "no PEM", "no key"]
)
def test_a_bad_certificate_ends_the_container_with_78(
    start: Start, tmp_path: Path, spoil: Callable[[Path], None], problem: str
) -> None:
    tmp_path.chmod(0o755)
    certificate(tmp_path)
    spoil(tmp_path)
    container = start(*options(tmp_path))
    assert container.exit_code() == 78
    assert problem in container.log


def test_certificate_and_key_can_be_docker_secrets(start: Start, folder: Path) -> None:
    secrets = [
        f"--volume={folder}/tls.{kind}:/run/secrets/{name}:ro"
        for kind, name in (("crt", "TLS_CERT"), ("key", "TLS_KEY"))
    ]
    container = start(*secrets, "--publish=127.0.0.1::443", PROBE).wait()
    assert curl(container, folder, "/echo").startswith("HTTP/2 200")
