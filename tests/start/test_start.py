"""Startup: an app that fails to import, prestart.sh, and a stop before anything serves."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Container, until
from processes import seconds_to_stop

pytestmark = pytest.mark.alone

Start = Callable[..., Container]
App = Callable[[str], str]

GOOD = """
print("imported")

def app(environ, start_response):
    start_response('200 OK', [])
    return [open('/tmp/made').read().encode()]
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def app(:\n", "SyntaxError"),
        ("import no_such_package\n", "ModuleNotFoundError"),
        ("raise RuntimeError('no database')\n", "no database"),
        ("import sys\nsys.exit('gone')\n", "gone"),
        ("application = 1\n", "Looked for"),
        ("app = None\n", "not callable"),
    ],
    ids=["syntax error", "missing package", "exception", "SystemExit", "no app", "not callable"],
)
def test_an_app_that_fails_to_import_ends_the_container_with_22_after_one_error(
    start: Start, app: App, code: str, expected: str
) -> None:
    """It takes a second, or 5 on a busy machine. A second try would log a second error."""
    began = time.monotonic()
    container = start(app(code), "--env=PROCESSES=1")
    assert container.exit_code() == 22
    assert time.monotonic() - began < 15
    severe = [line for line in container.lines if line["level"] in ("error", "critical")]
    (error,) = (line for line in severe if line["source"] != "supervisord")
    assert expected in str(error.get("exc_info", error["message"]))


ONE_AT_A_TIME = """
import os, pathlib, time

try:
    pathlib.Path("/tmp/table").touch(exist_ok=False)
except FileExistsError:
    if time.time() - os.stat("/tmp/table").st_mtime < 2:
        raise
while time.time() - os.stat("/tmp/table").st_mtime < 2:
    time.sleep(0.1)

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
"""


def test_a_worker_that_fails_beside_one_that_loads_the_app_does_not_end_the_container(start: Start, app: App) -> None:
    """As when both create the tables of a new database: the second finds them when it tries again."""
    container = start(app(ONE_AT_A_TIME), "--env=PROCESSES=2").wait()
    until(lambda: container.log.count("ready in") == 2, "both workers serve")
    assert container.get("/").text == "served"
    assert "FileExistsError" in container.log


def test_an_app_that_crashes_the_interpreter_while_it_is_imported_ends_the_container(start: Start, app: App) -> None:
    container = start(app("import ctypes\nctypes.string_at(0)\n"))
    assert container.exit_code(15) not in (0, 78)


def test_prestart_runs_once_before_the_app_is_imported(start: Start, app: App, tmp_path: Path) -> None:
    (tmp_path / "prestart.sh").write_text("echo migrating\nsleep 1\necho done >> /tmp/made\n")
    container = start(app(GOOD))
    assert container.wait().get("/").text == "done\n"
    of_app = [line["message"] for line in container.lines if line["source"] == "app"]
    assert of_app[:2] == ["migrating", "imported"]
    assert of_app.count("migrating") == 1


def test_a_prestart_that_fails_ends_the_container_with_its_exit_code(start: Start, app: App, tmp_path: Path) -> None:
    (tmp_path / "prestart.sh").write_text("echo no database >&2\nexit 7\n")
    container = start(app(GOOD))
    assert container.exit_code() == 7
    assert "no database" in container.log
    assert "imported" not in container.log


def test_a_stop_while_prestart_runs_ends_the_container_with_0_within_3_seconds(
    start: Start, app: App, tmp_path: Path
) -> None:
    (tmp_path / "prestart.sh").write_text("echo migrating\nsleep 60\n")
    container = start(app(GOOD))
    until(lambda: "migrating" in container.log, "prestart.sh runs")
    assert seconds_to_stop(container) < 3
    assert container.exit_code() == 0


@pytest.mark.parametrize(
    "reached",
    [
        pytest.param(lambda container: True, id="at once"),
        pytest.param(lambda container: container.log, id="first line of the log"),
        pytest.param(lambda container: '"nginx"' in container.log, id="first line of Nginx"),
    ],
)
def test_a_stop_during_startup_takes_less_than_5_seconds(start: Start, reached: Callable[[Container], object]) -> None:
    for _ in range(3):
        container = start(publish=False)
        until(lambda container=container: reached(container), "startup has come so far")
        assert seconds_to_stop(container) < 5
