"""What happens when new code is loaded into a running container."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import REPO, Container, docker, until
from load import load
from processes import FAULTY, kill

pytestmark = pytest.mark.alone

Start = Callable[..., Container]
CODE = (REPO / "tests/apps/faulty/routes.py").read_text()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A routes.py that a test can edit."""
    tmp_path.chmod(0o755)
    (tmp_path / "routes.py").write_text(CODE)
    return tmp_path / "routes.py"


def change(source: Path, code: str) -> None:
    """Replaces it at once, as an editor does: nobody reads half of it."""
    new = source.with_suffix(".new")
    new.write_text(code)
    new.replace(source)


def version(container: Container) -> set[str]:
    """Which versions of the code answer."""
    return {container.get("/quick").text.split()[0] for _ in range(20)}


def version_and_process(container: Container) -> set[str]:
    """Return which processes answer."""
    return {container.get("/quick").text for _ in range(20)}


def reload(container: Container) -> None:
    """Tells it to load the code anew."""
    docker("kill", "--signal=HUP", container.id)


def test_a_request_that_takes_longer_than_a_stop_would_allow_survives_a_reload(start: Start) -> None:
    """It may take REQUEST_TIMEOUT, as ever."""
    container = start(FAULTY, "--env=WEB_CONCURRENCY=2", "--env=GRACE_PERIOD=1").wait()
    with load(container, clients=2, path="/sleep?s=5") as clients:
        time.sleep(1)
        before = version_and_process(container)
        reload(container)
        until(lambda: not before & version_and_process(container), "only new processes answer")
        time.sleep(3)
    assert clients.lost == []


def test_a_reload_under_load_loses_no_request(start: Start, source: Path) -> None:
    """Among at least 20,000, with ten reloads; and the new code answers."""
    container = start(f"--volume={source.parent}:/app:ro").wait()
    with load(container) as clients:
        for number in range(10):
            change(source, CODE.replace('"old"', f'"new{number}"'))
            reload(container)
            until(lambda number=number: version(container) == {f"new{number}"}, f"version {number} answers")
        time.sleep(3)
    assert clients.lost == []
    assert clients.answered > 20_000


def test_code_that_does_not_import_leaves_the_old_code_serving(start: Start, source: Path) -> None:
    """No request is lost, the error is logged, and a later reload of good code works."""
    container = start(f"--volume={source.parent}:/app:ro").wait()
    with load(container, clients=4) as clients:
        change(source, "import no_such_package\n")
        reload(container)
        until(lambda: "the old code keeps serving" in container.log, "the error is logged")
        assert "no_such_package" in container.log
        assert version(container) == {"old"}
        change(source, CODE.replace('"old"', '"new"'))
        reload(container)
        until(lambda: version(container) == {"new"}, "the new code answers")
    assert clients.lost == []


def kill_worker(container: Container) -> None:
    kill(container, "uWSGI worker")


def kill_master(container: Container) -> None:
    kill(container, "uWSGI master")


def kill_nothing(container: Container) -> None:
    """The container is only told to reload."""
    reload(container)


@pytest.mark.parametrize("fault", [kill_worker, kill_nothing])
def test_broken_code_on_disk_never_ends_a_container_that_serves(
    start: Start, source: Path, fault: Callable[[Container], None]
) -> None:
    container = start(f"--volume={source.parent}:/app:ro", "--env=PROCESSES=2").wait()
    seen: set[str] = set()
    until(lambda: seen.update(version_and_process(container)) or len(seen) == 2, "both workers have loaded the app")
    change(source, "import no_such_package\n")
    with load(container, clients=4) as clients:
        fault(container)
        until(lambda: "no_such_package" in container.log, "the code is tried")
        time.sleep(2)
    assert container.running
    assert len(clients.lost) <= 4
    assert version(container) == {"old"}
    change(source, CODE.replace('"old"', '"new"'))
    reload(container)
    until(lambda: version(container) == {"new"}, "the corrected code answers")


def test_uwsgi_whose_code_is_broken_starts_again_once_it_is_corrected(start: Start, source: Path) -> None:
    container = start(f"--volume={source.parent}:/app:ro", "--env=PROCESSES=2").wait()
    change(source, "import no_such_package\n")
    kill_master(container)
    until(lambda: "no_such_package" in container.log, "the code is tried")
    change(source, CODE.replace('"old"', '"new"'))
    until(lambda: container.answers("/quick") and version(container) == {"new"}, "the corrected code answers", 30)


def test_a_reload_at_the_pids_limit_leaves_the_old_code_serving(start: Start, source: Path) -> None:
    container = start(f"--volume={source.parent}:/app:ro", "--env=PROCESSES=2").wait()
    pids = len(docker("top", container.id, "-eT", "-o", "pid,spid").splitlines()) - 1
    docker("update", f"--pids-limit={pids + 1}", container.id)
    reload(container)
    until(lambda: "the old code keeps serving" in container.log, "the reload fails", 40)
    assert container.running
    docker("update", "--pids-limit=-1", container.id)
    change(source, CODE.replace('"old"', '"new"'))
    reload(container)
    until(lambda: version(container) == {"new"}, "a later reload works")


def test_a_correction_is_loaded_while_the_code_before_it_hangs(start: Start, source: Path) -> None:
    container = start(f"--volume={source.parent}:/app:ro", "--env=PROCESSES=2").wait()
    change(source, "import time\nprint('hanging', flush=True)\ntime.sleep(3600)\n")
    reload(container)
    until(lambda: "hanging" in container.log, "the new code hangs")
    assert version(container) == {"old"}
    change(source, CODE.replace('"old"', '"new"'))
    reload(container)
    until(lambda: version(container) == {"new"}, "the corrected code answers")


def test_overdue_requests_hold_up_no_other(start: Start, source: Path) -> None:
    container = start(f"--volume={source.parent}:/app:ro", "--env=PROCESSES=2", "--env=REQUEST_TIMEOUT=2").wait()
    with load(container, clients=2, path="/hang"), load(container, clients=4) as clients:
        time.sleep(12)
    assert clients.lost == []
    assert clients.percentile(1) < 2


def test_reloads_at_once_end_with_the_newest_code(start: Start, source: Path) -> None:
    """The second one comes while the first still replaces workers."""
    container = start(f"--volume={source.parent}:/app:ro").wait()
    with load(container, clients=4) as clients:
        for word in ("first", "second", "third"):
            change(source, CODE.replace('"old"', f'"{word}"'))
            reload(container)
            time.sleep(0.15)
        until(lambda: version(container) == {"third"}, "the newest code answers")
    assert clients.lost == []


def test_a_stop_during_a_reload_is_as_quick_as_any(start: Start, source: Path) -> None:
    """Half the workers are on their way out already."""
    container = start(f"--volume={source.parent}:/app:ro").wait()
    for delay in (0.1, 0.3, 0.5):
        reload(container)
        time.sleep(delay)
        began = time.monotonic()
        docker("stop", "--time=20", container.id)
        assert time.monotonic() - began < 4
        assert container.exit_code() == 0
        docker("start", container.id)
        container.wait()


def test_a_program_can_be_restarted_by_hand(start: Start, source: Path) -> None:
    """docker exec CONTAINER supervisorctl restart nginx, and nobody but the container's user may."""
    container = start(f"--volume={source.parent}:/app:ro").wait()
    with load(container, clients=4) as clients:
        assert "nginx: started" in container.exec("supervisorctl", "restart", "nginx")
        assert "uwsgi: started" in container.exec("supervisorctl", "restart", "uwsgi")
        until(container.answers, "it answers")
    assert clients.lost == []
    assert container.exec("stat", "-c", "%a", "/run/supervisor.sock", "/run/uwsgi.sock").split() == ["600", "600"]
