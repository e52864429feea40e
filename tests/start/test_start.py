"""What happens when the app can't start, and what runs before it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Container, docker, until

pytestmark = pytest.mark.alone

Start = Callable[..., Container]
App = Callable[[str], str]

GOOD = """
def app(environ, start_response):
    start_response('200 OK', [])
    return [open('/tmp/made').read().encode()]
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def app(:\n", "SyntaxError"),
        ("import no_such_package\n", "ModuleNotFoundError"),
        ("raise RuntimeError('no database')\n", "no database"),
        ("import sys\nsys.exit('gone')\n", "gone"),
        ("application = 1\n", "app"),
        ("app = None\n", "callable"),
    ],
    ids=["syntax error", "missing package", "exception", "SystemExit", "no app", "not callable"],
)
def test_an_app_that_does_not_import_ends_the_container_with_22_and_its_traceback(
    start: Start, app: App, code: str, said: str
) -> None:
    """Within 5 seconds, and without trying again."""
    began = time.monotonic()
    container = start(app(code))
    assert container.exit_code() == 22
    assert time.monotonic() - began < 5
    assert said in container.log
    assert container.log.count("spawned: 'uwsgi'") == 1


def test_an_app_that_crashes_while_it_is_imported_ends_the_container(start: Start, app: App) -> None:
    """A segmentation fault in a library, say: not with 0, and not never."""
    container = start(app("import ctypes\nctypes.string_at(0)\n"))
    assert container.exit_code(15) not in (0, 78)


def test_prestart_runs_once_before_anything_serves(start: Start, app: App, tmp_path: Path) -> None:
    """Its output is in the log, and clients wait for nothing half-done."""
    (tmp_path / "prestart.sh").write_text("echo migrating\nsleep 1\necho done >> /tmp/made\n")
    container = start(app(GOOD))
    until(lambda: "migrating" in container.log, "the script runs")
    assert "spawned: 'uwsgi'" not in container.log
    container.wait()
    assert container.get("/").text == "done\n"
    assert {"source": "app", "message": "migrating"}.items() <= container.lines[-1].items() | {
        pair for line in container.lines for pair in line.items()
    }


def test_a_prestart_that_fails_ends_the_container_with_its_code(start: Start, app: App, tmp_path: Path) -> None:
    """And nothing has served."""
    (tmp_path / "prestart.sh").write_text("echo no database >&2\nexit 7\n")
    container = start(app(GOOD))
    assert container.exit_code() == 7
    assert "no database" in container.log
    assert "spawned: 'uwsgi'" not in container.log


def test_a_stop_while_prestart_runs_is_heeded(start: Start, app: App, tmp_path: Path) -> None:
    """With exit code 0, and at once."""
    (tmp_path / "prestart.sh").write_text("echo migrating\nsleep 60\n")
    container = start(app(GOOD))
    until(lambda: "migrating" in container.log, "the script runs")
    began = time.monotonic()
    docker("stop", container.id)
    assert container.exit_code() == 0
    assert time.monotonic() - began < 3


def test_a_stop_right_after_the_start_is_heeded(start: Start) -> None:
    """However early it comes, process 1 has not lost it."""
    for delay in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3):
        container = start(publish=False)
        time.sleep(delay)
        began = time.monotonic()
        docker("stop", container.id)
        assert time.monotonic() - began < 5, delay
