"""What README says of faults, measured; then the fault tests again and again: tools/soak.py ROUNDS.

With ROUNDS 0 it measures only.
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
from processes import FAULTY, kill  # noqa: E402

TIMES = 5
"""How often each thing is measured; README has the median of times, and the most that was lost."""


@contextmanager
def running(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """A container of the faulty app."""
    container = Container(image, (FAULTY, "--env=WEB_CONCURRENCY=2", *options), command, publish=True)
    try:
        until(lambda: container.answers("/quick"), "it answers")
        yield container
    finally:
        docker("rm", "--force", container.id)


def death(image: str, name: str) -> tuple[float, int]:
    """Kills a process under the load of 16 clients: the longest time without an answer, and what was lost."""
    with running(image) as container:
        with load(container) as clients:
            time.sleep(0.5)
            kill(container, name)
            time.sleep(1.5)
        return clients.silence, len(clients.lost)


def stop(image: str) -> tuple[float, int]:
    """Stops under the load of 16 clients, each request 50 ms: how long it took, and what was lost."""
    with running(image) as container:
        with load(container, path="/sleep?s=0.05") as clients:
            time.sleep(1)
            began = time.monotonic()
            docker("stop", container.id)
            taken = time.monotonic() - began
        return taken, len(clients.lost)


def reload(image: str) -> tuple[float, int]:
    """Reloads under the load of 16 clients: how long until only new processes answer, and what was lost."""
    with running(image) as container:
        old = {container.get("/quick").text for _ in range(20)}
        with load(container) as clients:
            began = time.monotonic()
            docker("kill", "--signal=HUP", container.id)
            until(lambda: not old & {container.get("/quick").text for _ in range(20)}, "new processes answer")
            taken = time.monotonic() - began
        return taken, len(clients.lost)


def print_row(what: str, measure: Callable[[], tuple[float, int]]) -> None:
    """Measures one thing several times, and prints it as a row of the table."""
    taken, lost = zip(*(measure() for _ in range(TIMES)), strict=True)
    print(f"| {what} | {median(taken):.2f} s | {max(lost)} |", flush=True)


def slow_clients(image: str, kind: str, command: tuple[str, ...]) -> str:
    """How much longer the p99 of 4 ordinary clients is beside slow ones, and how many of their requests are lost."""
    ratios, lost = [], 0
    for _ in range(TIMES):
        with running(image, command=command) as container:
            with load(container, clients=4) as before:
                time.sleep(3)
            words = ["slowhttptest", *SLOW[kind].split(), "-l", "7", "-u", container.url("/quick")]
            slow = subprocess.Popen(words, stdout=subprocess.DEVNULL)
            time.sleep(2.5)
            with load(container, clients=4) as beside:
                time.sleep(3)
            slow.wait()
        lost += len(beside.lost)
        if beside.answered:
            ratios.append(beside.percentile(0.99) / before.percentile(0.99))
    return f"{median(ratios):.1f} times, {lost} lost" if ratios else f"no answer, {lost} lost"


def main(rounds: int) -> None:
    """Prints the tables, and then how many of the rounds passed."""
    image = build()
    print(
        "| what happens under load | longest silence, or time it takes | requests lost, of some 5,000 |\n"
        "| --- | --- | --- |"
    )
    for name in ("uWSGI worker", "uWSGI master", "nginx worker", "nginx master"):
        print_row(f"`kill -9` of the {name}", lambda name=name: death(image, name))
    print_row("`docker stop`", lambda: stop(image))
    print_row("reload", lambda: reload(image))

    with tempfile.TemporaryDirectory() as tree:
        gunicorn = build(lay_out(Path(tree), "faulty", **{"requirements.txt": "gunicorn==27.*\n"}))
    sync = ("gunicorn", "--bind=0.0.0.0:80", "--workers=5", "routes:app")
    print("\n| beside slow connections, p99 of 4 clients | this | gunicorn, 5 sync workers |\n| --- | --- | --- |")
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
