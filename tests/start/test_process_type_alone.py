"""A process type of the Procfile in a container of its own: docker run IMAGE run worker."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import APPS, HARDENED, Container, docker, until
from processes import seconds_to_stop

Start = Callable[..., Container]
PROCESSES = f"--volume={APPS}/processes:/app:ro"


def run(start: Start, name: str, *options: str) -> Container:
    """Start a container with a process type alone."""
    return start(PROCESSES, *options, command=("run", name), publish=False)


def users(container: Container) -> list[str]:
    """Return user and command of each process."""
    return [" ".join(line.split()[1:]) for line in docker("top", container.id, "-eo", "pid,uid,comm").splitlines()]


def test_a_process_type_alone_has_secrets_is_healthy_and_finishes_its_job(start: Start, tmp_path: Path) -> None:
    (tmp_path / "SECRET").write_text("hunter2")
    tmp_path.chmod(0o755)
    fast = "--health-interval=1s"
    container = run(start, "worker", f"--volume={tmp_path}:/run/secrets:ro", *HARDENED, fast)
    until(lambda: container.log, "the worker has started")
    expected = {"version": 1, "user": 10001, "folder": "/app", "secret": "hunter2"}
    assert json.loads(container.log) == expected
    health = "--format={{.State.Health.Status}}"
    until(lambda: docker("inspect", health, container.id) == "healthy", "the engine reports it as healthy")
    container.exec("touch", "/tmp/finish")
    assert seconds_to_stop(container) < 8
    assert (container.exit_code(), container.log.splitlines()[-1]) == (0, "the job is done")


@pytest.mark.parametrize("options", [(), ("--init",), ("--user=0",)], ids=["PID 1", "init", "root"])
def test_a_process_type_without_a_handler_for_sigterm_stops_at_once_with_0(
    start: Start, options: tuple[str, ...]
) -> None:
    container = run(start, "simple", *options)
    until(lambda: "10001 sleep" in users(container), "the command runs")
    assert container.exec("healthcheck").startswith("healthy")
    assert seconds_to_stop(container) < 5
    assert container.exit_code() == 0


def test_a_stop_during_startup_is_not_lost(start: Start) -> None:
    container = run(start, "simple")
    until(lambda: {"10001 python3", "10001 sleep"} & set(users(container)), "startup has begun")
    assert seconds_to_stop(container) < 8
    assert container.exit_code() == 0


def test_the_exit_code_is_that_of_the_process(start: Start) -> None:
    assert run(start, "broken").exit_code() == 3


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [("worker", ("--env=PORT=x", "--env=THREADS=0"), "THREADS is '0'"), ("web", (), "web is served by uWSGI")],
)
def test_bad_settings_end_it_with_78(start: Start, name: str, options: tuple[str, ...], problem: str) -> None:
    container = run(start, name, *options)
    assert container.exit_code() == 78
    assert problem in container.log


def test_another_name_is_a_command(start: Start) -> None:
    container = run(start, "pwd")
    assert (container.exit_code(), container.log) == (0, "/app\n")
