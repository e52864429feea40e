"""deploy/certbot/compose.yaml: certbot gets and renews the app's certificate, from the test server of Let's Encrypt."""

import os
import ssl
import subprocess
from collections.abc import Iterator

import pytest

from compose import Project
from conftest import REPO, SESSION_LABEL, docker, until
from processes import processes

pytestmark = pytest.mark.timeout(600)  # builds an image

RECIPE = "deploy/certbot/compose.yaml"
PEBBLE_SECONDS = 120
"""Longest time until a certificate is issued: the health check of the app runs each 10 s, and certbot waits for it."""


@pytest.fixture(scope="module")
def project(image: str, request: pytest.FixtureRequest) -> Iterator[Project]:
    """Running recipe, whose ACME server is Pebble."""
    acme = docker("build", "--quiet", "--label", SESSION_LABEL, str(REPO / "tests/helpers/acme"))
    project = Project(
        image,
        RECIPE,
        "tests/helpers/acme/compose.yaml",
        ACME_IMAGE=acme,
        ACME_SERVER="https://acme/dir",
        HTTPS_PORT="127.0.0.1:0",
        DOMAIN="shop.example",
        EMAIL="ada@shop.example",
    )
    try:
        project.up()
        request.node.containers = [project.service(name) for name in ("certbot", "app")]
        yield project
    finally:
        project.down()


def served_certificate(project: Project) -> str:
    """Return the certificate that Nginx sends, in PEM."""
    port = docker("port", project.service("app").id, "443").splitlines()[0].rpartition(":")[2]
    return ssl.get_server_certificate(("127.0.0.1", int(port)))


def names(certificate: str) -> str:
    """Return the names of its issuer and of its subject."""
    command = ["openssl", "x509", "-noout", "-issuer", "-ext", "subjectAltName"]
    return subprocess.run(command, input=certificate, capture_output=True, text=True, check=True).stdout


def test_the_first_certificate_replaces_a_self_signed_one_and_a_renewal_replaces_it_without_a_restart(
    project: Project,
) -> None:
    app = project.service("app")
    workers = processes(app, "uWSGI worker")
    assert "CN = shop.example" in names(served_certificate(project))
    until(lambda: "Pebble" in names(served_certificate(project)), "Pebble's certificate is served", PEBBLE_SECONDS)
    first = served_certificate(project)
    assert "DNS:shop.example" in names(first)

    project.compose("exec", "--no-TTY", "certbot", "certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew")
    until(lambda: served_certificate(project) != first, "the renewed certificate is served")
    assert "Pebble" in names(served_certificate(project))
    assert processes(app, "uWSGI worker") == workers


def test_another_start_keeps_the_certificate(project: Project) -> None:
    before = served_certificate(project)
    project.compose("up", "--detach", "--no-build", "--force-recreate", "--timeout=5", "first-certificate", "app")
    until(project.service("app").answers, "the app answers")
    assert served_certificate(project) == before


def test_the_recipe_adds_to_compose_yaml() -> None:
    command = ["docker", "compose", "--file", "compose.yaml", "--file", RECIPE, "config", "--services"]
    environ = os.environ | {"DOMAIN": "shop.example", "EMAIL": "ada@shop.example"}
    done = subprocess.run(command, cwd=REPO, env=environ, capture_output=True, text=True)
    assert {"app", "certbot", "database"} <= set(done.stdout.split()), done.stderr
