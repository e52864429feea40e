"""The files of deploy/observability/, with Debian's Prometheus in place of the image's."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import yaml

from admin_port import ip
from conftest import DEADLINE, REPO, Container, until

FOLDER = REPO / "deploy/observability"
DASHBOARD = json.loads((FOLDER / "grafana/wsgi.json").read_text())
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def counted(start: Callable[..., Container], metrics_image: str) -> Container:
    """Container of an app with a metric of its own."""
    container = start("--env=HEALTH_PATH=/hello/health", "--env=CACHE=on", image=metrics_image)
    until(lambda: container.answers("/hello/first"), "it answers")
    return container


@pytest.fixture(scope="module")
def prometheus(counted: Container, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list]]:
    """Start Prometheus with our configuration, except address and scrape interval; return a query function."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s"}
    config["rule_files"] = [str(FOLDER / name) for name in config["rule_files"]]
    (job,) = config["scrape_configs"]
    assert job.pop("dns_sd_configs")[0]["port"] == 9090
    job["static_configs"] = [{"targets": [f"{ip(counted)}:9090"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    words = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        program = subprocess.Popen([*words, f"--web.listen-address={ADDRESS}"], stdout=log, stderr=log)

    def query(text: str) -> list:
        url = f"http://{ADDRESS}/api/v1/query"
        answer = requests.get(url, params={"query": text}, timeout=DEADLINE).json()
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def up() -> bool:
        assert program.poll() is None, (folder / "log").read_text()
        try:
            return [row["value"][1] for row in query("up")] == ["1"]
        except requests.RequestException:
            return False

    try:
        until(up, "Prometheus has scraped the container", 60)
        yield query
    finally:
        program.terminate()
        program.wait()


ADDRESS = "127.0.0.1:19090"


def send_requests(container: Container) -> None:
    """Send ten requests, of which one fails."""
    for _ in range(9):
        container.get("/hello/x")
    container.get("/fail")


def test_prometheus_computes_request_rate_error_rate_and_p99_of_an_endpoint(
    prometheus: Callable[[str], list], counted: Container
) -> None:
    def number(query: str) -> float:
        rows = prometheus(query)
        return float(rows[0]["value"][1]) if rows else float("nan")

    def plausible() -> bool:
        send_requests(counted)
        return (
            number("sum(rate(wsgi_requests_total[20s]))") > 1
            and 0
            < number('sum(rate(wsgi_requests_total{status="5xx"}[20s])) / sum(rate(wsgi_requests_total[20s]))')
            < 0.5
            and 0 < number(P99) < 5
        )

    until(plausible, "the queries return plausible numbers")


P99 = 'histogram_quantile(0.99, sum by (le) (rate(wsgi_request_duration_seconds_bucket{endpoint="hello"}[20s])))'


@pytest.mark.parametrize(("panel", "query"), QUERIES, ids=[f"{panel}-{i}" for i, (panel, _) in enumerate(QUERIES)])
def test_the_query_of_each_panel_returns_a_number(
    panel: str, query: str, prometheus: Callable[[str], list], counted: Container
) -> None:
    text = query.replace("$__rate_interval", "20s").replace("$instance", ".*")

    def returned() -> bool:
        send_requests(counted)
        return [row["value"][1] for row in prometheus(text) if row["value"][1] != "NaN"] != []

    until(returned, f"{text} returns a number")


def test_each_alert_has_a_test_that_promtool_runs() -> None:
    done = subprocess.run(["promtool", "test", "rules", "alerts.test.yml"], cwd=FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    alerts = set(re.findall("alert: (.+)", (FOLDER / "alerts.yml").read_text()))
    assert set(re.findall(r"alertname: (\w+)", (FOLDER / "alerts.test.yml").read_text())) == alerts


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("prometheus*.yml")))
def test_prometheus_accepts_the_configuration_for_each_engine(name: str, tmp_path: Path) -> None:
    """Debian's Prometheus is built without the service discovery of Kubernetes."""
    config = yaml.safe_load((FOLDER / name).read_text())
    assert config["scrape_configs"][0].pop("kubernetes_sd_configs", [{"role": "pod"}]) == [{"role": "pod"}]
    config["rule_files"] = [str(FOLDER / rules) for rules in config["rule_files"]]
    (tmp_path / name).write_text(yaml.safe_dump(config))
    done = subprocess.run(["promtool", "check", "config", tmp_path / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_dashboard_use_only_metrics_that_exist(counted: Container) -> None:
    send_requests(counted)
    address = f"http://{ip(counted)}:9090/metrics"
    until(lambda: "wsgi_exceptions_total{" in requests.get(address, timeout=DEADLINE).text, "the exception is counted")
    existing = set(re.findall("^# TYPE ([a-z_]+)", requests.get(address, timeout=DEADLINE).text, re.MULTILINE))
    files = (FOLDER / "alerts.yml").read_text() + (FOLDER / "grafana/wsgi.json").read_text()
    used = {re.sub("_bucket$", "", name) for name in re.findall(r"\bwsgi_[a-z_]+", files)}
    assert len(used) > 10
    assert used <= existing


def test_the_panels_of_the_dashboard_are_unique_do_not_overlap_and_use_the_provisioned_data_source() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in DASHBOARD["panels"]):
        assert place["x"] + place["w"] <= 24
        covered = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not covered & cells
        cells |= covered
    (source,) = yaml.safe_load((FOLDER / "grafana/datasources.yaml").read_text())["datasources"]
    sources = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert sources == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"


def test_compose_mounts_existing_files_and_publishes_only_the_app_beyond_localhost() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        assert service.get("profiles") == (None if name == "wsgi" else ["observability"])
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert source in COMPOSE["volumes"] or (FOLDER / source).is_file(), source
        for port in service["ports"]:
            assert port == "80:80" or port.startswith("127.0.0.1:"), port
    provided = yaml.safe_load((FOLDER / "grafana/dashboards.yaml").read_text())["providers"][0]["options"]["path"]
    assert any(mount.split(":")[1].startswith(provided) for mount in services["grafana"]["volumes"])
