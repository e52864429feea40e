"""deploy/kubernetes/ on three real nodes, with examples/books, PostgreSQL and clients that count every request.

It needs the folder that kubernetes-build has filled, in the variable KUBERNETES_BUILD: `make test-kubernetes`.
"""

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

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
from conftest import REPO, until

PROGRAMS = Path(os.environ["KUBERNETES_BUILD"])
pytestmark = pytest.mark.timeout(900)

FOLDER = Path(__file__).parent
PRODUCTION = REPO / "deploy/kubernetes/overlays/production"
DATABASE_URL = "postgresql://app@10.96.0.50/app"
"""With the address in database.yaml."""

NODE_PORT = """
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: app}
spec:
  type: NodePort
  selector: {app.kubernetes.io/component: server}
  ports: [{port: 80, targetPort: http, nodePort: 30080}]
"""
"""The way in for clients, because the cluster has no ingress controller."""


class Kubernetes:
    """Three nodes. Requests go to the first two; the last node may be lost."""

    urls = ("http://10.78.0.1:30080", "http://10.78.0.2:30080")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = f"wsgi-{uuid.uuid4().hex[:6]}"
        self.environ = os.environ | {"HUB": self.hub, "PROGRAMS": str(PROGRAMS)}
        self.version, self.secret, self.settings = "one", "app-1", {"DATABASE_URL": DATABASE_URL}

    def script(self, action: str, *words: str, text: str | None = None, check: bool = True) -> str:
        """Run the script `kubernetes`; return its output."""
        command = [FOLDER / "kubernetes", action, self.folder, *words]
        done = subprocess.run(
            command, env=self.environ, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert not check or done.returncode == 0, f"{action} {' '.join(words)}: {done.stdout}"
        return done.stdout.strip()

    def kubectl(self, *words: str, text: str | None = None, check: bool = True) -> str:
        """Run a kubectl command; return its output."""
        return self.script("kubectl", *words, text=text, check=check)

    def load(self, archive: Path, node: int) -> None:
        """Load images into a node."""
        engine = f"unix://{self.folder}/node{node}/sock"
        subprocess.run(["docker", "--host", engine, "load", "--quiet", "--input", archive], check=True)

    def objects(self) -> list[dict]:
        """Return the objects of the overlay `production` as this cluster can have them.

        Kubernetes 1.20 has no policy/v1. The cluster has no metrics server, no Prometheus operator and no DNS.
        """
        name, tag = image(self.version).split(":")
        overlay = self.folder / "overlay"
        overlay.mkdir(exist_ok=True)
        secret = {"op": "replace", "path": "/spec/template/spec/volumes/2/secret/secretName", "value": self.secret}
        customization = {
            "resources": [os.path.relpath(PRODUCTION, overlay)],
            "namespace": "app",
            "images": [{"name": "registry.example.org/app", "newName": name, "newTag": tag}],
            "configMapGenerator": [
                {
                    "name": "settings",
                    "behavior": "merge",
                    "literals": [f"{name}={value}" for name, value in self.settings.items()],
                }
            ],
            "patches": [{"target": {"kind": "Deployment|Job"}, "patch": yaml.safe_dump([secret])}],
        }
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(customization))
        objects = {}
        for each in yaml.safe_load_all(self.kubectl("kustomize", str(overlay))):
            objects[each["kind"]] = each
        del objects["ServiceMonitor"], objects["HorizontalPodAutoscaler"]
        objects["PodDisruptionBudget"]["apiVersion"] = "policy/v1beta1"
        objects["Deployment"]["spec"] |= {"replicas": 3, "progressDeadlineSeconds": 30}
        return list(objects.values())

    def apply(self, *words: str) -> None:
        """Apply the overlay, without the Job unless it is asked for."""
        objects = [each for each in self.objects() if each["kind"] != "Job" or "component!=server" in str(words)]
        self.kubectl("apply", "--filename=-", *words, text=yaml.safe_dump_all(objects))

    def until_rolled_out(self) -> None:
        """Wait until all replicas are the new ones."""
        self.kubectl("rollout", "status", "deployment/app", "--namespace=app", f"--timeout={STEP_SECONDS}s")

    def deployment(self, path: str) -> str:
        """Return a value of the Deployment."""
        return self.kubectl("get", "deployment", "app", "--namespace=app", f"--output=jsonpath={path}")

    def pods(self) -> dict[str, dict]:
        """Return the app's pods by name."""
        selector = "--selector=app.kubernetes.io/component=server"
        listed = yaml.safe_load(self.kubectl("get", "pods", "--namespace=app", selector, "--output=yaml"))
        return {pod["metadata"]["name"]: pod for pod in listed["items"]}

    def on(self, *nodes: str) -> int:
        """Return the number of ready pods on these nodes."""
        return sum(
            pod["spec"].get("nodeName") in nodes
            and "deletionTimestamp" not in pod["metadata"]
            and any(
                each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", [])
            )
            for pod in self.pods().values()
        )

    def scale(self, count: int) -> None:
        """Change the number of replicas."""
        self.kubectl("scale", "deployment/app", "--namespace=app", f"--replicas={count}")
        eventually(lambda: len(self.pods()) == count and self.on("node1", "node2", "node3") == count, f"{count} pods")

    def answers(self) -> list[dict]:
        """Return what the replicas answer at /state."""
        return states(self.hub, self.urls[0], 12)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """Cluster with the overlay `production`, started as docs/kubernetes.md says."""
    folder = tmp_path_factory.mktemp("kubernetes")
    archives = save_images(folder)
    cluster = Kubernetes(folder)
    try:
        cluster.script("up")
        for group, node in [("app", 1), ("postgres", 1), ("app", 2), ("app", 3)]:
            cluster.load(archives[group], node)
        start(cluster)
        yield cluster
    finally:
        cluster.script("down")


def start(cluster: Kubernetes) -> None:
    """Create namespace, secret and database; migrate; start the app."""
    cluster.kubectl("create", "namespace", "app")
    literals = ("--from-literal=SECRET_KEY=first", "--from-literal=PGPASSWORD=password")
    cluster.kubectl("create", "secret", "generic", "app-1", "--namespace=app", *literals)
    cluster.kubectl("apply", f"--filename={FOLDER}/database.yaml")
    cluster.kubectl("rollout", "status", "deployment/database", "--namespace=app", f"--timeout={STEP_SECONDS}s")
    cluster.apply("--selector=app.kubernetes.io/component!=server")
    cluster.kubectl(
        "wait", "--for=condition=complete", "job/migration", "--namespace=app", f"--timeout={STEP_SECONDS}s"
    )
    cluster.apply()
    cluster.kubectl("apply", "--filename=-", text=NODE_PORT)
    cluster.until_rolled_out()
    eventually(cluster.answers, "the app answers")


def test_a_rolling_update_loses_no_request(cluster: Kubernetes) -> None:
    with case(cluster, "rolling update of 3 replicas"):
        cluster.version = "two"
        cluster.apply()
        cluster.until_rolled_out()
        assert {answer["version"] for answer in cluster.answers()} == {"two"}


@pytest.mark.parametrize("version", ["unhealthy", "broken", "missing"])
def test_an_image_that_does_not_work_is_held_back_and_loses_no_request(cluster: Kubernetes, version: str) -> None:
    """`unhealthy` answers 500, `broken` cannot be imported, `missing` is not in the registry."""
    eventually(lambda: len(cluster.pods()) == 3, "the pods of the last test are gone")
    before = set(cluster.pods())
    with case(cluster, f"an image that is {version}: held back, and undone"):
        cluster.version = version
        cluster.apply()
        reason = '{.status.conditions[?(@.type=="Progressing")].reason}'
        eventually(lambda: cluster.deployment(reason) == "ProgressDeadlineExceeded", "the update has failed")
        assert before < set(cluster.pods())
        cluster.version = "two"
        cluster.apply()
        cluster.until_rolled_out()
        eventually(lambda: set(cluster.pods()) == before, "the old pods are alone")


def test_a_rotated_secret_reaches_every_replica_and_loses_no_request(cluster: Kubernetes) -> None:
    (before,) = {answer["secret"] for answer in cluster.answers()}
    literals = ("--from-literal=SECRET_KEY=second", "--from-literal=PGPASSWORD=password")
    cluster.kubectl("create", "secret", "generic", "app-2", "--namespace=app", *literals)
    with case(cluster, "secret rotated"):
        cluster.secret = "app-2"
        cluster.apply()
        cluster.until_rolled_out()
        (after,) = {answer["secret"] for answer in cluster.answers()}
    assert after != before


def test_a_changed_setting_reaches_every_replica_and_loses_no_request(cluster: Kubernetes) -> None:
    with case(cluster, "setting changed"):
        cluster.settings["DATABASE_URL"] = url = f"{DATABASE_URL}?application_name=app"
        cluster.apply()
        cluster.until_rolled_out()
        assert {answer["setting"] for answer in cluster.answers()} == {url}


def test_a_drained_node_loses_no_request(cluster: Kubernetes) -> None:
    cluster.scale(6)
    assert cluster.on("node3") >= 1
    with case(cluster, "node drained"):
        cluster.kubectl("drain", "node3", "--delete-emptydir-data", f"--timeout={STEP_SECONDS}s")
        eventually(lambda: cluster.on("node1", "node2") == 6, "the other nodes have 6 pods")
    cluster.kubectl("uncordon", "node3")


def test_scaling_loses_no_request(cluster: Kubernetes) -> None:
    with case(cluster, "scaled to 2, to 6, to 2"):
        for count in (2, 6, 2):
            cluster.scale(count)


def test_a_node_that_is_cut_off_loses_at_most_two_requests_of_each_client(cluster: Kubernetes) -> None:
    """The cluster has no ingress controller that would send a request to another pod."""
    cluster.scale(6)
    assert cluster.on("node3") >= 1
    with case(cluster, "node cut off", lost=2 * CLIENTS):
        subprocess.run(["ip", "-n", cluster.hub, "link", "set", "node3", "down"], check=True)
        eventually(lambda: cluster.on("node1", "node2") == 6, "the other nodes have 6 pods")
    subprocess.run(["ip", "-n", cluster.hub, "link", "set", "node3", "up"], check=True)
    ready = '{.status.conditions[?(@.type=="Ready")].status}'
    eventually(lambda: cluster.kubectl("get", "node", "node3", f"--output=jsonpath={ready}") == "True", "it is back")
    eventually(lambda: len(cluster.pods()) == 6, "the lost pods are gone")


def test_a_database_that_is_down_for_20_seconds_fails_requests_in_that_time_only(cluster: Kubernetes) -> None:
    def restarts() -> dict[str, int]:
        return {name: pod["status"]["containerStatuses"][0]["restartCount"] for name, pod in cluster.pods().items()}

    before = restarts()
    with clients(cluster.hub, cluster.urls) as load:
        down = time.monotonic()
        cluster.kubectl("scale", "deployment/database", "--namespace=app", "--replicas=0")
        until(lambda: time.monotonic() > down + 20, "20 s are over", 30)
        cluster.kubectl("scale", "deployment/database", "--namespace=app", "--replicas=1")
        cluster.kubectl("rollout", "status", "deployment/database", "--namespace=app", f"--timeout={STEP_SECONDS}s")
        up = time.monotonic()
        until(lambda: time.monotonic() > up + RECOVERY_SECONDS, "the app has had time to recover")
    report("database down for 20 s", load, up - down)
    assert load.failed != []
    assert [each for each in load.failed if each[1] < down] == []
    assert [each for each in load.failed if each[0] > up + RECOVERY_SECONDS] == []
    assert restarts() == before
