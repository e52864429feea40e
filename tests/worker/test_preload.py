"""PRELOAD: uWSGI loads the app once, and forks its workers from there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import HARDENED, Container, docker, until

Start = Callable[..., Container]
App = Callable[[str], str]

CODE = """
import os, time
import uwsgi
from uwsgidecorators import postfork

IMPORTED_IN = os.getpid()
VERSION = 1
forked_in = []

@postfork
def note_process():
    forked_in.append(os.getpid())

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/die":
        os._exit(1)
    if path == "/sleep":
        time.sleep(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    numbers = VERSION, IMPORTED_IN, os.getpid(), uwsgi.worker_id(), *forked_in
    return [" ".join(map(str, numbers)).encode()]
"""


def answer(container: Container) -> list[int]:
    """Return version, process that imported the app, process of the worker, its number, and processes of the hook."""
    return [int(number) for number in container.get("/").text.split()]


@pytest.fixture
def preloaded(start: Start, app: App) -> Container:
    """Container with two workers that the app was loaded for once."""
    return start(app(CODE), "--env=PRELOAD=on", "--env=PROCESSES=2", *HARDENED).wait()


def workers(container: Container) -> dict[int, int]:
    """Return the processes of both workers, by number."""
    found: dict[int, int] = {}

    def both() -> bool:
        _, imported_in, pid, number, *forked_in = answer(container)
        assert imported_in != pid
        assert forked_in == [pid]
        found[number] = pid
        return len(found) == 2

    until(both, "both workers answer")
    return found


def test_both_workers_serve_an_app_that_was_imported_in_their_master(preloaded: Container) -> None:
    workers(preloaded)
    until(lambda: "loaded the app" in preloaded.log, "the app is loaded")
    assert preloaded.log.count("loaded the app") == 1


def test_a_dead_worker_is_replaced(preloaded: Container) -> None:
    before = workers(preloaded)
    preloaded.get("/die")
    until(lambda: not before.items() <= workers(preloaded).items(), "another process serves")


def test_a_reload_loads_new_code(preloaded: Container, tmp_path: Path) -> None:
    (tmp_path / "routes.py").write_text(CODE.replace("VERSION = 1", "VERSION = 2"))
    docker("kill", "--signal=HUP", preloaded.id)
    until(lambda: answer(preloaded)[0] == 2, "the new code serves")
    (tmp_path / "routes.py").write_text("1 / 0\n")
    docker("kill", "--signal=HUP", preloaded.id)
    until(lambda: "the old code keeps serving" in preloaded.log, "the broken code is refused")
    assert answer(preloaded)[0] == 2


def test_an_app_that_takes_longer_than_15_s_to_import_can_be_reloaded(preloaded: Container, tmp_path: Path) -> None:
    """PID 1 gives up on a uWSGI that has started no worker within 15 s, except for one that is preloading."""
    (tmp_path / "routes.py").write_text(CODE.replace("VERSION = 1", "VERSION = 2\ntime.sleep(17)"))
    docker("kill", "--signal=HUP", preloaded.id)
    until(lambda: answer(preloaded)[0] == 2, "the new code serves", deadline=60)


def test_an_app_that_cannot_be_loaded_ends_the_container_with_22(start: Start, app: App) -> None:
    container = start(app("1 / 0\n"), "--env=PRELOAD=on")
    assert container.exit_code() == 22
    assert "ZeroDivisionError" in container.log


@pytest.mark.parametrize("option", ["--env=PRELOAD=on", "--env=PRELOAD=off"])
def test_an_exception_of_a_postfork_function_is_logged_and_the_worker_serves(
    option: str, start: Start, app: App
) -> None:
    container = start(app(CODE.replace("forked_in.append(os.getpid())", "1 / 0")), option).wait()
    assert container.get("/").status_code == 200
    until(
        lambda: any("ZeroDivisionError" in str(line["message"]) for line in container.lines), "the exception is logged"
    )


def test_overdue_requests_are_ended(start: Start, app: App) -> None:
    container = start(app(CODE), "--env=PRELOAD=on", "--env=PROCESSES=1", "--env=THREADS=2", "--env=REQUEST_TIMEOUT=1")
    container.wait()
    before = answer(container)[2]
    assert container.get("/sleep").status_code == 504
    until(lambda: answer(container)[2] != before, "the worker is replaced")


OPENS = """
import os, select, socket, sqlite3, threading, time
selector = select.epoll()
selector.register(0)
listening = socket.create_server(("127.0.0.1", 0))
connected = socket.create_connection(listening.getsockname())
database = sqlite3.connect("/tmp/app.db")
database.execute("create table if not exists t (x)")
log = open("/tmp/app.log", "a")
threading.Thread(target=time.sleep, args=(9999,), name="poller", daemon=True).start()
"""


def test_what_cannot_be_shared_is_named_if_the_app_is_preloaded(start: Start, app: App) -> None:
    container = start(app(OPENS + CODE), "--env=PRELOAD=on").wait()
    until(lambda: "PRELOAD is on" in container.log, "a warning is logged")
    warning = next(line["message"] for line in container.lines if line["level"] == "warning")
    for opened in "/tmp/app.db", "connection to ('127.0.0.1', ", "socket:", "eventpoll", "thread poller":
        assert opened in warning
    assert "app.log" not in warning
    assert answer(container)[1] != answer(container)[2], "the master has loaded the app"


def test_the_warning_obeys_log_level(start: Start, app: App) -> None:
    container = start(app(OPENS + CODE), "--env=PRELOAD=on", "--env=LOG_LEVEL=error").wait()
    until(lambda: "ready in" in container.log, "uWSGI has logged its start")
    assert "PRELOAD" not in container.log


def test_auto_loads_such_an_app_in_each_worker(start: Start, app: App, tmp_path: Path) -> None:
    container = start(app(OPENS + CODE), "--env=PRELOAD=auto", "--env=PROCESSES=2", *HARDENED).wait()
    until(lambda: "each worker loads the app (PRELOAD=auto)" in container.log, "the reason is logged")
    for _ in range(10):
        _, imported_in, pid, *_ = answer(container)
        assert imported_in == pid
    (tmp_path / "routes.py").write_text(CODE.replace("VERSION = 1", "VERSION = 2"))
    docker("kill", "--signal=HUP", container.id)
    until(lambda: answer(container)[0] == 2, "the new code serves")
    assert answer(container)[1] != answer(container)[2], "this version is preloaded"


def test_auto_preloads_other_apps(start: Start, app: App) -> None:
    container = start(app(CODE), "--env=PRELOAD=auto").wait()
    assert answer(container)[1] != answer(container)[2]
    assert "PRELOAD" not in container.log
