"""Building the image around an app: its dependencies, its Debian packages, its build script."""

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import HARDENED, REPO, SESSION_LABEL, Container, build, build_error, docker

Start = Callable[..., Container]
Context = Callable[..., Path]

PACKAGES = """\
import importlib.metadata, json

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({each.name: each.version for each in importlib.metadata.distributions()}).encode()]
"""
"""App that returns the names and versions of its packages."""

PYPROJECT = """\
[project]
name = "shop"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["six==1.17.0"]

[dependency-groups]
dev = ["iniconfig"]
"""


def lock(tree: Path) -> None:
    """Write a uv.lock for the pyproject.toml of an app."""
    subprocess.run([Path(sys.executable).parent / "uv", "lock", "--quiet", "--project", tree / "src"], check=True)


# --- Python packages ---


def test_a_pyproject_with_a_uv_lock_installs_what_the_lock_names(context: Context, start: Start) -> None:
    tree = context("plain", **{"pyproject.toml": PYPROJECT, "routes.py": PACKAGES})
    lock(tree)
    assert start(image=build(tree)).wait().get("/").json() == {"six": "1.17.0"}


def test_a_uv_lock_that_is_out_of_date_fails_the_build(context: Context) -> None:
    tree = context("plain", **{"pyproject.toml": PYPROJECT})
    lock(tree)
    (tree / "src/pyproject.toml").write_text(PYPROJECT.replace("1.17.0", "1.16.0"))
    assert "run uv lock" in build_error(tree)


def test_a_pyproject_whose_dependencies_are_not_locked_fails_the_build(context: Context) -> None:
    assert "run uv lock" in build_error(context("plain", **{"pyproject.toml": PYPROJECT}))


def test_a_pyproject_without_dependencies_installs_nothing(context: Context, start: Start) -> None:
    tree = context("plain", **{"pyproject.toml": "[tool.ruff]\nline-length = 100\n", "routes.py": PACKAGES})
    assert start(image=build(tree)).wait().get("/").json() == {}


@pytest.mark.parametrize("text", ["six==1.17.0\n", "six==1.17.0"], ids=["", "without a final newline"])
def test_requirements_win_over_a_pyproject(context: Context, start: Start, text: str) -> None:
    files = {"pyproject.toml": PYPROJECT.replace("six==1.17.0", "iniconfig"), "requirements.txt": text}
    tree = context("plain", **files, **{"routes.py": PACKAGES})
    assert start(image=build(tree)).wait().get("/").json() == {"six": "1.17.0"}


def test_an_edit_of_code_installs_no_package_again(context: Context) -> None:
    tree = context("plain", **{"requirements.txt": "six==1.17.0\n"})
    build(tree)
    (tree / "src/routes.py").write_text(f"{PACKAGES}# {uuid.uuid4()}\n")
    command = [REPO / "tools/build", "--progress=plain", "--label", SESSION_LABEL, tree]
    log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    steps = dict(re.findall(r"^(#\d+) \[.*\] RUN .*?(install-app|prepare-app|install-packages)", log, re.MULTILINE))
    cached = set(re.findall(r"^(#\d+) CACHED", log, re.MULTILINE))
    assert {name: step in cached for step, name in steps.items()} == {
        "install-app": True,
        "install-packages": True,
        "prepare-app": False,
    }


# --- Debian packages ---


def test_packages_are_in_the_image_and_build_packages_are_not(context: Context, start: Start) -> None:
    files = {
        "packages.txt": "# A comment\nlibjansson4  # to read JSON\r\n\ntini",
        "packages-build.txt": "libjansson-dev\n",
        "prebuild.sh": "ls /usr/include/jansson.h /usr/bin/tini > installed.txt\n",
    }
    container = start(image=build(context("plain", **files))).wait()
    assert container.exec("cat", "/app/installed.txt").split() == ["/usr/bin/tini", "/usr/include/jansson.h"]
    assert "libjansson.so.4" in container.exec("sh", "-c", "ls /usr/lib/*/libjansson*; tini --version")
    assert "No such file" in docker("exec", container.id, "ls", "/usr/include/jansson.h", check=False)
    left = "find / -xdev -name '*.deb' -o -name '*_Packages' -o -path /var/lib/apt/lists/*"
    assert docker("exec", "--user=0", container.id, "sh", "-c", left) == ""


@pytest.mark.parametrize("file", ["packages.txt", "packages-build.txt"])
def test_a_package_that_does_not_exist_fails_the_build_with_file_and_line(context: Context, file: str) -> None:
    error = build_error(context("plain", **{file: "# libraries\ntini\nno-such-package\n"}))
    assert f"error: {file} line 3: no-such-package cannot be installed" in error


# --- prebuild.sh ---

PYTHON_PREBUILD = """\
#!/usr/bin/env python3
import pathlib, six
pathlib.Path("static").mkdir(exist_ok=True)
pathlib.Path("static/made.css").write_text("/* made */" + 300 * "a {color: red} ")
"""


def test_prebuild_is_run_by_its_first_line_with_the_apps_packages_before_files_are_compressed(
    context: Context, start: Start
) -> None:
    files = {"requirements.txt": "six==1.17.0\n", "prebuild.sh": PYTHON_PREBUILD}
    container = start(*HARDENED, image=build(context("plain", **files))).wait()
    response = container.get("/static/made.css", headers={"Accept-Encoding": "br"})
    assert response.headers["Content-Encoding"] == "br"
    names = json.loads(container.exec("cat", "/app/static/.assets.json"))
    assert container.get(f"/static/{names['made.css']}").text.startswith("/* made */")


def test_a_prebuild_without_a_first_line_is_run_by_sh(context: Context, start: Start) -> None:
    container = start(image=build(context("plain", **{"prebuild.sh": "echo made > static/made.txt\n"}))).wait()
    assert container.get("/static/made.txt").text == "made\n"


def test_a_prebuild_that_fails_fails_the_build(context: Context) -> None:
    assert "prebuild.sh failed with exit code 3" in build_error(context("plain", **{"prebuild.sh": "exit 3\n"}))


def test_a_prebuild_trusts_the_certificates_of_the_build_secret(context: Context, start: Start) -> None:
    script = "env | grep /run/secrets/ca | cut -d= -f1 | sort > trusting.txt\n"
    container = start(image=build(context("plain", **{"prebuild.sh": script}))).wait()
    assert {"PIP_CERT", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"} <= set(
        container.exec("cat", "/app/trusting.txt").split()
    )


# --- Volumes ---


@pytest.mark.parametrize("options", [(), HARDENED, ("--user=12345:0",)])
def test_a_new_named_volume_at_data_is_writable(start: Start, image: str, options: tuple[str, ...]) -> None:
    volume = docker("volume", "create", "--label", SESSION_LABEL)
    try:
        docker("run", "--rm", *options, f"--volume={volume}:/data", image, "touch", "/data/written")
        found = docker("run", "--rm", f"--volume={volume}:/data", image, "ls", "/data")
        assert found == "written"
    finally:
        docker("volume", "rm", volume)
