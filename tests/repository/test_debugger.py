"""`make dev DEBUGPY=PORT`: a debugger attaches to the app, as an editor does."""

import re
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from conftest import REPO, docker, lay_out, until
from dap import Debugger

pytestmark = pytest.mark.timeout(300)  # the image with debugpy is built

CODE = """def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/stop":
        return [b"old"]
    return [b"old"]
"""
LINE = 4
"""Line of the breakpoint, which only requests of /stop reach."""

DEADLINE = 20


def free_port() -> int:
    """Return a port of this machine that no program listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class App:
    """An app that `make dev` serves."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.port, self.debugpy_port = name, free_port(), free_port()
        shutil.rmtree(folder / "src")
        shutil.copytree(REPO / "src", folder / "src")  # the layers with its packages exist already
        self.source = folder / "src/routes.py"
        self.source.write_text(CODE)
        for file in ("Makefile", "tools"):
            (shutil.copytree if (REPO / file).is_dir() else shutil.copy)(REPO / file, folder / file)
        words = f"dev IMAGE={name} NAME={name} PORT={self.port} DEBUGPY={self.debugpy_port}".split()
        made = subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True)
        assert made.returncode == 0, made.stdout + made.stderr

    def get(self, path: str, timeout: float = 3 * DEADLINE) -> str:
        """Return the answer to a request."""
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=timeout).text

    def answers(self, word: str) -> bool:
        """Return True if the answer is this one. At a breakpoint, the code answers no request."""
        try:
            return self.get("/", timeout=1) == word
        except requests.Timeout:
            return False

    def edit(self, word: str) -> None:
        """Change the answer."""
        self.source.write_text(CODE.replace("old", word))

    def attach(self) -> Debugger:
        """Attach a debugger with the breakpoint, as soon as one can attach."""
        found: list[Debugger] = []

        def attached() -> bool:
            try:
                found.append(Debugger(self.debugpy_port, "/app/routes.py", LINE, DEADLINE))
            except OSError:  # no code listens yet
                return False
            return True

        until(attached, "a debugger attaches", DEADLINE)
        return found[0]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    name = f"wsgi-test-debugger-{uuid.uuid4().hex[:8]}"
    yield App(lay_out(tmp_path_factory.mktemp("debugged"), "wsgi"), name)
    docker("rm", "--force", "--volumes", name, check=False)
    docker("image", "rm", name, f"{name}-debugpy", check=False)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def test_debugpy_is_in_no_other_image_and_its_port_is_on_the_loopback_only(app: App) -> None:
    find = ("find", "/venv", "-name", "debugpy")
    assert docker("run", "--rm", "--entrypoint=", app.name, *find) == ""
    assert docker("exec", app.name, *find) != ""
    assert docker("port", app.name, str(app.debugpy_port)) == f"127.0.0.1:{app.debugpy_port}"


def test_the_app_waits_for_no_debugger(app: App) -> None:
    assert app.get("/") == "old"


def test_a_request_at_a_breakpoint_outlives_an_edit_and_the_new_code_can_be_debugged(
    app: App, pool: ThreadPoolExecutor
) -> None:
    with app.attach() as debugger:
        answer: Future[str] = pool.submit(app.get, "/stop")
        stopped = debugger.event("stopped")
        app.edit("new")
        until(lambda: app.answers("new"), "the new code serves")
        assert not answer.done()
        debugger.request("continue", threadId=stopped["threadId"])
        assert answer.result(DEADLINE) == "old"
    until(
        lambda: "uwsgi-old" not in docker("exec", app.name, "supervisorctl", "status", check=False),
        "the old code has ended",
    )
    with app.attach() as debugger:
        answer = pool.submit(app.get, "/stop")
        stopped = debugger.event("stopped")
        debugger.request("continue", threadId=stopped["threadId"])
        assert answer.result(DEADLINE) == "new"
    assert app.get("/") == "new"


def test_no_timeout_of_the_configuration_ends_a_request_at_a_breakpoint(app: App) -> None:
    rendered = docker("exec", app.name, "cat", "/run/nginx/http.d/app.conf")
    assert min(map(int, re.findall(r"uwsgi_(?:read|send)_timeout +(\d+)s", rendered))) >= 3600
