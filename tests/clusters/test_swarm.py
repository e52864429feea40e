"""deploy/swarm/ on three real nodes, with examples/books, PostgreSQL and clients that count every request."""

import base64
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters import (
    CLIENTS,
    RECOVERY_SECONDS,
    STEP_SECONDS,
    case,
    clients,
    eventually,
    image,
    report,
    save_images,
    states,
)
from conftest import REPO, certificate, until

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("dockerd"), reason="needs root and dockerd"),
]

SWARM = REPO / "deploy/swarm"
SCRIPT = Path(__file__).parent / "swarm"


class Swarm:
    """Three engines that form a Swarm. Requests go to the proxies of the first two nodes; the last node may be lost."""

    urls = ("https://10.77.0.1", "https://10.77.0.2")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = f"wsgi-{uuid.uuid4().hex[:6]}"
        self.environ = os.environ | {"HUB": self.hub, "IMAGE": image("one")}

    def script(self, action: str) -> None:
        """Run the script `swarm`."""
        subprocess.run([SCRIPT, action, self.folder], env=self.environ, check=True)

    def docker(self, *words: str, node: int = 1, text: str | None = None, check: bool = True) -> str:
        """Run a docker command on a node; return its output."""
        command = ["docker", "--host", f"unix://{self.folder}/node{node}/sock", *words]
        done = subprocess.run(
            command, env=self.environ, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}"
        return done.stdout.strip()

    def join(self) -> None:
        """Make the first engine the manager of a Swarm, the others workers."""
        self.docker("swarm", "init", "--advertise-addr=10.77.0.1", "--listen-addr=10.77.0.1:2377")
        token = self.docker("swarm", "join-token", "--quiet", "worker")
        for node in (2, 3):
            own = f"10.77.0.{node}"
            words = ("--token", token, f"--advertise-addr={own}", f"--listen-addr={own}:2377", "10.77.0.1:2377")
            self.docker("swarm", "join", *words, node=node)

    def deploy(self, file: str, stack: str, **environ: str) -> None:
        """Deploy a file of deploy/swarm/; `environ` are the variables that it names."""
        self.environ |= environ
        self.docker("stack", "deploy", "--resolve-image=never", "--compose-file", str(SWARM / file), stack)

    def migrate(self) -> None:
        """Run prestart.sh once, as a job."""
        job = ("--mode=replicated-job", "--restart-condition=on-failure", "--restart-max-attempts=5", "--network=data")
        job += ("--secret=source=PGPASSWORD-1,target=PGPASSWORD", "--env=DATABASE_URL=postgresql://app@database/app")
        self.docker(
            "service", "create", "--detach", "--no-resolve-image", "--name=migrate", *job, image("one"), "prestart"
        )
        ask = ("service", "ps", "--format={{.CurrentState}}", "migrate")
        eventually(lambda: "Complete" in self.docker(*ask), "the migrations are applied")

    def running(self, service: str = "web_app") -> list[str]:
        """Return the images of a service's running replicas."""
        rows = self.docker(
            "service", "ps", "--filter=desired-state=running", "--format={{.CurrentState}} {{.Image}}", service
        )
        return [row.split()[-1] for row in rows.splitlines() if row.startswith("Running")]

    def until_running(self, count: int, version: str = "") -> None:
        """Wait until exactly `count` replicas run, all of a version."""

        def reached() -> bool:
            running = self.running()
            return len(running) == count and all(version in name for name in running)

        eventually(reached, f"{count} replicas run {version}: {self.docker('service', 'ps', '--no-trunc', 'web_app')}")

    def update(self, *options: str) -> None:
        """Update the app's service."""
        self.docker("service", "update", "--detach", "--no-resolve-image", *options, "web_app")

    def until_update(self, state: str) -> None:
        """Wait until the update of the app has reached a state, for example `completed` or `rollback_completed`."""
        ask = ("service", "inspect", "--format={{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}", "web_app")
        eventually(lambda: self.docker(*ask) == state, f"the update is {state}")

    def replicas_on(self, node: str) -> int:
        """Return the number of the app's replicas that a node runs, or is told to run."""
        listed = self.docker("node", "ps", "--format={{.Name}} {{.CurrentState}}", node)
        return sum("web_app" in row and "Running" in row for row in listed.splitlines())

    def scale(self, count: int) -> None:
        """Change the number of replicas."""
        self.docker("service", "scale", "--detach", f"web_app={count}")
        self.until_running(count)

    def network(self, state: str) -> None:
        """Cut off the last node (`down`), or connect it again (`up`)."""
        subprocess.run(["ip", "-n", self.hub, "link", "set", "node3", state], check=True)

    def tasks(self) -> set[str]:
        """Return the ids of the app's tasks that are to run."""
        return set(self.docker("service", "ps", "--quiet", "--filter=desired-state=running", "web_app").split())

    def scale_database(self, count: int) -> None:
        """Stop or start the database."""
        self.docker("service", "scale", "--detach", f"database_database={count}")

    def database_answers(self) -> bool:
        """Return True if the database accepts connections."""
        container = self.docker("ps", "--quiet", "--filter=name=database_database")
        ready = ("exec", container, "pg_isready", "--quiet", "--host=127.0.0.1")
        return bool(container) and self.docker(*ready, check=False) == ""

    def secrets(self) -> set[str]:
        """Return the hashes of SECRET_KEY in the replicas."""
        return {answer["secret"] for answer in self.answers()}

    def answers(self, count: int = 6) -> list[dict]:
        """Return what the replicas answer at /state."""
        return states(self.hub, self.urls[0], count)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """Swarm with the stacks of docs/swarm.md."""
    folder = tmp_path_factory.mktemp("swarm")
    archives = save_images(folder)
    swarm = Swarm(folder)
    try:
        swarm.script("up")
        loads = [("app", 1), ("haproxy", 1), ("postgres", 1), ("app", 2), ("haproxy", 2), ("app", 3), ("haproxy", 3)]
        for group, node in loads:
            swarm.docker("load", "--quiet", "--input", str(archives[group]), node=node)
        swarm.join()
        swarm.docker("network", "create", "--driver=overlay", "data")
        for name in ("SECRET_KEY-1", "PGPASSWORD-1"):
            swarm.docker("secret", "create", name, "-", text=base64.b64encode(os.urandom(32)).decode())
        certificate(folder)
        pair = (folder / "tls.key").read_text() + (folder / "tls.crt").read_text()
        swarm.docker("secret", "create", "tls.pem-1", "-", text=pair)
        swarm.docker("node", "update", "--label-add=database=true", "node1")
        swarm.deploy("database.yaml", "database")
        eventually(lambda: swarm.running("database_database"), "the database runs")
        swarm.migrate()
        swarm.deploy("stack.yaml", "web")
        swarm.until_running(3)
        eventually(lambda: swarm.answers(1), "the app answers through HAProxy")
        yield swarm
    finally:
        swarm.script("down")


def test_a_rolling_update_loses_no_request(swarm: Swarm) -> None:
    with case(swarm, "rolling update of 3 replicas"):
        swarm.deploy("stack.yaml", "web", IMAGE=image("two"))
        swarm.until_update("completed")
        assert {answer["version"] for answer in swarm.answers()} == {"two"}


@pytest.mark.parametrize("version", ["unhealthy", "broken", "missing"])
def test_an_image_that_does_not_work_is_rolled_back_and_loses_no_request(swarm: Swarm, version: str) -> None:
    """`unhealthy` answers 500, `broken` cannot be imported, `missing` is not in the registry."""
    before = swarm.running()
    with case(swarm, f"rollback of an image that is {version}"):
        # The health check as it is declares a new replica unhealthy after 90 s. (0s would be the image's start period.)
        quick = (
            ("--health-start-period=1s", "--health-interval=1s", "--health-retries=4") if version == "unhealthy" else ()
        )
        swarm.update("--image", image(version), *quick)
        swarm.until_update("rollback_completed")
    assert swarm.running() == before


def test_a_rotated_secret_and_a_changed_setting_reach_every_replica_and_lose_no_request(swarm: Swarm) -> None:
    (before,) = swarm.secrets()
    swarm.docker("secret", "create", "SECRET_KEY-2", "-", text="another")
    url = "postgresql://app@database/app?application_name=app"
    with case(swarm, "secret rotated and setting changed"):
        swarm.deploy("stack.yaml", "web", SECRET_KEY_VERSION="2", DATABASE_URL=url)
        swarm.until_update("completed")
        answers = swarm.answers()
    assert {answer["setting"] for answer in answers} == {url}
    assert {answer["secret"] for answer in answers}.isdisjoint({before})


def test_a_drained_node_loses_no_request(swarm: Swarm) -> None:
    swarm.scale(6)
    assert swarm.replicas_on("node3") >= 1
    with case(swarm, "node drained"):
        swarm.docker("node", "update", "--availability=drain", "node3")
        eventually(lambda: swarm.replicas_on("node3") == 0, "no replica is on the node")
        swarm.until_running(6)
    swarm.docker("node", "update", "--availability=active", "node3")


def test_scaling_loses_no_request(swarm: Swarm) -> None:
    with case(swarm, "scaled to 2, to 6, to 2"):
        for count in (2, 6, 2):
            swarm.scale(count)
    swarm.scale(3)


def test_a_node_that_is_cut_off_loses_at_most_its_requests_in_flight(swarm: Swarm) -> None:
    assert swarm.replicas_on("node3") == 1
    with case(swarm, "node cut off", lost=CLIENTS):
        swarm.network("down")
        eventually(lambda: swarm.replicas_on("node1") + swarm.replicas_on("node2") == 3, "others take its place")
        swarm.until_running(3)
    swarm.network("up")
    state = ("node", "inspect", "--format={{.Status.State}}", "node3")
    eventually(lambda: swarm.docker(*state) == "ready", "the node is back")


def test_a_database_that_is_down_for_20_seconds_fails_requests_in_that_time_only(swarm: Swarm) -> None:
    before = swarm.tasks()
    with clients(swarm.hub, swarm.urls) as load:
        down = time.monotonic()
        swarm.scale_database(0)
        until(lambda: time.monotonic() > down + 20, "20 s are over", 30)
        swarm.scale_database(1)
        until(swarm.database_answers, "the database answers", STEP_SECONDS)
        up = time.monotonic()
        until(lambda: time.monotonic() > up + RECOVERY_SECONDS, "the app has had time to recover")
    report("database down for 20 s", load, up - down)
    assert load.failed != []
    assert [each for each in load.failed if each[1] < down] == []
    assert [each for each in load.failed if each[0] > up + RECOVERY_SECONDS] == []
    assert swarm.tasks() == before
