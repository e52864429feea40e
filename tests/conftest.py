"""What the tests stand on: the real image, and containers of it that show what happened when a test fails."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, sync_playwright

REPO = Path(__file__).parent.parent
DEADLINE = 20
"""Seconds that anything may take to come true."""

APPS = Path(__file__).parent / "apps"
"""Each folder plays `src/`."""

CONTEXT = (
    "Dockerfile",
    ".dockerignore",
    *(
        line.removeprefix("!")
        for line in (REPO / ".dockerignore").read_text().splitlines()
        if line[0] == "!" and line != "!src"
    ),
)
"""What an image is built from, besides the app."""

FAKETIME = str(next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")))
"""Gives a program another time."""

HARDENED = ("--read-only", "--tmpfs=/tmp", "--tmpfs=/run", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def docker(*words: str, check: bool = True) -> str:
    """Runs a docker command; returns what it printed on both streams."""
    done = subprocess.run(["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}"
    return done.stdout.strip()


def until(condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    """Waits until `condition` holds; fails after `deadline` seconds, saying `what` didn't come true."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"within {deadline} s: {what}"
        time.sleep(0.02)


def build(context: Path = REPO) -> str:
    """Builds the image of a tree that is laid out as this one is; returns its id."""
    done = subprocess.run([REPO / "tools/build", "--quiet", context], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def lay_out(tree: Path, app: str, **files: str) -> Path:
    """Copies what an image is built from into `tree`, with one of the apps as its src/, and files changed in that."""
    for name in CONTEXT:
        copy = shutil.copytree if (REPO / name).is_dir() else shutil.copy
        copy(REPO / name, tree / name)
    shutil.copytree(APPS / app, tree / "src")
    for name, text in files.items():
        (tree / "src" / name).write_text(text)
    return tree


def certificate(folder: Path, past: bool = False) -> None:
    """Makes a self-signed one, with its key, that the container's user may read."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", folder / "new.key", "-out", folder / "new.crt"]
    clock = {"LD_PRELOAD": FAKETIME, "FAKETIME": "2020-01-01 00:00:00"} if past else {}
    subprocess.run(["openssl", "req", "-x509", *made, *subject, *files], env=os.environ | clock, check=True)
    for kind in ("key", "crt"):
        (folder / f"new.{kind}").chmod(0o644)
        (folder / f"new.{kind}").replace(folder / f"tls.{kind}")


class Container:
    """A running container of the image, with its public port published on the loopback."""

    def __init__(self, image: str, options: tuple[str, ...], command: tuple[str, ...], publish: bool) -> None:
        self.image = image
        published = ("--publish=127.0.0.1::80",) if publish else ()
        self.id = docker("run", "--detach", *published, *options, image, *command)

    @property
    def running(self) -> bool:
        """Whether process 1 lives."""
        return docker("inspect", "--format={{.State.Running}}", self.id) == "true"

    @property
    def address(self) -> str:
        """Host and port to reach it at."""
        return docker("port", self.id, "80").splitlines()[0]

    @property
    def log(self) -> str:
        """All lines that it has written so far; of a long one the engine may have a part."""
        done = subprocess.run(["docker", "logs", self.id], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout[: done.stdout.rfind("\n") + 1]

    @property
    def lines(self) -> list[dict[str, object]]:
        """Its log, parsed."""
        return [json.loads(line) for line in self.log.splitlines()]

    def url(self, path: str) -> str:
        """The address of `path` on it."""
        return f"http://{self.address}{path}"

    def get(self, path: str, **options: object) -> requests.Response:
        """GETs `path`."""
        return requests.get(self.url(path), timeout=DEADLINE, **options)

    def answers(self, path: str = "/health") -> bool:
        """Whether it answers at all; fails at once if it has died."""
        assert self.running, f"it ended with exit code {self.exit_code()}"
        try:
            return requests.get(self.url(path), timeout=2).status_code < 500
        except (requests.ConnectionError, requests.Timeout):
            return False

    def wait(self) -> "Container":
        """Waits until it answers."""
        until(self.answers, "it answers")
        return self

    def exit_code(self, deadline: float = DEADLINE) -> int:
        """Waits for its end, and returns its code."""
        until(lambda: not self.running, "it ends", deadline)
        return int(docker("inspect", "--format={{.State.ExitCode}}", self.id))

    def exec(self, *command: str) -> str:
        """Runs a command in it; returns what that printed."""
        return docker("exec", self.id, *command)

    def evidence(self) -> str:
        """Its log, and the nginx.conf that it rendered."""
        look = (
            ("exec", self.id, "cat", "/run/nginx.conf") if self.running else ("cp", f"{self.id}:/run/nginx.conf", "-")
        )
        return f"{docker('logs', '--tail=200', self.id, check=False)}\n\n{docker(*look, check=False)}"


@pytest.fixture(scope="session")
def image() -> str:
    """The image of this tree. The tag keeps it when a test removes another one of the same image."""
    image = build()
    docker("tag", image, "wsgi:test")
    return image


@pytest.fixture(scope="module")
def start(image: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Container]]:
    """Starts containers that live as long as the module's tests: start(OPTION OF docker run..., command=, image=)."""
    containers: list[Container] = []
    request.node.containers = containers

    def start(*options: str, command: tuple[str, ...] = (), image: str = image, publish: bool = True) -> Container:
        containers.append(Container(image, options, command, publish))
        return containers[-1]

    yield start
    for container in containers:
        docker("rm", "--force", "--volumes", container.id)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Lays out trees like this repository's around other apps: context(APP, FILE OF src/ = its text...)."""
    return lambda app, **files: lay_out(tmp_path_factory.mktemp(app), app, **files)


@pytest.fixture(scope="module")
def container(start: Callable[..., Container]) -> Container:
    """A container as `docker run -p 80:80 wsgi` makes it, for the tests that leave it as it is."""
    return start().wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, which goes nowhere but to the container."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


@pytest.fixture
def app(tmp_path: Path) -> Callable[[str], str]:
    """Writes a routes.py; returns the option of docker run that mounts it over /app, read-only."""

    def app(code: str) -> str:
        (tmp_path / "routes.py").write_text(code)
        tmp_path.chmod(0o755)
        return f"--volume={tmp_path}:/app:ro"

    return app


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Shows the last container's log and rendered nginx.conf below a failure."""
    report = yield
    containers = getattr(item.getparent(pytest.Module), "containers", [])
    if report.failed and containers:
        report.sections.append(("the container", containers[-1].evidence()))
    return report
