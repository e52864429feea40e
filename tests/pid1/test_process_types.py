"""Process types of the Procfile, in the container of the app."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import fastjsonschema
import pytest

from admin_port import samples, status, until_counted
from conftest import APPS, HARDENED, REPO, Container, docker, until
from processes import seconds_to_stop

Start = Callable[..., Container]
valid = fastjsonschema.compile(json.loads((REPO / "runtime/log.schema.json").read_text()))
RELOADS = ("wsgi_reloads_total", "result=success")
FAILED_RELOADS = ("wsgi_reloads_total", "result=failure")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the app, which a test may edit, beside a folder of secrets."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "secrets").mkdir()
    (folder / "secrets/SECRET").write_text("hunter2\n")
    shutil.copytree(APPS / "processes", folder / "app")
    for path in folder, folder / "app", folder / "secrets":
        path.chmod(0o755)
    return folder / "app"


@pytest.fixture(scope="module")
def container(start: Start, source: Path) -> Container:
    """Container with two workers, and a process type whose command fails."""
    mounts = f"--volume={source}:/app:ro", f"--volume={source.parent}/secrets:/run/secrets:ro"
    container = start(*mounts, "--env=PROCESSES=web=1,worker=2,broken", *HARDENED).wait()
    until(lambda: len(facts(container)) == 2, "two workers run")
    return container


def messages(container: Container, source: str) -> list[str]:
    """Return the messages of the log lines of a source."""
    return [str(line["message"]) for line in container.lines if line["source"] == source]


def facts(container: Container) -> list[dict[str, object]]:
    """Return what the workers have written when they started."""
    return [json.loads(message) for message in messages(container, "worker") if message.startswith("{")]


def states(container: Container) -> dict[str, str]:
    """Return supervisorctl's state of each process, by its name."""
    lines = docker("exec", container.id, "supervisorctl", "status", check=False).splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def process_id(container: Container, name: str = "worker") -> str:
    """Return the process ID of a process in the container; `0` while it is down."""
    return docker("exec", container.id, "supervisorctl", "pid", name, check=False)


def edit(source: Path, code: str) -> None:
    """Replace the app's code in one step."""
    (source / "routes.new").write_text(code)
    (source / "routes.new").replace(source / "routes.py")


def test_a_process_type_has_the_apps_user_folder_and_environment(container: Container) -> None:
    expected = {"version": 1, "user": 10001, "folder": "/app", "secret": "hunter2"}
    assert facts(container) == [expected, expected]
    for line in container.lines:
        valid(line)


def test_process_types_start_after_prestart_sh(container: Container) -> None:
    lines = [line for line in container.lines if line["source"] in ("app", "worker")]
    assert lines[0]["message"] == "migrated"


def test_a_process_type_that_dies_again_and_again_is_a_problem_and_ends_nothing(container: Container) -> None:
    until(lambda: samples(container)["wsgi_program_restarts_total", "program=broken"] >= 2, "it is started again")
    assert status(container)["problems"] == ["broken is backoff"]
    assert samples(container)["wsgi_program_up", "program=broken"] == 0
    assert container.get("/").text == "1"


def test_a_killed_process_is_started_again(container: Container) -> None:
    killed, other = (process_id(container, f"worker:worker.{number}") for number in (1, 2))
    container.exec("sh", "-c", f"kill -9 {killed}")
    until(lambda: process_id(container, "worker:worker.1") not in (killed, "0"), "it is started again")
    assert process_id(container, "worker:worker.2") == other
    until_counted(container, ("wsgi_program_restarts_total", "program=worker"), 1)


def test_the_programs_on_the_status_page_are_the_process_types(container: Container) -> None:
    assert list(status(container)["programs"]) == ["nginx", "uwsgi", "worker", "broken"]
    until(lambda: status(container)["programs"]["worker"] == "running", "the workers run")
    assert samples(container)["wsgi_program_up", "program=worker"] == 1
    assert {"worker:worker.1", "worker:worker.2", "broken"} < set(states(container))


def test_docker_stop_lets_a_job_finish_and_ends_with_0(container: Container) -> None:
    container.exec("touch", "/tmp/finish")
    assert seconds_to_stop(container) < 8
    assert container.exit_code() == 0
    assert messages(container, "worker").count("the job is done") == 2


def test_a_reload_restarts_a_process_type_once_its_job_is_done_and_the_new_code_is_loaded(
    start: Start, source: Path
) -> None:
    code = (source / "routes.py").read_text()
    options = "--env=PROCESSES=web=1,worker", "--env=GRACE_PERIOD=1", "--env=MAX_REQUESTS=20"
    container = start(f"--volume={source}:/app:ro", *options).wait()
    until(lambda: facts(container), "the worker runs")
    first = process_id(container)

    edit(source, "import no_such_package\n")
    docker("kill", "--signal=HUP", container.id)
    until_counted(container, FAILED_RELOADS, 1)
    edit(source, code)
    for _ in range(21):
        container.get("/")
    until_counted(container, RELOADS, 1)  # a recycling
    assert process_id(container) == first
    assert "finishing the job" not in messages(container, "worker")

    edit(source, code.replace("VERSION = 1", "VERSION = 2"))
    docker("kill", "--signal=HUP", container.id)
    until(lambda: container.get("/").text == "2", "the new code serves")
    until(lambda: "finishing the job" in messages(container, "worker"), "the worker gets SIGTERM")
    until(lambda: "stopped: uwsgi-old" in container.log.split("takes over")[-1], "the grace period is over")
    assert process_id(container) == first
    assert status(container)["problems"] == []
    container.exec("touch", "/tmp/finish")
    until(lambda: [fact["version"] for fact in facts(container)] == [1, 2], "the worker runs the new code")
    assert samples(container)["wsgi_program_restarts_total", "program=worker"] == 0

    container.exec("rm", "/tmp/finish")
    assert seconds_to_stop(container) < 8  # the job does not end: it is killed after the grace period
    assert container.exit_code() == 0


def test_in_development_an_edit_restarts_a_process_type(start: Start, source: Path) -> None:
    code = (source / "routes.py").read_text()
    settings = "PROFILE=development", "LOG_FORMAT=json", "PROCESSES=web=1,worker", "GRACE_PERIOD=1"
    container = start(f"--volume={source}:/app:ro", *(f"--env={setting}" for setting in settings)).wait()
    until(lambda: facts(container), "the worker runs")
    edit(source, code.replace("VERSION = ", "VERSION = 1"))
    until(lambda: len(facts(container)) == 2, "the worker has restarted")
    assert [fact["version"] for fact in facts(container)] == [2, 12]
