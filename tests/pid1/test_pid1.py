"""PID 1 supervises: no log reader, scrape or line of output holds up a request or a stop."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from admin_port import ip, until_counted, until_in_flight
from conftest import Container, docker, until
from load import load
from processes import FAULTY, seconds_to_stop

pytestmark = pytest.mark.alone

Start = Callable[..., Container]
App = Callable[[str], str]

STALLING_READER = "mkfifo /tmp/output; (head -c 1000000 > /dev/null; sleep 600) < /tmp/output & exec {} > /tmp/output"
"""Shell command that runs another one, whose output is read up to 1 MB only."""

LABELS = """
import time
from flask import Flask
from prometheus_client import Histogram
app = Flask(__name__)
DURATION = Histogram("things", "Things.", ["thing"])
for number in range(4000):
    DURATION.labels(str(number)).observe(number)

@app.get("/health")
@app.get("/quick")
def quick():
    return "quick"
"""


def test_a_log_reader_that_stalls_holds_up_neither_requests_nor_a_stop(start: Start, image: str) -> None:
    entrypoint = " ".join(json.loads(docker("inspect", "--format={{json .Config.Entrypoint}}", image)))
    command = ("-c", STALLING_READER.format(entrypoint))
    container = start(FAULTY, "--env=PROCESSES=2", "--entrypoint=sh", command=command).wait()
    with load(container, clients=4, path="/quick?" + "x" * 5000) as clients:
        until_counted(container, ("wsgi_log_dropped_lines_total",), 1)
        clients.until_answered(1000)
    assert clients.lost == []
    assert clients.silence < 1
    assert seconds_to_stop(container) < 6
    assert container.exit_code() == 0


def test_a_scrape_of_many_labels_holds_up_no_request(start: Start, metrics_image: str, app: App) -> None:
    container = start(app(LABELS), "--env=PROCESSES=2", image=metrics_image).wait()

    def scrape() -> int:
        return requests.get(f"http://{ip(container)}:9090/metrics", timeout=120).status_code

    with ThreadPoolExecutor(1) as scraper, load(container, clients=4) as clients:
        scrapes = [scraper.submit(scrape) for _ in range(5)]
        assert {each.result() for each in scrapes} <= {200, 504}
    assert clients.lost == []
    assert clients.silence < 1


@pytest.mark.parametrize("option", ["--init", "--pid=host"])
def test_the_exit_code_after_a_stop_is_0_without_being_pid_1(start: Start, option: str) -> None:
    for _ in range(3):
        container = start(FAULTY, option).wait()
        docker("stop", container.id)
        assert container.exit_code() == 0


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_line_of_output_ends_the_container(start: Start, app: App, log_format: str) -> None:
    lines = [
        "[" * 100_000,
        '{"time":"' + "[" * 100_000,
        '{"level":"info","source":"app","message":"no time"}',
        "\\xff\\x00",
    ]
    printing = "".join(f"os.write({fd}, {line.encode()!r} + b'\\n')\n" for line in lines for fd in (1, 2))
    code = f"import os\n{printing}\ndef app(environ, start):\n    start('200 OK', [])\n    return [b'ok']\n"
    container = start(app(code), f"--env=LOG_FORMAT={log_format}").wait()
    until(lambda: "no time" in container.log, "the lines are logged")
    assert container.get("/").text == "ok"


def test_supervisorctl_start_all_does_not_end_a_serving_container(start: Start) -> None:
    """supervisorctl starts prestart as well, which fails: the app has no prestart.sh."""
    container = start(FAULTY).wait()
    docker("exec", container.id, "supervisorctl", "start", "all", check=False)
    until(lambda: "prestart.sh" in container.log, "prestart has run")
    with load(container, clients=1) as clients:
        clients.until_answered(20)
    assert container.running


def test_supervisorctl_reload_reloads_the_app(start: Start) -> None:
    container = start(FAULTY, "--env=PROCESSES=1").wait()
    before = container.get("/quick").text
    assert "uwsgi: started" in container.exec("supervisorctl", "reload")
    until(lambda: container.get("/quick").text != before, "a new process answers")
    assert container.running


def test_supervisorctl_update_changes_no_program(start: Start) -> None:
    container = start(FAULTY).wait()
    before = container.exec("supervisorctl", "pid", "all")
    container.exec("supervisorctl", "update")
    assert container.exec("supervisorctl", "pid", "all") == before
    assert container.get("/quick").ok


def test_large_request_headers_take_no_memory_of_pid_1(start: Start) -> None:
    container = start(FAULTY, "--env=PROCESSES=1", "--env=THREADS=256").wait()

    def resident_kilobytes() -> int:
        status = container.exec("cat", "/proc/1/status")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))

    before = resident_kilobytes()
    headers = {"X-Large": "x" * 15_000, "X-Also": "x" * 15_000}
    with ThreadPoolExecutor(200) as clients:
        for _ in range(200):
            clients.submit(container.get, "/sleep?s=8", headers=headers)
        until_in_flight(container, 200)
        assert resident_kilobytes() < before + 8_000
