"""Fixtures and helpers of all tests: images, containers, waiting for a condition, the report of a failure."""

import datetime
import inspect
import json
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, sync_playwright

REPO = Path(__file__).parent.parent
DEADLINE = int(os.environ.get("WSGI_TEST_DEADLINE", "20"))
"""Seconds that `until` waits by default."""

APPS = Path(__file__).parent / "apps"
"""Apps: each folder takes the place of `src/`."""

CONTEXT = (
    "Dockerfile",
    ".dockerignore",
    *(
        line.removeprefix("!")
        for line in (REPO / ".dockerignore").read_text().splitlines()
        if line[0] == "!" and line not in ("!src", "!examples")
    ),
)
"""Files and folders that an image is built from, besides the app."""

FAKETIME = str(next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")))
"""Library that gives a program another time of day."""

SESSION_LABEL = f"wsgi.test-session={os.environ.setdefault('WSGI_TEST_SESSION', uuid.uuid4().hex)}"
"""Label of the images that this test run builds. The processes of pytest-xdist inherit the variable."""

os.environ.setdefault("PACKAGES_DATE", f"{datetime.date.today()}")  # also after midnight

HARDENED = ("--read-only", "--tmpfs=/tmp", "--tmpfs=/run", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def docker(*words: str, check: bool = True) -> str:
    """Run a docker command; return its output, standard error included."""
    done = subprocess.run(["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}"
    return done.stdout.strip()


def containers_in(condition: object) -> list["Container"]:
    """Return the containers that a condition uses: as its object, in its closure, or in functions of its closure."""
    if isinstance(condition, Container):
        return [condition]
    used = [getattr(condition, "__self__", None)]
    if inspect.isfunction(condition):
        used += [value for value in inspect.getclosurevars(condition).nonlocals.values() if value is not condition]
    return [container for value in used if value is not None for container in containers_in(value)]


def until(condition: Callable[[], object], what: str, deadline: float = DEADLINE, pause: float = 0.02) -> None:
    """Wait until `condition` holds, and ask every `pause` seconds.

    Fail after `deadline` seconds, or once all containers in it have exited.
    """
    containers = containers_in(condition)
    now = time.monotonic()
    end, next_look = now + deadline, now + 1
    while not condition():
        now = time.monotonic()
        assert now < end, f"not true after {deadline} s: {what}"
        if containers and now > next_look:
            if not any(container.running for container in containers):
                # The condition may have become true just before the exit.
                assert condition(), f"the container has exited, and this is not true: {what}"
                return
            next_look = now + 1
        time.sleep(pause)


def build(context: Path = REPO) -> str:
    """Build the image of a tree with the files of this repository; return its id."""
    command = [REPO / "tools/build", "--quiet", "--label", SESSION_LABEL, context]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def build_error(context: Path) -> str:
    """Return the output of a build that fails."""
    command = [REPO / "tools/build", "--progress=plain", "--label", SESSION_LABEL, context]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0, "the build did not fail"
    return "\n".join(re.findall(r"^#\d+ \d+\.\d+ (.*)", done.stderr, re.MULTILINE))


def lay_out(tree: Path, app: str, **files: str) -> Path:
    """Copy the files of an image into `tree`, with one of the apps as src/; `files` are added to it."""
    for name in CONTEXT:
        copy = shutil.copytree if (REPO / name).is_dir() else shutil.copy
        copy(REPO / name, tree / name)
    shutil.copytree(APPS / app, tree / "src")
    for name, text in files.items():
        (tree / "src" / name).write_text(text)
    return tree


def certificate(folder: Path, past: bool = False) -> None:
    """Replace tls.crt and tls.key by a new self-signed pair that any user may read; with `past` it has expired."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", folder / "new.key", "-out", folder / "new.crt"]
    clock = {"LD_PRELOAD": FAKETIME, "FAKETIME": "2020-01-01 00:00:00"} if past else {}
    subprocess.run(["openssl", "req", "-x509", *made, *subject, *files], env=os.environ | clock, check=True)
    for kind in ("key", "crt"):
        (folder / f"new.{kind}").chmod(0o644)
        (folder / f"new.{kind}").replace(folder / f"tls.{kind}")


class Container:
    """Container of an image, with its public port published on 127.0.0.1."""

    def __init__(self, image: str, options: tuple[str, ...], command: tuple[str, ...], publish: bool) -> None:
        self.image = image
        self.test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        published = ("--publish=127.0.0.1::80",) if publish else ()
        self.id = docker("run", "--detach", *published, *options, image, *command)

    @property
    def running(self) -> bool:
        """True while PID 1 runs."""
        return docker("inspect", "--format={{.State.Running}}", self.id) == "true"

    @property
    def address(self) -> str:
        """Host and port of its public port on this machine."""
        ports = docker("port", self.id, "80", check=False)
        if ports.startswith("Error"):
            state = docker("inspect", "--format={{.State.Status}}, exit code {{.State.ExitCode}}", self.id, check=False)
            raise AssertionError(f"port 80 is not published: {state}")
        return ports.splitlines()[0]

    @property
    def log(self) -> str:
        """All complete lines that it has written so far: the engine returns a part of a long line."""
        done = subprocess.run(["docker", "logs", self.id], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout[: done.stdout.rfind("\n") + 1]

    @property
    def lines(self) -> list[dict[str, object]]:
        """Parsed lines of its log."""
        return [json.loads(line) for line in self.log.splitlines()]

    def url(self, path: str) -> str:
        """Return the URL of `path`."""
        return f"http://{self.address}{path}"

    def get(self, path: str, **options: object) -> requests.Response:
        """Return the response to a GET of `path`."""
        return requests.get(self.url(path), timeout=DEADLINE, **options)

    def answers(self, path: str = "/health") -> bool:
        """Return True if `path` is answered with a status below 500. Fail if the container has exited."""
        assert self.running, f"the container has exited with code {self.exit_code()}"
        try:
            return requests.get(self.url(path), timeout=2).status_code < 500
        except (requests.ConnectionError, requests.Timeout):
            return False

    def wait(self) -> "Container":
        """Wait until it answers, and return it."""
        until(self.answers, "it answers")
        return self

    def exit_code(self, deadline: float = DEADLINE) -> int:
        """Wait for its exit, and return its exit code."""
        until(lambda: not self.running, "it exits", deadline)
        return int(docker("inspect", "--format={{.State.ExitCode}}", self.id))

    def exec(self, *command: str) -> str:
        """Run a command in it; return the output."""
        return docker("exec", self.id, *command)

    def evidence(self) -> str:
        """Return its log and its rendered configuration, which is lost at the exit if /run is a tmpfs."""
        log = docker("logs", "--tail=200", self.id, check=False)
        if docker("inspect", "--format={{.State.Running}}", self.id, check=False) == "true":
            show = "tail -n +1 $(find /run -name '*.conf' -o -name '*_params' -o -name '*.ini')"
            return f"{log}\n\n{docker('exec', self.id, 'sh', '-c', show, check=False)}"
        copy = f"docker cp {self.id}:/run - | tar --extract --to-stdout --wildcards '*.conf' '*_params' '*.ini'"
        return f"{log}\n\n{subprocess.run(copy, shell=True, capture_output=True, text=True).stdout}"


@pytest.fixture(scope="session")
def image() -> str:
    """Image of this repository."""
    return build()


@pytest.fixture(scope="module")
def start(image: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Container]]:
    """Start a container that runs until the module's tests end: start(OPTION OF docker run..., command=, image=)."""
    containers: list[Container] = []
    request.node.containers = containers

    def start(*options: str, command: tuple[str, ...] = (), image: str = image, publish: bool = True) -> Container:
        containers.append(Container(image, options, command, publish))
        return containers[-1]

    yield start
    if containers:
        docker("rm", "--force", "--volumes", *(container.id for container in containers))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Copy the files of an image, with another app as src/: context(APP, FILE OF THE APP = its text...)."""
    return lambda app, **files: lay_out(tmp_path_factory.mktemp(app), app, **files)


@pytest.fixture(scope="session")
def metrics_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Image of the app that uses prometheus_client."""
    return build(lay_out(tmp_path_factory.mktemp("metrics"), "metrics"))


@pytest.fixture(scope="module")
def container(start: Callable[..., Container]) -> Container:
    """Container as `docker run -p 80:80 wsgi` starts it, for tests that change nothing in it."""
    return start().wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, without the requests that it sends to other hosts by itself."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


@pytest.fixture
def app(tmp_path: Path) -> Callable[[str], str]:
    """Write a routes.py; return the option of docker run that mounts it over /app, read-only."""

    def app(code: str) -> str:
        (tmp_path / "routes.py").write_text(code)
        tmp_path.chmod(0o755)
        return f"--volume={tmp_path}:/app:ro"

    return app


def network(worker: str) -> str:
    """Return the name of the network in which a process of pytest-xdist runs its projects of Docker Compose."""
    return f"wsgi-test-{os.environ['WSGI_TEST_SESSION'][:12]}-{worker}"


def pytest_configure(config: pytest.Config) -> None:
    """Create the networks before any test: while one is created, Chromium cancels its requests (ERR_NETWORK_CHANGED).

    The container in it keeps the addresses of its bridge.
    """
    if not hasattr(config, "workerinput"):
        config.networks = [network(f"gw{number}") for number in range(config.getoption("numprocesses", None) or 1)]
        for name in config.networks:
            docker("network", "create", name)
            docker(
                "run",
                "--detach",
                "--rm",
                "--name",
                name,
                "--network",
                name,
                "--init",
                "debian:trixie-slim",
                "sleep",
                "infinity",
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add log and rendered configuration of a failed test's containers to its report.

    These are the containers that its fixtures returned and that it started, otherwise the last one of its module.
    """
    report = yield
    started = getattr(item.getparent(pytest.Module), "containers", [])
    if report.failed:
        own = [one for one in started if one in item.funcargs.values() or one.test == item.nodeid]
        for container in own or started[-1:]:
            report.sections.append((f"container {container.id[:12]} of {container.test}", container.evidence()))
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the networks and the untagged images of this test run."""
    if not hasattr(session.config, "workerinput"):
        for name in session.config.networks:
            docker("rm", "--force", name)
            docker("network", "rm", name)
        docker("image", "prune", "--force", f"--filter=label={SESSION_LABEL}", check=False)
