"""README says what is so: its settings are the table's, its commands run, its files exist."""

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import REPO, Container, certificate, docker
from wsgi_runtime.start import settings

README = (REPO / "README.md").read_text()
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
OPTIONAL = ("src/protected/", "src/nginx.conf", "src/nginx-http.conf", "src/nginx-server.conf")
"""What an app may have; tests/nginx/test_static.py and tests/nginx/test_headers.py do."""

TARGETS = re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE)


def test_the_settings_are_those_of_the_table() -> None:
    """`python -m wsgi_runtime.start.settings` prints the very lines."""
    assert settings.table() in README


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z-]+)", README)) - {"alone"}))
def test_make_has_each_target_that_is_named(target: str) -> None:
    """In a block of commands or in a sentence; tests/repository/test_commands.py runs them."""
    assert target in TARGETS


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("docker build")])
def test_each_build_command_builds(command: str, image: str) -> None:
    """As written, but for the tag, and with this machine's certificates."""
    words = shlex.split(command)
    words = [
        word.replace("wsgi", "wsgi-test") if words[index - 1] == "-t" else word for index, word in enumerate(words)
    ]
    if "--secret" in words:
        built = subprocess.run(words, cwd=REPO, capture_output=True, text=True)
    else:
        built = subprocess.run([REPO / "tools/build", *words[2:]], cwd=REPO, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    layers = "--format={{.RootFS.Layers}}"
    assert docker("image", "inspect", layers, "wsgi-test") == docker("image", "inspect", layers, image)
    docker("image", "rm", "wsgi-test")


@pytest.mark.parametrize("command", re.findall(r"docker run .*(?= wsgi`?)", README))
def test_each_run_command_serves(command: str, start: Callable[..., Container], tmp_path: Path) -> None:
    """As written, but for the host's ports, which may be taken."""
    tmp_path.chmod(0o755)
    certificate(tmp_path)
    for written, here in (
        ("-p 80:80", ""),
        ("-p 443:443", ""),
        (":9090:9090", "::9090"),
        ("./src", f"{REPO}/src"),
        ("./tls", str(tmp_path)),
    ):
        command = command.replace(written, here)
    assert start(*shlex.split(command)[2:]).wait().get("/health").json() == {"status": "ok"}


def test_the_metric_of_ones_own_is_the_one_that_is_tested() -> None:
    """tests/admin/test_admin.py looks at what becomes of it."""
    (code,) = re.findall(r"^```python\n(from prometheus_client.*?)^```", README, re.MULTILINE | re.DOTALL)
    routes = (REPO / "tests/apps/metrics/routes.py").read_text().splitlines()
    assert set(code.splitlines()) <= set(routes)


def test_every_line_in_a_block_of_commands_is_one_that_a_test_runs() -> None:
    """A new kind of command needs a test of its own."""
    assert COMMANDS
    for command in COMMANDS:
        assert command.startswith(("docker build ", "docker run ", "make ")), command


def test_each_file_that_is_named_exists() -> None:
    """Paths of the repository, in code marks."""
    named = re.findall(
        r"`((?:src|runtime|profiles|tests|tools|deploy)/[\w./-]*|[\w-]+\.(?:ini|conf|py)|Dockerfile|LICENSE)`", README
    )
    assert len(named) > 10
    for path in named:
        assert path in OPTIONAL or (REPO / path).exists() or (REPO / "src" / path).exists(), path
