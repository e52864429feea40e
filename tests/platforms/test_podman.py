"""The commands and the pod of docs/platforms.md, run by podman of root and of another user: `make test-podman`."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import CONTEXT, REPO, docker, until

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("podman"), reason="needs root and podman"),
]

PAGE = (REPO / "docs/platforms.md").read_text()
(BUILD,) = re.findall(r"^podman build .*", PAGE, re.MULTILINE)
RUN = re.findall(r"^podman run .*", PAGE, re.MULTILINE)
(POD,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
HOST = Path(__file__).with_name("podman-host")
USER, NAME = "ada", "app"
CA = Path("/etc/ssl/certs/ca-certificates.crt")
STEP_SECONDS = 60


class Podman:
    """podman in namespaces of its own, where every port is free. Its storage is in `folder`."""

    def __init__(self, folder: Path, rootless: bool) -> None:
        self.folder, self.rootless = folder, rootless
        command = [HOST, folder, USER]
        self.host = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.host.stdout.readline() == "ready\n"
        self.pid = Path(f"/proc/{self.host.pid}/task/{self.host.pid}/children").read_text().strip()

    def close(self) -> None:
        """End all processes, and remove what they wrote."""
        self.host.communicate()
        shutil.rmtree(self.folder)
        for group in sorted(Path("/sys/fs/cgroup").glob("**/libpod_parent/**/"), reverse=True):
            group.rmdir()

    def run(self, command: str, network: str = "--net") -> subprocess.CompletedProcess[str]:
        """Run a shell command there; with `network` empty, in the network of this machine."""
        words = ["nsenter", f"--target={self.pid}", "--mount", "--pid", *network.split(), f"--wd={self.folder}/home"]
        if self.rootless:
            words += ["su", "--login", USER, "--whitelist-environment=PATH", "--command"]
            command = f"export XDG_RUNTIME_DIR=/run/user/$(id -u); {command}"
        else:
            words += ["bash", "-c"]
        return subprocess.run([*words, command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __call__(self, command: str, network: str = "--net") -> str:
        """Run a shell command that succeeds; return its output, without podman's complaints about a lack of systemd."""
        done = self.run(command, network)
        assert done.returncode == 0, f"{command}: {done.stdout}\n{self.log}"
        return "\n".join(line for line in done.stdout.splitlines() if "healthcheck" not in line)

    def load(self, image: str) -> str:
        """Load an image from this machine's Docker; return its name or id."""
        archive = self.folder / "image.tar"
        docker("save", "--output", str(archive), image)
        archive.chmod(0o644)
        return self(f"podman load --input {archive}").split()[-1].removeprefix("sha256:")

    def build(self, *options: str) -> None:
        """Build by the command of the page, in the network of this machine, with its certificates."""
        options += ("--network=host", *([f"--secret=id=ca,src={CA}"] if CA.exists() else []))
        self(BUILD.replace("podman build", " ".join(("podman build", *options))), network="")

    @property
    def log(self) -> str:
        """Log of the container."""
        return self.run(f"podman logs {NAME}").stdout

    def start(self, command: str, *options: str) -> None:
        """Start a container by a command of the page, with its name and further options."""
        self.run(f"podman rm --force --volumes {NAME}")
        self(command.replace("podman run", " ".join(("podman run --detach --name", NAME, *options))))

    def state(self, name: str = NAME) -> str:
        """Return status and exit code of a container."""
        return self(f"podman inspect --format '{{{{.State.Status}}}} {{{{.State.ExitCode}}}}' {name}")

    def get(self, path: str) -> str:
        """Return the body of the response on the published port, empty if there is none."""
        return self.run(f"curl --silent --fail --max-time 5 http://127.0.0.1:8080{path}").stdout

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds; if it does not, show the container's log."""
        try:
            until(condition, what, STEP_SECONDS, pause=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def until_served(self) -> None:
        """Wait until the app answers."""
        self.until(lambda: '"ada"' in self.get("/hello/ada"), "the app answers")


@pytest.fixture(scope="module", params=[False, True], ids=["root", "rootless"])
def podman(request: pytest.FixtureRequest) -> Iterator[Podman]:
    """podman with the image `wsgi`, built by the page's command."""
    folder = Path(tempfile.mkdtemp(prefix="wsgi-podman-", dir="/var/tmp"))
    folder.chmod(0o755)
    podman = Podman(folder, request.param)
    try:
        for name in (*CONTEXT, "src", "examples/bare"):
            copy = shutil.copytree if (REPO / name).is_dir() else shutil.copy
            copy(REPO / name, folder / "home" / name)
        podman.load("debian:trixie-slim")
        podman.build()
        yield podman
    finally:
        podman.close()


def test_the_image_has_a_health_check(podman: Podman) -> None:
    assert "healthcheck" in podman.run("podman image inspect --format '{{.HealthCheck}}' wsgi").stdout


@pytest.mark.parametrize("command", RUN)
def test_each_run_command_serves_is_healthy_reloads_and_stops_with_0(podman: Podman, command: str) -> None:
    if "keep-id" in command and not podman.rootless:
        pytest.skip("podman has keep-id for rootless containers only")
    podman("mkdir -p data")
    podman.start(command)
    podman.until_served()
    podman(f"podman healthcheck run {NAME}")
    assert 'href="/static/style.' in podman.get("/")
    podman(f"podman kill --signal HUP {NAME}")
    podman.until(lambda: podman.get("/hello/ada") and "takes over" in podman.log, "the app is loaded again")
    podman(f"podman stop {NAME}")
    assert podman.state() == "exited 0"


def test_files_that_the_app_writes_to_a_folder_of_the_user_belong_to_the_user(podman: Podman) -> None:
    if not podman.rootless:
        pytest.skip("podman has keep-id for rootless containers only")
    (command,) = [line for line in RUN if "keep-id" in line]
    podman.start(command)
    podman.until_served()
    podman(f"podman exec {NAME} touch /data/file")
    assert podman("stat --format %U data/file") == USER


def test_port_80_without_a_setting_ends_with_78_and_names_port(podman: Podman) -> None:
    podman.start("podman run -p 8080:80 wsgi")
    podman.until(lambda: podman.state() == "exited 78", "the container has exited with 78")
    assert "PORT is 80" in podman.log
    assert "ip_unprivileged_port_start" in podman.log


def test_a_container_of_any_user_of_group_0_serves(podman: Podman) -> None:
    podman.start(RUN[0], "--user 12345:0", "--read-only", "--cap-drop all")
    podman.until_served()


def test_the_pod_serves_and_stops_with_0(podman: Podman) -> None:
    podman.run(f"podman rm --force {NAME}")
    (podman.folder / "home/pod.yaml").write_text(POD)
    podman("podman kube play pod.yaml")
    podman.until_served()
    podman("podman healthcheck run wsgi-app")
    podman("podman pod stop wsgi")
    assert podman.state("wsgi-app") == "exited 0"
    podman("podman kube down pod.yaml")


def test_an_image_that_docker_has_built_serves(podman: Podman, image: str) -> None:
    podman.start(RUN[0].removesuffix("wsgi") + podman.load(image))
    podman.until_served()
    podman(f"podman healthcheck run {NAME}")
    podman(f"podman stop {NAME}")
    assert podman.state() == "exited 0"


def test_an_app_without_packages_can_be_built(podman: Podman) -> None:
    """COPY finds none of the files that may name packages. This is the last test: it replaces the image."""
    podman.build("--build-arg", "SRC=examples/bare")
