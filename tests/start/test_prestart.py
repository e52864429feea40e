"""prestart.sh: how it is run, when it is not run, and what it may create."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import HARDENED, Container, docker

Start = Callable[..., Container]
App = Callable[[str], str]

CODE = """
def app(environ, start_response):
    start_response('200 OK', [])
    return [open('/tmp/made').read().encode()]
"""


@pytest.fixture
def run(app: App, tmp_path: Path, image: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command prestart with a prestart.sh: run(SCRIPT, OPTION OF docker run...)."""

    def run(script: str | None, *options: str) -> subprocess.CompletedProcess[str]:
        if script is not None:
            (tmp_path / "prestart.sh").write_text(script)
        command = ["docker", "run", "--rm", app(CODE), *HARDENED, *options, image, "prestart"]
        return subprocess.run(command, capture_output=True, text=True)

    return run


@pytest.mark.parametrize(
    ("first_line", "interpreter"),
    [
        ("#!/bin/bash", "bash"),
        ("#! /usr/bin/env bash", "bash"),
        ("#!/usr/bin/env -S bash -e -u", "bash"),
        ("#!/bin/sh", "dash"),
        ("#!/bin/bash\r", "bash"),
        ("# no interpreter", "dash"),
        ("#!", "dash"),
    ],
)
def test_the_first_line_chooses_the_interpreter(
    first_line: str, interpreter: str, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The script is not executable."""
    done = run(f"{first_line}\nreadlink /proc/$$/exe\n")
    assert (done.returncode, Path(done.stdout.strip()).name) == (0, interpreter), done.stderr


def test_prestart_may_be_a_python_script(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    script = "import os, sys\nprint(sys.prefix, os.getcwd(), os.environ['DATABASE_URL'])\nsys.exit(5)\n"
    done = run(f"#!/usr/bin/env python3\n{script}", "--env=DATABASE_URL=x")
    assert (done.stdout.split(), done.returncode) == (["/venv", "/app", "x"], 5)


def test_the_command_prestart_returns_the_exit_code_of_the_script(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run("echo migrated; exit 7\n", "--env=PRESTART=off")
    assert (done.stdout, done.returncode) == ("migrated\n", 7)


def test_the_command_prestart_without_a_script_is_an_error(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run(None)
    assert done.returncode == 1
    assert done.stderr == "prestart: /app/prestart.sh: No such file or directory\n"


def test_a_missing_interpreter_is_named(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run("#!/usr/bin/no-such-shell\n")
    assert done.returncode == 127
    assert "/usr/bin/no-such-shell" in done.stderr


def test_prestart_off_skips_the_script(start: Start, app: App, tmp_path: Path) -> None:
    (tmp_path / "prestart.sh").write_text("touch /tmp/prestart\nexit 1\n")
    container = start(app(CODE.replace("/tmp/made", "/app/routes.py")), "--env=PRESTART=off").wait()
    assert docker("exec", container.id, "ls", "/tmp/prestart", check=False).startswith("ls: cannot access")


def test_prestart_may_create_the_static_files(start: Start, app: App, tmp_path: Path) -> None:
    (tmp_path / "prestart.sh").write_text(
        "#!/bin/bash -e\nmkdir /tmp/static\necho page > /tmp/static/index.html\necho x >> /tmp/made\n"
    )
    options = ("--env=STATIC_PATH=/tmp/static", "--env=STATIC_INDEX=true", *HARDENED)
    container = start(app(CODE), *options).wait()
    assert container.get("/static/index.html").text == "page\n"
    assert container.get("/").text == "page\n"
    assert container.get("/made").text == "x\n"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--env=STATIC_PATH=/tmp/static",), "STATIC_PATH is '/tmp/static': there is no such folder"),
        (("--env=STATIC_INDEX=on",), "STATIC_INDEX is on: there is no index.html in /app/static"),
    ],
)
@pytest.mark.parametrize("script", ["true\n", None], ids=["after prestart.sh", "without prestart.sh"])
def test_missing_static_files_end_the_container(
    script: str | None, options: tuple[str, ...], problem: str, start: Start, app: App, tmp_path: Path
) -> None:
    if script:
        (tmp_path / "prestart.sh").write_text(script)
    container = start(app(CODE), *options)
    assert container.exit_code() == 78
    assert problem in container.log
    assert "spawned: 'uwsgi'" not in container.log
