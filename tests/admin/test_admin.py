"""The admin port: its metrics, its paths, and the clients that it allows."""

import itertools
import re
import subprocess
import uuid
from collections.abc import Callable

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from admin_port import admin_get, get_in_background, ip, samples, status, until_counted, until_in_flight
from conftest import DEADLINE, Container, docker, until
from processes import FAULTY, kill

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def counted(start: Callable[..., Container], metrics_image: str) -> Container:
    """Container of an app with a metric of its own. Its health check has an endpoint that no test counts."""
    container = start("--env=PROCESSES=2", "--env=HEALTH_PATH=/sleep/0.0", image=metrics_image)
    until_healthy(container)
    container.get("/hello/first")
    return container


def until_healthy(container: Container) -> None:
    """Wait until the health check in the container succeeds."""
    health = ("exec", container.id, "healthcheck")
    until(lambda: docker(*health, check=False).startswith("healthy"), "it is healthy")


def test_requests_are_counted_by_method_and_status_and_timed_by_endpoint(counted: Container) -> None:
    """Neither paths nor unknown methods become labels: clients could create any number of these."""
    before = until_counted(counted, ("wsgi_request_duration_seconds_count", "endpoint=hello"), 1)
    for name in range(5):
        counted.get(f"/hello/{name}?x={name}")
    counted.get("/nowhere/to/be/found")
    counted.get("/fail")
    requests.request("INVENTED", counted.url("/hello/x"), timeout=DEADLINE)
    until_counted(counted, key := ("wsgi_requests_total", "method=GET", "status=2xx"), before.get(key, 0) + 5)
    after = until_counted(counted, key := ("wsgi_requests_total", "method=other", "status=4xx"), before.get(key, 0) + 1)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert grown("wsgi_requests_total", "method=GET", "status=2xx") >= 5
    assert grown("wsgi_requests_total", "method=GET", "status=4xx") == 1
    assert grown("wsgi_requests_total", "method=GET", "status=5xx") == 1
    assert grown("wsgi_request_duration_seconds_count", "endpoint=hello") == 5
    assert grown("wsgi_request_duration_seconds_bucket", "endpoint=fail", "le=+Inf") == 1
    assert grown("wsgi_request_duration_seconds_count", "endpoint=other") == 2
    assert grown("wsgi_exceptions_total", "type=ZeroDivisionError") == 1
    assert grown("wsgi_sent_bytes_total") > 1000
    assert not any("nowhere" in label or "hello/" in label for key in after for label in key)


def test_the_header_that_names_the_endpoint_is_removed_from_responses(counted: Container) -> None:
    assert not {name for name in counted.get("/hello/x").headers if "wsgi" in name.lower()}


def test_metrics_follow_the_conventions_of_prometheus(counted: Container) -> None:
    """Promtool checks names, units and help texts."""
    counted.get("/hello/x")
    lint = ["promtool", "check", "metrics"]
    done = subprocess.run(lint, input=admin_get(counted, "/metrics").text, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_openmetrics_is_sent_to_clients_that_accept_it(counted: Container) -> None:
    answer = admin_get(counted, "/metrics", Accept=OPENMETRICS)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert admin_get(counted, "/metrics").headers["Content-Type"].startswith("text/plain")
    assert {"wsgi_requests", "wsgi_build_info", "greetings"} <= {family.name for family in openmetrics(answer.text)}


def test_counters_of_app_and_container_survive_killed_workers_reloads_and_killed_masters(counted: Container) -> None:

    def greet() -> set[str]:
        return {counted.get("/hello/ada").text.split()[-1] for _ in range(30)}

    def replaced(old: set[str]) -> None:
        until(lambda: counted.answers("/hello/x") and not old & greet(), "new processes answer")

    greeted = samples(counted)["greetings_total",]
    seen = [samples(counted)]
    pids: set[str] = set()
    until(lambda: pids.update(greet()) or len(pids) == 2, "both processes have answered")
    now = samples(counted)["greetings_total",]
    assert now - greeted >= 30
    seen.append(samples(counted))

    assert counted.get("/die").status_code == 502
    seen.append(until_counted(counted, ("wsgi_worker_respawns_total",), 1))
    docker("kill", "--signal=HUP", counted.id)
    replaced(pids)
    seen.append(until_counted(counted, ("wsgi_reloads_total", "result=success"), 1))
    old = greet()
    kill(counted, "uWSGI master")
    replaced(old)
    seen.append(until_counted(counted, ("wsgi_program_restarts_total", "program=uwsgi"), 1))
    counted.get("/hello/last")
    seen.append(until_counted(counted, ("greetings_total",), seen[-1]["greetings_total",] + 1))
    for before, after in itertools.pairwise(seen):
        for key in before:
            if re.search("_(total|count|bucket|sum)$", key[0]):
                assert after[key] >= before[key], key


ANY_NAME = """
import time
from flask import Flask
app = Flask(__name__)

@app.get("/hello")
def \u043f\u0440\u0438\u0432\u0435\u0442():
    return "hello"

@app.get("/hang/<path:what>")
def hang(what):
    time.sleep(60)
"""


def test_endpoints_beyond_ascii_and_control_characters_in_paths_are_counted_like_others(
    start: Callable[..., Container], app: Callable[[str], str]
) -> None:
    """The endpoint's name passes through a header; uWSGI's statistics have control characters unescaped in JSON."""
    container = start(app(ANY_NAME), "--env=PROCESSES=1", "--env=REQUEST_TIMEOUT=3", "--env=GRACE_PERIOD=2")
    until(lambda: container.answers("/hello"), "it answers")
    name = "endpoint=\u043f\u0440\u0438\u0432\u0435\u0442"
    until_counted(container, ("wsgi_request_duration_seconds_count", name), 1)
    for _ in range(2):
        get_in_background(container, "/hang/%01")
    until_in_flight(container, 2)
    kills = ("wsgi_worker_kills_total", "reason=deadline")
    assert until_counted(container, kills, 1)[kills] == 1  # two requests, one worker
    until(lambda: container.answers("/hello"), "the next worker answers")


def test_a_request_that_hangs_is_in_flight_until_its_worker_is_killed_and_counted(
    start: Callable[..., Container], metrics_image: str
) -> None:
    container = start("--env=PROCESSES=2", "--env=REQUEST_TIMEOUT=4", "--env=GRACE_PERIOD=2", image=metrics_image)
    until(lambda: container.answers("/hello/x"), "it answers")
    get_in_background(container, "/sleep/60.0")

    def running() -> list[tuple[str, str]]:
        requests = [request for worker in status(container)["workers"] for request in worker["running"]]
        return [(request["path"], request["endpoint"]) for request in requests]

    until(lambda: running() == [("/sleep/60.0", "sleep")], "the request is shown in flight")
    busy = samples(container)
    assert (busy["wsgi_workers", "state=busy"], busy["wsgi_requests_in_flight",]) == (1, 1)
    until_counted(container, ("wsgi_worker_kills_total", "reason=deadline"), 1)
    until(lambda: status(container)["errors"], "the error is shown")
    error = status(container)["errors"][0]
    assert (error["status"], error["path"]) == (504, "/sleep/60.0")
    until(lambda: error["request_id"] in container.log, "the request is logged")


def test_requests_that_wait_for_a_worker_are_counted(start: Callable[..., Container], metrics_image: str) -> None:
    """uWSGI itself reports 0 for a unix socket; the number comes from the kernel."""
    container = start("--env=PROCESSES=1", "--env=THREADS=1", image=metrics_image)
    until(lambda: container.answers("/hello/x"), "it answers")
    for _ in range(4):
        get_in_background(container, "/sleep/15.0")
    until(lambda: samples(container)["wsgi_listen_queue_requests",] == 3, "three wait")
    until(lambda: status(container)["problems"], "the status page reports a problem")


def test_all_requests_to_an_app_without_flask_have_the_endpoint_other(start: Callable[..., Container]) -> None:
    container = start(FAULTY, "--env=PROCESSES=1").wait()
    # A client that closes its connection is not counted as an exception.
    with pytest.raises(requests.Timeout):
        requests.get(container.url("/sleep?s=1"), timeout=0.2)
    assert container.get("/sleep?s=nonsense").status_code == 500
    until_counted(container, ("wsgi_requests_total", "method=GET", "status=5xx"), 1)
    after = until_counted(container, ("wsgi_exceptions_total", "type=other"), 1)
    assert after["wsgi_exceptions_total", "type=other"] == 1
    endpoints = {key[1] for key in after if key[0] == "wsgi_request_duration_seconds_count"}
    assert endpoints == {"endpoint=other"}


def test_the_admin_port_answers_get_and_head_of_its_own_paths_alone(counted: Container) -> None:
    address = f"http://{ip(counted)}:9090"
    head = requests.head(f"{address}/metrics", timeout=DEADLINE)
    assert (head.status_code, head.content) == (200, b"")
    assert requests.post(f"{address}/metrics", data="x", timeout=DEADLINE).status_code == 405
    for path in ("/RPC2", "/logtail/nginx", "/hello/x", "/metrics/", "/status/../RPC2", "/index.html"):
        assert requests.get(address + path, timeout=DEADLINE).status_code == 404, path


def test_paths_of_the_admin_port_are_not_on_the_public_port(counted: Container) -> None:
    for path in ("/metrics", "/status", "/status.json", "/livez"):
        assert admin_get(counted, path).status_code == 200
        assert counted.get(path).status_code == 404
    assert "9090" not in docker("inspect", "--format={{.NetworkSettings.Ports}}", counted.id)


def test_requests_to_the_admin_port_are_not_logged(counted: Container) -> None:
    admin_get(counted, "/metrics?admin")
    counted.get("/metrics?public")
    until(lambda: "/metrics?public" in counted.log, "the request to the public port is logged")
    assert "/metrics?admin" not in counted.log


def test_liveness_answers_while_every_worker_and_the_admin_program_hang(
    start: Callable[..., Container], metrics_image: str
) -> None:
    container = start("--env=PROCESSES=1", "--env=THREADS=1", image=metrics_image)
    until(lambda: container.answers("/hello/x"), "it answers")
    get_in_background(container, "/sleep/15.0")
    until_in_flight(container, 1)
    container.exec("sh", "-c", "kill -STOP $(supervisorctl pid admin)")
    with pytest.raises(requests.Timeout):
        requests.get(container.url("/hello/x"), timeout=1)
    with pytest.raises(requests.Timeout):
        requests.get(f"http://{ip(container)}:9090/status", timeout=1)
    assert admin_get(container, "/livez").text == "ok\n"


@pytest.mark.parametrize("forwarded", ["", "10.0.0.1"])
@pytest.mark.alone  # creates a network (tests/conftest.py)
def test_a_client_with_a_public_address_gets_403_whatever_its_proxy_headers(
    forwarded: str, start: Callable[..., Container]
) -> None:
    """198.51.100.0/24 is reserved for documentation (RFC 5737), and stands for public addresses here."""
    name = f"wsgi-test-public-{uuid.uuid4().hex}"
    docker("network", "create", "--subnet=198.51.100.0/28", name)
    try:
        container = start(f"--network={name}", publish=False)
        address = docker("inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container.id)
        until_healthy(container)
        headers = {"X-Forwarded-For": forwarded, "X-Real-IP": forwarded} if forwarded else {}
        assert requests.get(f"http://{address}:9090/metrics", headers=headers, timeout=DEADLINE).status_code == 403
        assert requests.get(f"http://{address}/hello", timeout=DEADLINE).status_code == 200
        # The kubelet of a node asks from the node's address.
        assert requests.get(f"http://{address}:9090/livez", headers=headers, timeout=DEADLINE).status_code == 200
        docker("rm", "--force", container.id)
    finally:
        docker("network", "rm", name)


def test_admin_port_0_turns_the_admin_port_off(start: Callable[..., Container]) -> None:
    container = start("--env=ADMIN_PORT=0").wait()
    with pytest.raises(requests.ConnectionError):
        admin_get(container, "/metrics")


def test_the_admin_port_can_be_changed(start: Callable[..., Container]) -> None:
    container = start("--env=ADMIN_PORT=8081").wait()
    until(lambda: admin_get(container, "/status.json", port=8081).ok, "the admin port answers")
    with pytest.raises(requests.ConnectionError):
        admin_get(container, "/status.json")


def test_an_admin_port_that_another_program_uses_is_a_bad_setting(start: Callable[..., Container]) -> None:
    first = start().wait()
    second = start(f"--network=container:{first.id}", "--env=PORT=8080", publish=False)
    assert second.exit_code() == 78
    assert "ADMIN_PORT is 9090: " in second.log
