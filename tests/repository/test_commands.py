"""The commands of the Makefile, and the script that supplies what a machine lacks, run as a user runs them."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from conftest import REPO, docker, lay_out, until

IMAGE = f"wsgi-test-{os.getpid()}"
"""Tag of the image, so that the tag of somebody's `make run` stays."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def name() -> Iterator[str]:
    """A container's name that is not the one of somebody's `make run`."""
    name = f"wsgi-test-{os.getpid()}"
    yield name
    docker("rm", "--force", name, check=False)
    docker("image", "rm", IMAGE, check=False)


def make(*words: str, folder: Path = REPO) -> subprocess.CompletedProcess[str]:
    """Run make as from a shell."""
    return subprocess.run(
        ["make", "--no-print-directory", f"IMAGE={IMAGE}", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_make_alone_lists_every_target_with_its_help() -> None:
    """Each target that exists, and what it does."""
    targets = re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE)
    listed = dict(re.findall(r"^make ([a-z-]+) +(.+)$", make().stdout, re.MULTILINE))
    assert list(listed) == targets


def test_make_run_serves_and_says_where_and_how_to_stop(name: str) -> None:
    """Run, reload, stop: a whole day in the life of the container."""
    port = free_port()
    ran = make("run", f"PORT={port}", f"NAME={name}")
    assert ran.returncode == 0, ran.stderr
    assert f"http://localhost:{port}" in ran.stdout
    assert "make stop" in ran.stdout
    assert requests.get(f"http://127.0.0.1:{port}/hello", timeout=5).json()["message"] == "hello"

    address = make("status", f"NAME={name}").stdout.splitlines()[0]
    assert requests.get(f"{address}.json", timeout=5).json()["healthy"]
    assert make("reload", f"NAME={name}").returncode == 0
    until(lambda: "the new uWSGI has loaded the app and takes over" in docker("logs", name), "the code is loaded again")
    assert make("stop", f"NAME={name}").returncode == 0
    assert docker("inspect", "--format={{.State.ExitCode}}", name) == "0"


def test_make_run_with_tls_serves_https(name: str) -> None:
    """With a certificate of its own, where a browser is sent from plain HTTP."""
    port, https_port = free_port(), free_port()
    ran = make("run", "TLS=1", f"PORT={port}", f"HTTPS_PORT={https_port}", f"NAME={name}")
    assert ran.returncode == 0, ran.stderr
    assert f"https://localhost:{https_port}" in ran.stdout
    answer = requests.get(f"http://localhost:{port}/hello", verify=REPO / ".tls/localhost.crt", timeout=5)
    assert answer.url == f"https://localhost:{https_port}/hello"
    assert answer.json()["message"] == "hello"


def test_make_status_says_so_when_there_is_nothing_to_show(name: str, image: str) -> None:
    """No container, or one without the private port."""
    assert f"no container {name} is running" in make("status", f"NAME={name}").stderr
    docker("run", "--detach", f"--name={name}", "--env=ADMIN_PORT=0", image)
    until(lambda: "ADMIN_PORT=0" in make("status", f"NAME={name}").stderr, "it says that the port is off")


def test_make_run_names_the_way_out_when_the_port_is_taken(name: str) -> None:
    """Another port, and nothing is left behind."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = make("run", f"PORT={port}", f"NAME={name}")
    assert ran.returncode != 0
    assert f"port {port} of this machine is taken; choose another: make run PORT=8080" in ran.stderr
    assert docker("ps", "--all", "--quiet", f"--filter=name={name}") == ""


def test_make_run_leaves_the_container_of_another_project_alone(name: str, tmp_path: Path) -> None:
    assert make("run", f"PORT={free_port()}", f"NAME={name}").returncode == 0
    before = docker("inspect", "--format={{.Id}} {{.State.Running}}", name)
    other = lay_out(tmp_path, "plain")
    shutil.copy(REPO / "Makefile", other)
    shutil.copytree(REPO / "tools", other / "tools")
    ran = make("run", f"PORT={free_port()}", f"NAME={name}", folder=other)
    assert ran.returncode != 0
    assert f"container {name} belongs to {REPO}" in ran.stderr
    assert docker("inspect", "--format={{.Id}} {{.State.Running}}", name) == before


def test_make_dev_serves_the_sources_as_they_are_on_disk(name: str) -> None:
    """src/ is mounted, and the development profile chosen."""
    port = free_port()
    ran = make("dev", f"PORT={port}", f"NAME={name}")
    assert ran.returncode == 0, ran.stderr
    assert "profile development" in docker("logs", name)
    assert docker("exec", name, "cat", "/app/routes.py") == (REPO / "src/routes.py").read_text().strip()


def test_bootstrap_is_silent_where_nothing_is_missing(image: str) -> None:
    """The image could be built, so there is an engine and a base image."""
    done = subprocess.run([REPO / "tools/bootstrap"], capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def bootstrap_elsewhere(image: str, *options: str) -> str:
    """Runs the script on another machine, a container: there is no engine there."""
    done = subprocess.run(
        ["docker", "run", "--rm", f"--volume={REPO}/tools:/repo/tools:ro", *options, image, "/repo/tools/bootstrap"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    return done.stderr


def test_bootstrap_tells_who_is_not_root_what_to_do(image: str) -> None:
    """Installing an engine takes root."""
    said = bootstrap_elsewhere(image)
    assert "error: no container engine answers, and only root can install it" in said
    assert "fix: " in said


def test_bootstrap_tells_who_is_not_on_debian_what_to_do(image: str) -> None:
    """Elsewhere it names what to install."""
    said = bootstrap_elsewhere(image, "--user=0", "--volume=/dev/null:/etc/debian_version:ro")
    assert "error: no container engine answers, and this is not a Debian machine" in said
    assert "install and start Docker" in said
