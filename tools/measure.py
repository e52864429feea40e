"""Prints the figures that README has, measured on this machine with the image IMAGE."""

import http.client
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

BASE, IMAGE, ROUNDS = "debian:trixie-slim", os.environ.get("IMAGE", "wsgi"), 7
REPO = Path(__file__).parent.parent


def docker(*words: str) -> str:
    """Runs a docker command; returns what it printed."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()


def seconds_to_true() -> float:
    """Seconds that the bare base image takes to run `true`."""
    start = time.perf_counter()
    container = docker("run", "--detach", BASE, "true")
    docker("wait", container)
    taken = time.perf_counter() - start
    docker("rm", container)
    return taken


def seconds_to_first_200() -> float:
    """Seconds from `docker run` to the first 200 of /hello."""
    start = time.perf_counter()
    container = docker("run", "--detach", "--publish=127.0.0.1::80", IMAGE)
    try:
        port = int(docker("port", container, "80").splitlines()[0].rsplit(":", 1)[1])
        while not answers(port):
            if time.perf_counter() - start > 30:
                raise SystemExit("no answer within 30 s")
            time.sleep(0.005)
        return time.perf_counter() - start
    finally:
        docker("rm", "--force", container)


def answers(port: int) -> bool:
    """Whether /hello is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/hello")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def idle_memory() -> str:
    """What docker stats shows of a container with 2 processes, 5 s after it has answered 100 requests."""
    container = docker("run", "--detach", "--publish=127.0.0.1::80", "--env=WEB_CONCURRENCY=2", IMAGE)
    try:
        port = int(docker("port", container, "80").splitlines()[0].rsplit(":", 1)[1])
        deadline = time.monotonic() + 30
        while not answers(port) and time.monotonic() < deadline:
            time.sleep(0.05)
        for _ in range(100):
            if not answers(port):
                raise SystemExit("a request failed")
        time.sleep(5)
        return docker("stats", "--no-stream", "--format={{.MemUsage}}", container).split(" /")[0]
    finally:
        docker("rm", "--force", container)


def main() -> None:
    """Measures, contestants interleaved; prints README's table."""
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
