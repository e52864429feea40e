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
"""Tag of the image, different from the one of `make run`."""


def free_port() -> int:
    """Return a port of this machine that no program listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def name() -> Iterator[str]:
    """Name of a container, different from the one of `make run`."""
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
    targets = re.findall(r"^([a-z0-9-]+):", (REPO / "Makefile").read_text(), re.MULTILINE)
    listed = dict(re.findall(r"^make ([a-z0-9-]+) +(.+)$", make().stdout, re.MULTILINE))
    assert list(listed) == targets


def test_make_run_status_reload_and_stop_work_on_one_container(name: str) -> None:
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


def test_make_run_with_tls_redirects_http_to_https(name: str) -> None:
    port, https_port = free_port(), free_port()
    ran = make("run", "TLS=1", f"PORT={port}", f"HTTPS_PORT={https_port}", f"NAME={name}")
    assert ran.returncode == 0, ran.stderr
    assert f"https://localhost:{https_port}" in ran.stdout
    answer = requests.get(f"http://localhost:{port}/hello", verify=REPO / ".tls/localhost.crt", timeout=5)
    assert answer.url == f"https://localhost:{https_port}/hello"
    assert answer.json()["message"] == "hello"


def test_make_status_reports_a_missing_container_and_a_disabled_admin_port(name: str, image: str) -> None:
    assert f"no container {name} is running" in make("status", f"NAME={name}").stderr
    docker("run", "--detach", f"--name={name}", "--env=ADMIN_PORT=0", image)
    until(lambda: "ADMIN_PORT=0" in make("status", f"NAME={name}").stderr, "it says that the port is off")


def test_make_run_on_a_port_in_use_suggests_another_and_leaves_no_container(name: str) -> None:
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


def test_make_dev_mounts_src_and_uses_the_development_profile(name: str) -> None:
    port = free_port()
    ran = make("dev", f"PORT={port}", f"NAME={name}")
    assert ran.returncode == 0, ran.stderr
    assert "profile development" in docker("logs", name)
    assert docker("exec", name, "cat", "/app/routes.py") == (REPO / "src/routes.py").read_text().strip()


def test_every_variable_of_the_makefile_has_a_value() -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (REPO / "Makefile").read_text(), re.MULTILINE)
    printed = make("--warn-undefined-variables", "--dry-run", *targets, "DIR=..", "XDG_CACHE_HOME=/cache")
    assert (printed.returncode, printed.stderr) == (0, "")


def test_make_new_copies_the_template_to_the_folder(tmp_path: Path) -> None:
    assert "name the folder" in make("new").stderr
    made = make("new", f"DIR={tmp_path / 'my-app'}")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "my-app/src/routes.py").is_file()


def test_a_copy_of_a_clone_follows_the_repository_of_the_clone_even_a_bare_one(tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin.git", tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--bare", REPO, origin], check=True)
    subprocess.run(["git", "clone", "--quiet", origin, clone], check=True)
    shutil.copy(REPO / "tools/new", clone / "tools")
    (clone / ".tools").symlink_to(REPO / ".tools")
    made = subprocess.run([clone / "tools/new", tmp_path / "my-app"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert str(origin) in (tmp_path / "my-app/.copier-answers.yml").read_text()


def test_bootstrap_prints_nothing_if_nothing_is_missing(image: str) -> None:
    """The fixture has built the image, so there are an engine and a base image."""
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


def test_bootstrap_without_root_prints_the_fix(image: str) -> None:
    printed = bootstrap_elsewhere(image)
    assert "error: no container engine answers, and only root can install it" in printed
    assert "fix: " in printed


def test_bootstrap_outside_debian_prints_what_to_install(image: str) -> None:
    printed = bootstrap_elsewhere(image, "--user=0", "--volume=/dev/null:/etc/debian_version:ro")
    assert "error: no container engine answers, and this is not a Debian machine" in printed
    assert "install and start Docker" in printed
