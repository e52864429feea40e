"""HTTPS: who may speak it how, where plain HTTP is sent, and a certificate that changes."""

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

Start = Callable[..., Container]
PROBE = f"--volume={APPS}/probe:/app:ro"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificate lies."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)
    certificate(folder)
    return folder


def options(folder: Path) -> tuple[str, ...]:
    """What docker run needs for HTTPS."""
    return (
        f"--volume={folder}:/tls:ro",
        "--env=TLS_CERT=/tls/tls.crt",
        "--env=TLS_KEY=/tls/tls.key",
        "--publish=127.0.0.1::443",
        PROBE,
    )


@pytest.fixture(scope="module")
def secure(start: Start, folder: Path) -> Container:
    """A container with HTTPS."""
    return start(*options(folder)).wait()


def https_port(container: Container) -> str:
    """Where its port 443 is published."""
    return docker("port", container.id, "443").splitlines()[0].rpartition(":")[2]


def curl(container: Container, folder: Path, path: str, *words: str) -> str:
    """Asks it over HTTPS, and verifies the certificate; returns headers and body."""
    url = f"https://localhost:{https_port(container)}{path}"
    trust = ["--cacert", folder / "tls.crt", "--resolve", f"localhost:{https_port(container)}:127.0.0.1"]
    done = subprocess.run(["curl", "-sSi", "--max-time", "10", *trust, *words, url], capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_it_speaks_http_2_and_1_over_tls(secure: Container, folder: Path, option: str, version: str) -> None:
    """As the client likes, and the app sees https."""
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
    """Mozilla's intermediate profile."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{https_port(secure)}", *words],
        input="",
        capture_output=True,
        text=True,
        timeout=20,
    )
    found = re.search(r"^New, (TLSv[\d.]+), Cipher is (?!\(NONE\))", done.stdout, re.MULTILINE)
    assert (found and found[1]) == agreed
    # With TLS 1.3 OpenSSL calls the name of a session in the cache a ticket, too.
    assert agreed == "TLSv1.3" or "TLS session ticket:" not in done.stdout


def test_plain_http_is_sent_to_https_but_for_health(secure: Container) -> None:
    """With the method and the query kept; HSTS is not said there."""
    answer = secure.get("/a/path?q=1", allow_redirects=False, headers={"Host": "shop.example:8080"})
    assert (answer.status_code, answer.headers["Location"]) == (308, "https://shop.example/a/path?q=1")
    assert "Strict-Transport-Security" not in answer.headers
    assert secure.get("/health", allow_redirects=False).status_code in (200, 404)


def test_plain_http_on_the_https_port_is_sent_on_as_well(secure: Container) -> None:
    """A common mistake."""
    answer = requests.get(
        f"http://127.0.0.1:{https_port(secure)}/x", headers={"Host": "shop.example"}, allow_redirects=False, timeout=5
    )
    assert (answer.status_code, answer.headers["Location"]) == (308, "https://shop.example/x")


def test_without_a_certificate_there_is_no_https_and_no_hsts(container: Container) -> None:
    """The default."""
    answer = container.get("/")
    assert (answer.status_code, "Strict-Transport-Security" in answer.headers) == (200, False)


def test_another_https_port(start: Start, folder: Path) -> None:
    """Redirects name it."""
    container = start(*options(folder), "--env=HTTPS_PORT=8443").wait()
    assert container.get("/x", allow_redirects=False).headers["Location"] == "https://127.0.0.1:8443/x"


def test_a_renewed_certificate_is_taken_up_by_a_reload_without_a_lost_request(start: Start, tmp_path: Path) -> None:
    """Those who come after it see the new one."""
    tmp_path.chmod(0o755)
    certificate(tmp_path)
    container = start(*options(tmp_path)).wait()
    old = ssl.get_server_certificate(("127.0.0.1", int(https_port(container))))
    with load(container, clients=4, path="/health") as clients:
        certificate(tmp_path)
        docker("kill", "--signal=HUP", container.id)
        until(
            lambda: ssl.get_server_certificate(("127.0.0.1", int(https_port(container)))) != old,
            "the new one is served",
        )
        until(lambda: "takes over" in container.log, "the app is reloaded as well")
    assert clients.lost == []


def test_a_bad_new_certificate_leaves_the_old_one_serving(start: Start, tmp_path: Path) -> None:
    """And the log says so."""
    tmp_path.chmod(0o755)
    certificate(tmp_path)
    container = start(*options(tmp_path)).wait()
    old = ssl.get_server_certificate(("127.0.0.1", int(https_port(container))))
    (tmp_path / "tls.crt").write_text("half a file")
    docker("kill", "--signal=HUP", container.id)
    until(lambda: "cannot load certificate" in container.log, "nginx says so")
    assert ssl.get_server_certificate(("127.0.0.1", int(https_port(container)))) == old


def expired(folder: Path) -> None:
    """Makes the certificate one of the past."""
    certificate(folder, past=True)


def another_key(folder: Path) -> None:
    """Puts another certificate's key there."""
    crt = (folder / "tls.crt").read_text()
    certificate(folder)
    (folder / "tls.crt").write_text(crt)


BAD = [
    (expired, "TLS_CERT is /tls/tls.crt: certificate has expired"),
    (another_key, "TLS_KEY is /tls/tls.key: the file does not belong to TLS_CERT"),
    (lambda folder: (folder / "tls.key").chmod(0o600), "TLS_KEY is /tls/tls.key: Permission denied"),
    (lambda folder: (folder / "tls.key").unlink(), "TLS_KEY is /tls/tls.key: No such file or directory"),
    (
        lambda folder: (folder / "tls.crt").write_text("x"),
        "TLS_CERT is /tls/tls.crt: the file contains no certificate in PEM",
    ),
    (
        lambda folder: (folder / "tls.key").write_text("x"),
        "TLS_KEY is /tls/tls.key: the file contains no private key in PEM",
    ),
]


@pytest.mark.parametrize(
    ("spoil", "complaint"), BAD, ids=["expired", "wrong pair", "unreadable", "missing", "no PEM", "no key"]
)
def test_a_bad_certificate_ends_the_container_with_78(
    start: Start, tmp_path: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    """With one message that names the file."""
    tmp_path.chmod(0o755)
    certificate(tmp_path)
    spoil(tmp_path)
    container = start(*options(tmp_path))
    assert container.exit_code() == 78
    assert complaint in container.log


def test_a_docker_secret_may_hold_the_certificate_itself(start: Start, folder: Path) -> None:
    """As /run/secrets/TLS_CERT and TLS_KEY."""
    secrets = [
        f"--volume={folder}/tls.{kind}:/run/secrets/{name}:ro"
        for kind, name in (("crt", "TLS_CERT"), ("key", "TLS_KEY"))
    ]
    container = start(*secrets, "--publish=127.0.0.1::443", PROBE).wait()
    assert curl(container, folder, "/echo").startswith("HTTP/2 200")
