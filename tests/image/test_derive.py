"""Dockerfiles that start from the stages `build`, `run` and `full`, which are pulled from a registry."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import APPS, REPO, SESSION_LABEL, Container, docker, until

pytestmark = pytest.mark.timeout(600)  # the first test builds and pushes the images

Start = Callable[..., Container]

STAGES = "build", "run", "full"
REGISTRY = REPO / "tests/helpers/registry"

DOCKERFILE = """\
FROM NAME:build AS build
COPY . /app
RUN --mount=type=secret,id=ca build-app
FROM NAME:run
COPY --from=build /venv /venv
COPY --from=build /app /app
"""

PACKAGES = """\
USER 0
RUN install-packages /app/packages.txt
USER 10001:0
"""


@pytest.fixture(scope="module")
def stages(start: Start) -> Iterator[str]:
    """Name of the images that `make base` builds. `build` and `run` are in a registry, and not on this machine."""
    registry = start(image=docker("build", "--quiet", "--label", SESSION_LABEL, str(REGISTRY)))
    until(lambda: registry.answers("/v2/"), "the registry answers")
    name = f"{registry.address}/wsgi"
    subprocess.run(["make", "--no-print-directory", "base", f"IMAGE={name}"], cwd=REPO, check=True, capture_output=True)
    for stage in "build", "run":
        docker("push", "--quiet", f"{name}:{stage}")
        docker("image", "rm", f"{name}:{stage}")
    yield name
    docker("image", "rm", *(f"{name}:{stage}" for stage in STAGES), check=False)


@pytest.fixture
def pulled_stages(stages: str) -> str:
    """Name of the images of the stages, on this machine."""
    for stage in "build", "run":
        docker("pull", "--quiet", f"{stages}:{stage}")
    return stages


@pytest.fixture
def derive(stages: str, tmp_path: Path) -> Callable[..., str]:
    """Build a Dockerfile beside the files of an app; return the image's id: derive(DOCKERFILE, FILE=TEXT...).

    `NAME` in the Dockerfile becomes the name of the images of the stages.
    """

    def derive(dockerfile: str, **files: str) -> str:
        dockerfile = dockerfile.replace("NAME", stages)
        for name, text in {**files, "Dockerfile": dockerfile, ".dockerignore": "Dockerfile\n.dockerignore\n"}.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        command = [REPO / "tools/build", "--quiet", "--label", SESSION_LABEL, tmp_path]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    return derive


ROUTES = """\
from flask import Flask, url_for
app = Flask(__name__)
app.get("/")(lambda: url_for("static", filename="a.css"))
"""


def test_a_derived_dockerfile_of_six_lines_does_for_an_app_what_ours_does(
    derive: Callable[..., str], start: Start
) -> None:
    assert len(DOCKERFILE.splitlines()) == 6
    files = {
        "routes.py": ROUTES,
        "requirements.txt": "flask\n",
        "prebuild.sh": "mkdir -p static; seq 1000 > static/a.css\n",
    }
    container = start(image=derive(DOCKERFILE, **files)).wait()
    path = container.get("/").text
    assert path != "/static/a.css"
    response = container.get(path, headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert "immutable" in response.headers["Cache-Control"]
    assert container.exec("id", "-u") == "10001"
    assert container.exec("ls", "/app/__pycache__").startswith("routes.")


def test_a_derived_image_may_add_debian_packages(derive: Callable[..., str], start: Start) -> None:
    """Python among them: it fails to install if files of its standard library are missing."""
    files = {"routes.py": (APPS / "plain/routes.py").read_text(), "packages.txt": "tini\npython3\n"}
    files["greeting.txt"] = (APPS / "plain/greeting.txt").read_text()
    container = start(image=derive(DOCKERFILE + PACKAGES, **files)).wait()
    assert "tini version" in container.exec("tini", "--version")
    assert container.exec("id", "-u") == "10001"


def test_a_dockerfile_from_tiangolos_image_builds_and_serves_with_another_from(
    derive: Callable[..., str], start: Start
) -> None:
    """Their documentation's Dockerfile; PIP_CERT is for a proxy that inspects TLS."""
    dockerfile = """\
FROM NAME:full
COPY ./requirements.txt /app/requirements.txt
RUN --mount=type=secret,id=ca PIP_CERT=/run/secrets/ca pip install --no-cache-dir --upgrade -r /app/requirements.txt
COPY ./app /app
"""
    files = {"requirements.txt": "flask\n", "app/main.py": ROUTES, "app/prestart.sh": "#! /usr/bin/env bash\ntrue\n"}
    container = start(image=derive(dockerfile, **files)).wait()
    assert container.get("/").text == "/static/a.css"
    status = container.exec("sh", "-c", "cat /proc/1/status")
    assert "Uid:\t10001\t10001\t10001\t10001" in status


def test_the_stages_contain_no_app(pulled_stages: str) -> None:
    for stage in STAGES:
        listed = docker(
            "run",
            "--rm",
            "--entrypoint=sh",
            f"{pulled_stages}:{stage}",
            "-c",
            "ls -A /app /venv/lib/*/site-packages",
            check=False,
        )
        assert [line for line in listed.splitlines() if line and not line.startswith(("/", "ls:"))] == []


def test_the_image_of_this_repository_derives_from_the_same_stages(pulled_stages: str, image: str) -> None:
    layers = docker("image", "inspect", '--format={{join .RootFS.Layers " "}}', f"{pulled_stages}:run").split()
    assert docker("image", "inspect", '--format={{join .RootFS.Layers " "}}', image).split()[: len(layers)] == layers


def test_a_base_image_from_a_registry_is_pulled_once_a_day(pulled_stages: str, tmp_path: Path) -> None:
    base = f"{pulled_stages.removesuffix('/wsgi')}/base"
    environment = os.environ | {"BASE_IMAGE": base, "XDG_CACHE_HOME": str(tmp_path)}

    def publish(version: str) -> None:
        made = ["docker", "build", "--tag", base, "--label", f"version={version}", "-"]
        subprocess.run(made, input="FROM scratch\nLABEL a=b\n", text=True, check=True, capture_output=True)
        docker("push", "--quiet", base)

    def version_after_bootstrap() -> str:
        subprocess.run([REPO / "tools/bootstrap"], env=environment, check=True, capture_output=True)
        return docker("image", "inspect", "--format={{.Config.Labels.version}}", base)

    publish("1")
    docker("image", "rm", base)
    assert version_after_bootstrap() == "1"
    first = docker("image", "inspect", "--format={{.Id}}", base)
    publish("2")
    docker("tag", first, base)
    assert version_after_bootstrap() == "1"
    (tmp_path / "wsgi/pulled").write_text("yesterday")
    assert version_after_bootstrap() == "2"
    docker("image", "rm", "--force", base)
