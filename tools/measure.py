"""Measure size, idle memory and startup time of the image IMAGE on this machine."""

import http.client
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

BASE, IMAGE = "debian:trixie-slim", os.environ.get("IMAGE", "wsgi")
ROUNDS = 7
DEADLINE_SECONDS = 30
"""A container must answer within this time."""
IDLE_SECONDS = 5
"""Time after the last request at which idle memory is measured."""


def docker(*words: str) -> str:
    """Run a docker command; return its output."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()


def seconds_to_true() -> float:
    """Measure how long the bare base image takes to run `true`."""
    start = time.perf_counter()
    container = docker("run", "--detach", BASE, "true")
    docker("wait", container)
    taken = time.perf_counter() - start
    docker("rm", container)
    return taken


@contextmanager
def serving(*options: str) -> Iterator[tuple[str, int]]:
    """Run a container; yield its id and its public port once /hello is answered with 200."""
    container = docker("run", "--detach", "--publish=127.0.0.1::80", *options, IMAGE)
    try:
        port = int(docker("port", container, "80").splitlines()[0].rsplit(":", 1)[1])
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not answers(port):
            if time.monotonic() > deadline:
                raise SystemExit(f"no response within {DEADLINE_SECONDS} s")
            time.sleep(0.005)
        yield container, port
    finally:
        docker("rm", "--force", container)


def answers(port: int) -> bool:
    """Return True if /hello is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/hello")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def seconds_to_first_200() -> float:
    """Measure the time from `docker run` to the first 200 of /hello."""
    start = time.perf_counter()
    with serving():
        return time.perf_counter() - start


def idle_memory() -> str:
    """Return the memory of an idle container with 2 processes after 100 requests, as `docker stats` shows it."""
    with serving("--env=PROCESSES=2") as (container, port):
        if not all(answers(port) for _ in range(100)):
            raise SystemExit("a request failed")
        time.sleep(IDLE_SECONDS)
        return docker("stats", "--no-stream", "--format={{.MemUsage}}", container).split(" /")[0]


def main() -> None:
    """Measure, start by start in turns with the base image; print the table."""
    starts, trues = zip(*((seconds_to_first_200(), seconds_to_true()) for _ in range(ROUNDS)), strict=True)
    first, true = statistics.median(starts), statistics.median(trues)
    print("| what | measured |\n| --- | --- |")
    size = int(docker("image", "inspect", "--format={{.Size}}", IMAGE)) / 1e6
    print(f"| image, as `docker images` shows it | {size:.0f} MB |")
    print(f"| idle memory with 2 processes, as `docker stats` shows it | {idle_memory()} |")
    print(
        f"| `docker run` to the first 200, median of {ROUNDS} (bare base image running `true`: {true:.2f} s) "
        f"| {first:.2f} s, {first / true:.1f} times |"
    )
    print(f"\n{platform.system()} {platform.machine()}, engine {docker('version', '--format={{.Server.Version}}')}")


if __name__ == "__main__":
    main()
