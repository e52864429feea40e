"""The private port: who may ask it, and what it counts."""

import itertools
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from admin_port import ASK, admin_get, ip, samples, status, until_counted, until_in_flight
from conftest import APPS, DEADLINE, Container, docker, until

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def counted(start: Callable[..., Container], metrics_image: str) -> Container:
    """A container of the app with its own metric."""
    container = start("--env=PROCESSES=2", "--env=HEALTH_PATH=/hello/health", image=metrics_image)
    until(lambda: container.answers("/hello/first"), "it answers")
    return container


def test_requests_are_counted_by_method_and_status_and_timed_by_endpoint(counted: Container) -> None:
    """A path makes no label, an unknown method no new one; exceptions have their type."""
    # Until the container answered, a client may have hung up; nginx says so within a second.
    until_counted(counted, ("wsgi_request_duration_seconds_count", "endpoint=hello"), 1)
    time.sleep(1.5)
    before = samples(counted)
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


def test_clients_see_nothing_of_the_counting(counted: Container) -> None:
    """The header that names the endpoint stays inside."""
    assert not {name for name in counted.get("/hello/x").headers if "wsgi" in name.lower()}


def test_promtool_finds_nothing_to_complain_of(counted: Container) -> None:
    """Names, units and help texts are what Prometheus's conventions want."""
    counted.get("/hello/x")
    lint = ["promtool", "check", "metrics"]
    done = subprocess.run(lint, input=admin_get(counted, "/metrics").text, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_openmetrics_is_given_to_who_accepts_it(counted: Container) -> None:
    """The same families, by the other format's own parser."""
    answer = admin_get(counted, "/metrics", Accept=OPENMETRICS)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert admin_get(counted, "/metrics").headers["Content-Type"].startswith("text/plain")
    assert {"wsgi_requests", "wsgi_build_info", "greetings"} <= {family.name for family in openmetrics(answer.text)}


def test_a_metric_of_the_apps_own_is_right_across_processes_deaths_and_reloads(counted: Container) -> None:
    """And no counter of ours goes back, whatever dies."""

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
    master = next(line.split()[1] for line in docker("top", counted.id).splitlines() if line.endswith("uWSGI master"))
    subprocess.run(["kill", "-9", master], check=True)
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


def test_names_beyond_ascii_and_control_characters_in_paths_stop_nothing(
    start: Callable[..., Container], tmp_path: Path
) -> None:
    """An endpoint's name goes through a header, a path through uWSGI's statistics, which are JSON but for those."""
    (tmp_path / "routes.py").write_text(ANY_NAME)
    tmp_path.chmod(0o755)
    container = start(
        f"--volume={tmp_path}:/app:ro", "--env=WEB_CONCURRENCY=1", "--env=REQUEST_TIMEOUT=3", "--env=GRACE_PERIOD=2"
    )
    until(lambda: container.answers("/hello"), "it answers")
    name = "endpoint=\u043f\u0440\u0438\u0432\u0435\u0442"
    until_counted(container, ("wsgi_request_duration_seconds_count", name), 1)
    for _ in range(2):
        docker("exec", "--detach", container.id, "python3", "-c", ASK.format("/hang/%01"))
    until(lambda: samples(container)["wsgi_requests_in_flight",] == 2, "they are in flight")
    kills = ("wsgi_worker_kills_total", "reason=deadline")
    assert until_counted(container, kills, 1)[kills] == 1  # two requests, one worker
    until(lambda: container.answers("/hello"), "another worker answers")


def test_a_request_that_hangs_is_seen_and_its_worker_counted(
    start: Callable[..., Container], metrics_image: str
) -> None:
    """In flight, busy, on the status page; then killed at its deadline."""
    container = start("--env=PROCESSES=2", "--env=REQUEST_TIMEOUT=4", "--env=GRACE_PERIOD=2", image=metrics_image)
    until(lambda: container.answers("/hello/x"), "it answers")
    docker("exec", "--detach", container.id, "python3", "-c", ASK.format("/sleep/60.0"))

    def running() -> list[tuple[str, str]]:
        requests = [request for worker in status(container)["workers"] for request in worker["running"]]
        return [(request["path"], request["endpoint"]) for request in requests]

    until(lambda: running() == [("/sleep/60.0", "sleep")], "it is the one that is in flight")
    busy = samples(container)
    assert (busy["wsgi_workers", "state=busy"], busy["wsgi_requests_in_flight",]) == (1, 1)
    until_counted(container, ("wsgi_worker_kills_total", "reason=deadline"), 1)
    until(lambda: status(container)["errors"], "the error is shown")
    error = status(container)["errors"][0]
    assert (error["status"], error["path"]) == (504, "/sleep/60.0")
    assert error["request_id"] in container.log


def test_requests_that_wait_for_a_worker_are_counted_where_the_kernel_has_them(
    start: Callable[..., Container], metrics_image: str
) -> None:
    """uWSGI's own figure of its queue is always 0."""
    container = start("--env=PROCESSES=1", "--env=THREADS=1", image=metrics_image)
    until(lambda: container.answers("/hello/x"), "it answers")
    for _ in range(4):
        docker("exec", "--detach", container.id, "python3", "-c", ASK.format("/sleep/15.0"))
    until(lambda: samples(container)["wsgi_listen_queue_requests",] == 3, "three wait")
    until(lambda: any("requests wait" in problem for problem in status(container)["problems"]), "the page says so")


def test_an_app_without_flask_is_counted_as_a_whole(start: Callable[..., Container]) -> None:
    """Its requests have no endpoint to tell apart; a client that hangs up is no exception."""
    container = start(f"--volume={APPS}/faulty:/app:ro", "--env=WEB_CONCURRENCY=1")
    until(lambda: container.answers("/quick"), "it answers")
    with pytest.raises(requests.Timeout):
        requests.get(container.url("/sleep?s=1"), timeout=0.2)
    assert container.get("/sleep?s=nonsense").status_code == 500
    until_counted(container, ("wsgi_requests_total", "method=GET", "status=5xx"), 1)
    after = until_counted(container, ("wsgi_exceptions_total", "type=other"), 1)
    assert after["wsgi_exceptions_total", "type=other"] == 1
    endpoints = {key[1] for key in after if key[0] == "wsgi_request_duration_seconds_count"}
    assert endpoints == {"endpoint=other"}


def test_only_get_and_head_only_known_paths_and_nothing_on_the_public_port(counted: Container) -> None:
    """Nor are questions to it logged."""
    address = f"http://{ip(counted)}:9090"
    head = requests.head(f"{address}/metrics", timeout=DEADLINE)
    assert (head.status_code, head.content) == (200, b"")
    assert requests.post(f"{address}/metrics", data="x", timeout=DEADLINE).status_code == 405
    for path in ("/RPC2", "/logtail/nginx", "/hello/x", "/metrics/", "/status/../RPC2", "/index.html"):
        assert requests.get(address + path, timeout=DEADLINE).status_code == 404, path
    for path in ("/metrics", "/status", "/status.json"):
        assert admin_get(counted, path).status_code == 200
        assert counted.get(path).status_code == 404
    assert "9090" not in docker("inspect", "--format={{.NetworkSettings.Ports}}", counted.id)
    asked = [
        line["path"] for line in map(json.loads, counted.log.splitlines()) if line.get("client") and "path" in line
    ]
    assert "/hello/first" in asked
    assert sum(path == "/metrics" for path in asked) == 1


@pytest.mark.parametrize("forwarded", ["", "10.0.0.1"])
def test_an_address_that_is_not_private_is_refused(forwarded: str, start: Callable[..., Container]) -> None:
    """Whatever it says of proxies. 198.51.100.0/24 is documentation's (RFC 5737), and stands for the internet."""
    name = f"wsgi-test-public-{int(time.monotonic() * 1000)}"
    docker("network", "create", "--subnet=198.51.100.0/28", name)
    try:
        container = start(f"--network={name}", publish=False)
        address = docker("inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container.id)
        health = ("exec", container.id, "healthcheck")
        until(lambda: docker(*health, check=False).startswith("healthy"), "it is healthy")
        headers = {"X-Forwarded-For": forwarded, "X-Real-IP": forwarded} if forwarded else {}
        assert requests.get(f"http://{address}:9090/metrics", headers=headers, timeout=DEADLINE).status_code == 403
        assert requests.get(f"http://{address}/hello", timeout=DEADLINE).status_code == 200
        docker("rm", "--force", container.id)
    finally:
        docker("network", "rm", name)


def test_it_can_be_off(start: Callable[..., Container]) -> None:
    """Nobody listens, and nothing is counted."""
    container = start("--env=ADMIN_PORT=0").wait()
    with pytest.raises(requests.ConnectionError):
        admin_get(container, "/metrics")
    assert container.exec("ls", "/run").split().count("metrics.fifo") == 0


def test_it_can_be_on_another_port(start: Callable[..., Container]) -> None:
    """And on that alone."""
    container = start("--env=ADMIN_PORT=8081").wait()
    assert admin_get(container, "/status.json", port=8081).json()["healthy"]
    with pytest.raises(requests.ConnectionError):
        admin_get(container, "/status.json")


def test_a_port_that_is_taken_ends_the_start_with_a_clear_error(start: Callable[..., Container]) -> None:
    """Here by another container in the same network."""
    first = start().wait()
    second = start(f"--network=container:{first.id}", "--env=PORT=8080", publish=False)
    assert second.exit_code() == 78
    assert "ADMIN_PORT is 9090: another program has it; set another ADMIN_PORT" in second.log
