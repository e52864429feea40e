"""compose.yaml, deploy/ and examples/: times and sizes in one file agree with those in another."""

import re
from pathlib import Path

import pytest
import yaml

from conftest import REPO
from wsgi_runtime.start.settings import Settings

MARGIN_SECONDS = 2
"""Time for the programs to stop after their last request, and for a slow engine."""

KUBERNETES = REPO / "deploy/kubernetes"
COMPOSE_FILES = [
    REPO / "compose.yaml",
    REPO / "deploy/swarm/stack.yaml",
    REPO / "deploy/observability/compose.yaml",
    *sorted(REPO.glob("examples/*/compose.yaml")),
]
PROXY = (REPO / "deploy/swarm/haproxy.cfg").read_text()
STACK = yaml.safe_load((REPO / "deploy/swarm/stack.yaml").read_text())["services"]


def default(name: str) -> int:
    """Return the default of a setting."""
    return int(Settings.model_fields[name].default)


def stop_seconds(settings: dict[str, object]) -> int:
    """Return the longest time of a stop with these settings."""
    return sum(int(settings.get(name, default(name))) for name in ("STOP_DELAY", "GRACE_PERIOD"))


def seconds(text: str) -> int:
    """Return a duration such as `40s` in seconds."""
    return int(text.removesuffix("s"))


def literals(folder: Path) -> dict[str, str]:
    """Return the settings that a kustomization.yaml names."""
    generators = yaml.safe_load((folder / "kustomization.yaml").read_text())["configMapGenerator"]
    return dict(text.split("=", 1) for generator in generators for text in generator["literals"])


def base(name: str) -> dict:
    """Return the pod of an object in deploy/kubernetes/base."""
    return yaml.safe_load((KUBERNETES / "base" / name).read_text())["spec"]["template"]["spec"]


def service_of_app(path: Path) -> dict:
    """Return the app's service of a compose file, with what it extends."""
    services = yaml.safe_load(path.read_text())["services"]
    service = services.get("app") or services["wsgi"]
    if "extends" in service:
        other = yaml.safe_load((path.parent / service["extends"]["file"]).read_text())
        service = other["services"][service["extends"]["service"]] | service
    return service


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: str(path.relative_to(REPO)))
def test_the_engine_waits_longer_than_the_container_takes_to_stop(path: Path) -> None:
    service = service_of_app(path)
    allowed = seconds(service.get("stop_grace_period", "10s"))
    assert allowed >= stop_seconds(service.get("environment", {})) + MARGIN_SECONDS


@pytest.mark.parametrize("overlay", sorted(KUBERNETES.glob("overlays/*")), ids=lambda path: path.name)
def test_kubernetes_waits_longer_than_the_container_takes_to_stop(overlay: Path) -> None:
    settings = literals(KUBERNETES / "base") | literals(overlay)
    assert base("deployment.yaml")["terminationGracePeriodSeconds"] >= stop_seconds(settings) + MARGIN_SECONDS


def test_haproxy_outlives_requests_and_stops_before_swarm_kills_it() -> None:
    limits = {name: int(number) for name, number in re.findall(r"(timeout \w+|hard-stop-after) +(\d+)s\b", PROXY)}
    assert limits["timeout server"] > default("REQUEST_TIMEOUT")
    assert limits["timeout server"] <= limits["hard-stop-after"] < seconds(STACK["proxy"]["stop_grace_period"])


def test_haproxy_notices_a_stop_within_stop_delay() -> None:
    """A check may take a second: the container's own answer of 503 is immediate, but the machine may be busy."""
    inter, fast, fall = re.search(r"inter (\d+)s fastinter (\d+)ms fall (\d+)", PROXY).groups()
    noticed = int(inter) + (int(fall) - 1) * int(fast) / 1000
    assert noticed + 2 <= int(STACK["app"]["environment"]["STOP_DELAY"])


def test_haproxy_has_a_slot_for_each_replica_of_an_update() -> None:
    slots = int(re.search(r"server-template +\w+ (\d+)", PROXY)[1])
    assert slots >= 2 * STACK["app"]["deploy"]["replicas"]


@pytest.mark.parametrize("name", ["deployment.yaml", "migration.yaml"])
def test_files_in_memory_take_less_than_half_of_the_memory_limit(name: str) -> None:
    pod = base(name)
    limit = int(pod["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))
    files = [volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume]
    assert {each["medium"] for each in files} == {"Memory"}
    assert sum(int(each["sizeLimit"].removesuffix("Mi")) for each in files) < limit / 2


def test_the_ports_of_the_pod_are_those_of_the_settings() -> None:
    ports = {port["name"]: port["containerPort"] for port in base("deployment.yaml")["containers"][0]["ports"]}
    assert ports == {"http": int(literals(KUBERNETES / "base")["PORT"]), "admin": default("ADMIN_PORT")}
