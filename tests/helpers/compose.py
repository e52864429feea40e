"""Projects of Docker Compose that run the repository's compose files, and the images that these name."""

import os
import subprocess
import uuid
from pathlib import Path

from conftest import REPO, SESSION_LABEL, Container, docker, network, until

POSTGRES = "postgres:17-trixie"
"""Image that compose.yaml names."""

SUBSTITUTES = {POSTGRES: "postgres", "valkey/valkey:8.1": "valkey"}
"""Images that the compose files name, and the folder beside this file with a Dockerfile for each."""

NETWORK = "tests/helpers/network.yaml"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")

START_SECONDS = 120
"""Longest time until a project answers: PostgreSQL creates its files, the app waits for it and migrates."""


def build_app(folder: str) -> str:
    """Build the image of an app as its README says, from a folder of the repository; return its id."""
    command = [REPO / "tools/build", "--quiet", "--label", SESSION_LABEL, "--build-arg", f"SRC={folder}", REPO]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def supply(image: str, folder: str) -> None:
    """Pull an image. Where no registry can be reached, build one with the same interface from a folder of this one."""
    for command in (("image", "inspect", image), ("pull", "--quiet", image)):
        if subprocess.run(["docker", *command], capture_output=True).returncode == 0:
            return
    docker("build", "--quiet", "--tag", image, str(Path(__file__).parent / folder))


def supply_images() -> None:
    """Pull or build the images of SUBSTITUTES."""
    for image, folder in SUBSTITUTES.items():
        supply(image, folder)


class Service(Container):
    """Container of a service of a project."""

    def __init__(self, container_id: str) -> None:
        self.id = container_id
        self.test = ""


class Project:
    """Project of compose files, with the app's port published on a free port of 127.0.0.1."""

    def __init__(self, image: str, *files: str, **environ: str) -> None:
        self.name = f"wsgi-test-{uuid.uuid4().hex[:12]}"
        self.files = [word for file in (*files, NETWORK) for word in ("--file", str(REPO / file))]
        self.environ = os.environ | {"IMAGE": image, "PORT": "127.0.0.1:0", "NETWORK": network(WORKER)} | environ

    def compose(self, *words: str, check: bool = True) -> str:
        """Run a command of Docker Compose; return its output."""
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.name, *self.files, *words],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert not check or done.returncode == 0, f"docker compose {' '.join(words)}: {done.stdout}"
        return done.stdout.strip()

    def service(self, name: str) -> Service:
        """Return the container of a service, also if it has exited."""
        return Service(self.compose("ps", "--all", "--quiet", name))

    def up(self) -> "Project":
        """Start all services, and wait until the app answers."""
        self.compose("up", "--detach", "--no-build")
        app = self.service("app")
        until(app.answers, "the app answers", START_SECONDS)
        return self

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--timeout=5")
