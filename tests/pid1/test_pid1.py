"""PID 1 supervises: no log reader, scrape or line of output holds up a request or a stop."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from admin_port import ip
from conftest import REPO, Container, docker, until
from load import load
from processes import FAULTY

pytestmark = pytest.mark.alone

Start = Callable[..., Container]

ENTRYPOINT = json.loads(
    next(line for line in (REPO / "Dockerfile").read_text().splitlines() if line.startswith("ENTRYPOINT")).split(
        " ", 1
    )[1]
)
STALLING_READER = (
    "mkfifo /tmp/output; (head -c 1000000 > /dev/null; sleep 600) < /tmp/output & exec "
    + " ".join(ENTRYPOINT)
    + " > /tmp/output"
)

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
    container = start(FAULTY, "--env=PROCESSES=2", "--entrypoint=sh", command=("-c", STALLING_READER)).wait()
    with load(container, clients=4, path="/quick?" + "x" * 5000) as clients:
        time.sleep(6)
    assert clients.answered * 5000 > 2_000_000
    assert clients.lost == []
    assert clients.silence < 1
    metrics = requests.get(f"http://{ip(container)}:9090/metrics", timeout=20).text
    assert "wsgi_log_dropped_lines_total 0" not in metrics
    began = time.monotonic()
    docker("stop", container.id)
    assert container.exit_code() == 0
    assert time.monotonic() - began < 6


def test_a_scrape_of_many_labels_holds_up_no_request(start: Start, metrics_image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "routes.py").write_text(LABELS)
    container = start(f"--volume={tmp_path}:/app:ro", "--env=PROCESSES=2", image=metrics_image).wait()
    over = threading.Event()

    def scrape() -> None:
        while not over.is_set():
            assert requests.get(f"http://{ip(container)}:9090/metrics", timeout=120).status_code in (200, 504)

    scraping = threading.Thread(target=scrape)
    with load(container, clients=4) as before:
        time.sleep(5)
    scraping.start()
    try:
        with load(container, clients=4) as beside:
            time.sleep(8)
    finally:
        over.set()
        scraping.join()
    assert beside.lost == [] == before.lost
    assert beside.silence < 1


@pytest.mark.parametrize("option", ["--init", "--pid=host"])
def test_the_exit_code_after_a_stop_is_0_without_being_pid_1(start: Start, option: str) -> None:
    for _ in range(3):
        container = start(FAULTY, option).wait()
        docker("stop", container.id)
        assert container.exit_code() == 0


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_line_of_output_ends_the_container(start: Start, tmp_path: Path, log_format: str) -> None:
    tmp_path.chmod(0o755)
    lines = [
        "[" * 100_000,
        '{"time":"' + "[" * 100_000,
        '{"level":"info","source":"app","message":"no time"}',
        "\\xff\\x00",
    ]
    printing = "".join(f"os.write({fd}, {line.encode()!r} + b'\\n')\n" for line in lines for fd in (1, 2))
    (tmp_path / "routes.py").write_text(
        f"import os\n{printing}\ndef app(environ, start):\n    start('200 OK', [])\n    return [b'ok']\n"
    )
    container = start(f"--volume={tmp_path}:/app:ro", f"--env=LOG_FORMAT={log_format}").wait()
    until(lambda: "no time" in container.log, "the lines are logged")
    assert container.get("/").text == "ok"


def test_supervisorctl_reload_reloads_the_app(start: Start) -> None:
    container = start(FAULTY, "--env=PROCESSES=1").wait()
    before = container.get("/quick").text
    assert "uwsgi: started" in container.exec("supervisorctl", "reload")
    until(lambda: container.get("/quick").text != before, "a new process answers")
    assert container.running


def test_large_request_headers_take_no_memory_of_pid_1(start: Start) -> None:
    container = start(FAULTY, "--env=PROCESSES=1", "--env=THREADS=256").wait()

    def resident_kilobytes() -> int:
        status = container.exec("cat", "/proc/1/status")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))

    before = resident_kilobytes()
    headers = {"X-Large": "x" * 15_000, "X-Also": "x" * 15_000}
    threads = [
        threading.Thread(target=container.get, args=("/sleep?s=4",), kwargs={"headers": headers}) for _ in range(200)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert resident_kilobytes() < before + 8_000
