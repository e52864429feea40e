"""Loading new code into a running container."""

from collections.abc import Callable
from pathlib import Path

import pytest

from admin_port import samples, until_counted, until_in_flight
from conftest import REPO, Container, docker, until
from load import load
from processes import FAULTY, kill, seconds_to_stop

pytestmark = pytest.mark.alone

Start = Callable[..., Container]
CODE = (REPO / "tests/apps/faulty/routes.py").read_text()
FAILED_RELOADS = ("wsgi_reloads_total", "result=failure")
KILLED_WORKERS = ("wsgi_worker_kills_total", "reason=deadline")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The routes.py of an app that a test can edit."""
    tmp_path.chmod(0o755)
    (tmp_path / "routes.py").write_text(CODE)
    return tmp_path / "routes.py"


def mount(source: Path) -> str:
    """Return the option of docker run that mounts the folder over /app."""
    return f"--volume={source.parent}:/app:ro"


def replace(source: Path, code: str) -> None:
    """Replace the file in one step, as editors do, so that no process reads half of it."""
    new = source.with_suffix(".new")
    new.write_text(code)
    new.replace(source)


def replace_with_version(source: Path, version: str) -> None:
    """Replace the code with code that answers with this version."""
    replace(source, CODE.replace('"old"', f'"{version}"'))


def answers(container: Container) -> set[str]:
    """Return the distinct answers to 20 requests: each is the version of the code and a process id."""
    return {container.get("/quick").text for _ in range(20)}


def until_version(container: Container, version: str) -> None:
    """Wait until only this version of the code answers."""
    until(lambda: {answer.split()[0] for answer in answers(container)} == {version}, f"only {version} code answers")


def until_second_instance(container: Container, number: int = 2) -> None:
    """Wait until the next uWSGI has been started, which is the one of this number."""
    until(lambda: container.log.count("spawned uWSGI master process") >= number, f"uWSGI number {number} runs")


def reload(container: Container) -> None:
    """Send the signal to reload."""
    docker("kill", "--signal=HUP", container.id)


def test_a_request_that_takes_longer_than_the_grace_period_survives_a_reload(start: Start) -> None:
    container = start(FAULTY, "--env=PROCESSES=2", "--env=GRACE_PERIOD=1").wait()
    with load(container, clients=2, path="/sleep?s=5") as clients:
        until_in_flight(container, 2)
        before = answers(container)
        reload(container)
        until(lambda: not before & answers(container), "only new processes answer")
        clients.until_answered(2)
    assert clients.lost == []


def test_ten_reloads_under_20000_requests_lose_none(start: Start, source: Path) -> None:
    container = start(mount(source)).wait()
    with load(container) as clients:
        for number in range(10):
            clients.until_answered(2000)
            replace_with_version(source, f"new{number}")
            reload(container)
            until_version(container, f"new{number}")
    assert clients.lost == []
    assert clients.answered >= 20_000


def test_if_new_code_fails_to_import_the_old_code_keeps_serving(start: Start, source: Path) -> None:
    container = start(mount(source)).wait()
    with load(container, clients=4) as clients:
        replace(source, "import no_such_package\n")
        reload(container)
        until_counted(container, FAILED_RELOADS, 1)
        until_version(container, "old")
        replace_with_version(source, "new")
        reload(container)
        until_version(container, "new")
    assert "No module named 'no_such_package'" in container.log
    assert clients.lost == []


def kill_worker(container: Container) -> None:
    kill(container, "uWSGI worker")


@pytest.mark.parametrize("fault", [kill_worker, reload])
def test_broken_code_on_disk_never_ends_a_container_that_serves(
    start: Start, source: Path, fault: Callable[[Container], None]
) -> None:
    container = start(mount(source), "--env=PROCESSES=2").wait()
    seen: set[str] = set()
    until(lambda: seen.update(answers(container)) or len(seen) == 2, "both workers have loaded the app")
    replace(source, "import no_such_package\n")
    with load(container, clients=4) as clients:
        fault(container)
        until(lambda: "no_such_package" in container.log, "the code is imported")
        clients.until_answered(1000)
    assert len(clients.lost) <= 4
    until_version(container, "old")
    replace_with_version(source, "new")
    reload(container)
    until_version(container, "new")


def test_a_uwsgi_that_cannot_load_broken_code_starts_again_after_a_correction(start: Start, source: Path) -> None:
    container = start(mount(source), "--env=PROCESSES=2").wait()
    replace(source, "import no_such_package\n")
    kill(container, "uWSGI master")
    until(lambda: "no_such_package" in container.log, "the code is imported")
    replace_with_version(source, "new")
    until(lambda: container.answers("/quick"), "the corrected code answers", 30)
    until_version(container, "new")


def test_a_reload_that_fails_at_the_pids_limit_leaves_the_old_code_serving(start: Start, source: Path) -> None:
    container = start(mount(source), "--env=PROCESSES=2").wait()
    samples(container)  # an answer of the admin program, which starts last
    pids = len(docker("top", container.id, "-eT", "-o", "pid,spid").splitlines()) - 1
    docker("update", f"--pids-limit={pids + 1}", container.id)
    replace_with_version(source, "new")
    reload(container)
    until_counted(container, FAILED_RELOADS, 1, deadline=40)
    until_version(container, "old")
    docker("update", "--pids-limit=-1", container.id)
    reload(container)
    until_version(container, "new")


def test_corrected_code_is_loaded_while_the_previous_code_hangs_during_import(start: Start, source: Path) -> None:
    container = start(mount(source), "--env=PROCESSES=2").wait()
    replace(source, "import time\nprint('hanging', flush=True)\ntime.sleep(3600)\n")
    reload(container)
    until(lambda: "hanging" in container.log, "the new code hangs")
    until_version(container, "old")
    replace_with_version(source, "new")
    reload(container)
    until_version(container, "new")


def test_requests_that_exceed_request_timeout_delay_no_others(start: Start, source: Path) -> None:
    container = start(mount(source), "--env=PROCESSES=2", "--env=REQUEST_TIMEOUT=2").wait()
    with load(container, clients=2, path="/hang"), load(container, clients=4) as clients:
        until_counted(container, KILLED_WORKERS, 4)
    assert clients.lost == []
    assert clients.percentile(1) < 2


def test_overlapping_reloads_end_with_the_newest_code(start: Start, source: Path) -> None:
    container = start(mount(source)).wait()
    with load(container, clients=4) as clients:
        for number, version in enumerate(("first", "second", "third"), 2):
            replace_with_version(source, version)
            reload(container)
            until_second_instance(container, number)
        until_version(container, "third")
    assert clients.lost == []


def at_once(container: Container) -> None:
    """Wait for nothing."""


def until_new_code(container: Container) -> None:
    """Wait for the first answer of the new code."""
    until(lambda: "new" in container.get("/quick").text, "new code answers")


@pytest.mark.parametrize("moment", [at_once, until_second_instance, until_new_code])
def test_a_stop_during_a_reload_takes_less_than_4_seconds(
    start: Start, source: Path, moment: Callable[[Container], None]
) -> None:
    container = start(mount(source)).wait()
    replace_with_version(source, "new")
    reload(container)
    moment(container)
    assert seconds_to_stop(container) < 4
    assert container.exit_code() == 0


def test_supervisorctl_restarts_either_program_without_losing_a_request(start: Start) -> None:
    container = start(FAULTY).wait()
    with load(container, clients=4) as clients:
        for program in ("nginx", "uwsgi"):
            assert f"{program}: started" in container.exec("supervisorctl", "restart", program)
            clients.until_answered(100)
    assert clients.lost == []


def test_only_the_containers_user_can_control_its_programs(container: Container) -> None:
    assert container.exec("stat", "-c", "%a", "/run/supervisor.sock", "/run/uwsgi.sock").split() == ["600", "600"]
