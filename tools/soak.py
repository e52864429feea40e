"""Measure the faults of docs/operations.md, then run the fault tests several times: tools/soak.py ROUNDS.

ROUNDS may be 0.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

REPO = Path(__file__).parent.parent
sys.path[:0] = [str(REPO / "tests"), str(REPO / "tests/helpers")]

from conftest import Container, build, docker, lay_out, until  # noqa: E402
from load import SLOW, load  # noqa: E402
from processes import FAULTY, counts, kill, processes  # noqa: E402

MEASUREMENTS = 5
"""Measurements of each fault. The tables have the median of the times and the maximum of the lost requests."""

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


def print_row(fault: str, measure: Callable[[], tuple[float, int]]) -> None:
    """Measure a fault several times, and print a row of the table."""
    taken, lost = zip(*(measure() for _ in range(MEASUREMENTS)), strict=True)
    print(f"| {fault} | {median(taken):.2f} s | {max(lost)} |", flush=True)


def slow_clients(image: str, kind: str, command: tuple[str, ...]) -> str:
    """Return the ratio of the p99 of 4 ordinary clients beside slow ones to that without, and the lost requests."""
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
    return f"{median(ratios):.1f} times, {lost} lost" if ratios else f"no response, {lost} lost"


def main(rounds: int) -> None:
    """Print the tables, then the result of each round."""
    image = build()
    print("| under load | longest silence, or time until done | requests lost |\n| --- | --- | --- |")
    for name in ("uWSGI worker", "uWSGI master", "nginx worker", "nginx master"):
        print_row(f"`kill -9` of the {name}", lambda name=name: death(image, name))
    print_row("`docker stop`", lambda: stop(image))
    print_row("reload", lambda: reload(image))

    with tempfile.TemporaryDirectory() as tree:
        gunicorn = build(lay_out(Path(tree), "faulty", **{"requirements.txt": "gunicorn==27.*\n"}))
    sync = ("gunicorn", "--bind=0.0.0.0:80", "--workers=5", "routes:app")
    heads = ("beside slow connections, p99 of 4 clients", "this template", "gunicorn, 5 sync workers")
    print(f"\n| {' | '.join(heads)} |\n| --- | --- | --- |")
    for kind in SLOW:
        print(f"| {kind} | {slow_clients(image, kind, ())} | {slow_clients(gunicorn, kind, sync)} |", flush=True)

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
