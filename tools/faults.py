"""Measure faults into bench/faults.json, then run the fault tests several times: tools/faults.py ROUNDS.

ROUNDS may be 0. `python -m bench.overview` writes the tables of docs/operations.md from the file.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPO = Path(__file__).parent.parent
sys.path[:0] = [str(REPO / "tests"), str(REPO / "tests/helpers")]

from conftest import Container, build, docker, lay_out, until  # noqa: E402
from load import SLOW, load  # noqa: E402
from processes import FAULTY, counts, kill, processes  # noqa: E402

FAULTS = REPO / "bench/faults.json"

MEASUREMENTS = 5
"""Measurements of each fault."""

MEASURE_SECONDS = 3
"""Duration of a measurement of latency."""

CONNECT_SECONDS = 2.5
"""Time in which slowhttptest opens its connections."""


@contextmanager
def running(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """Run a container of the app in tests/apps/faulty."""
    container = Container(image, (FAULTY, "--env=PROCESSES=2", *options), command, publish=True)
    try:
        until(lambda: container.answers("/quick"), "it answers")
        yield container
    finally:
        docker("rm", "--force", container.id)


def death(image: str, name: str) -> tuple[float, int]:
    """Kill a process under the load of 16 clients; return the longest time without a response and the lost requests."""
    with running(image) as container:
        before = counts(container)
        with load(container) as clients:
            clients.until_answered(2000)
            killed = kill(container, name)
            until(lambda: killed not in processes(container, name) and counts(container) == before, "it is replaced")
            clients.until_answered(2000)
        return clients.silence, len(clients.lost)


def stop(image: str) -> tuple[float, int]:
    """Stop under the load of 16 clients with requests of 50 ms; return the time it took, and the lost requests."""
    with running(image) as container:
        with load(container, path="/sleep?s=0.05") as clients:
            clients.until_answered(200)
            began = time.monotonic()
            docker("stop", container.id)
            taken = time.monotonic() - began
        return taken, len(clients.lost)


def reload(image: str) -> tuple[float, int]:
    """Reload under the load of 16 clients; return the time until only new processes answer, and the lost requests."""
    with running(image) as container:
        old = {container.get("/quick").text for _ in range(20)}
        with load(container) as clients:
            began = time.monotonic()
            docker("kill", "--signal=HUP", container.id)
            until(lambda: not old & {container.get("/quick").text for _ in range(20)}, "new processes answer")
            taken = time.monotonic() - began
        return taken, len(clients.lost)


def measured(fault: str, measure: Callable[[], tuple[float, int]]) -> dict[str, Any]:
    """Measure a fault several times; return the seconds and the lost requests of each time."""
    seconds, lost = zip(*(measure() for _ in range(MEASUREMENTS)), strict=True)
    print(f"{fault}: {seconds} s, lost {lost}", flush=True)
    return {"seconds": [round(value, 3) for value in seconds], "lost": lost}


def slow_clients(image: str, kind: str, command: tuple[str, ...]) -> dict[str, Any]:
    """Return the ratios of the p99 of 4 ordinary clients beside slow ones to that without, and the lost requests."""
    ratios, lost = [], 0
    for _ in range(MEASUREMENTS):
        with running(image, command=command) as container:
            with load(container, clients=4) as before:
                time.sleep(MEASURE_SECONDS)
            words = ["slowhttptest", *SLOW[kind].split(), "-l", "7", "-u", container.url("/quick")]
            slow = subprocess.Popen(words, stdout=subprocess.DEVNULL)
            time.sleep(CONNECT_SECONDS)
            with load(container, clients=4) as beside:
                time.sleep(MEASURE_SECONDS)
            slow.wait()
        lost += len(beside.lost)
        if beside.answered:
            ratios.append(beside.percentile(0.99) / before.percentile(0.99))
    print(f"beside {kind}, {command[:1] or 'ours'}: p99 {ratios} times, lost {lost}", flush=True)
    return {"ratios": [round(value, 2) for value in ratios], "lost": lost}


def measure_all() -> dict[str, Any]:
    """Return the measurements of all faults, and of gunicorn's sync workers beside slow clients."""
    image = build()
    faults = {
        f"`kill -9` of the {name}": measured(name, lambda name=name: death(image, name))
        for name in ("uWSGI worker", "uWSGI master", "nginx worker", "nginx master")
    }
    faults["`docker stop`"] = measured("stop", lambda: stop(image))
    faults["reload"] = measured("reload", lambda: reload(image))
    with tempfile.TemporaryDirectory() as tree:
        gunicorn = build(lay_out(Path(tree), "faulty", **{"requirements.txt": "gunicorn==27.*\n"}))
    sync = ("gunicorn", "--bind=0.0.0.0:80", "--workers=5", "routes:app")
    slow = {
        kind: {
            "this template": slow_clients(image, kind, ()),
            "gunicorn, 5 sync workers": slow_clients(gunicorn, kind, sync),
        }
        for kind in SLOW
    }
    return {"when": datetime.now(UTC).date().isoformat(), "faults": faults, "slow clients": slow}


def main(rounds: int) -> None:
    """Write the measurements, then print the result of each round."""
    FAULTS.write_text(json.dumps(measure_all(), indent=1) + "\n")
    passed = 0
    tests = ["tests/start/test_start.py", *(f"tests/pid1/test_{name}.py" for name in ("deaths", "stop", "reload"))]
    for number in range(1, rounds + 1):
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", *tests], cwd=REPO, capture_output=True, text=True)
        passed += done.returncode == 0
        print(f"round {number}: {done.stdout.splitlines()[-1]}", flush=True)
        if done.returncode:
            print(done.stdout)
    if rounds:
        print(f"{passed} of {rounds} rounds passed")


if __name__ == "__main__":
    main(int(sys.argv[1]))
