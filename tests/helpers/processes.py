"""Processes of a container, and how to end them."""

import re
import time

from conftest import REPO, Container, docker

FAULTY = f"--volume={REPO}/tests/apps/faulty:/app:ro"
"""Option of `docker run`: the app in tests/apps/faulty."""

NAMES = {
    "uWSGI worker": r"^uWSGI worker",
    "uWSGI master": r"^uWSGI master",
    "nginx worker": r"^nginx: worker",
    "nginx master": r"^nginx: master",
}
"""Regular expression of the command line, by process name."""


def processes(container: Container, name: str) -> list[int]:
    """Return the process ids, in the container, of the processes with that name."""
    listing = container.exec(
        "sh", "-c", "for p in /proc/[0-9]*; do echo ${p#/proc/} $(tr '\\0' ' ' < $p/cmdline); done"
    )
    found = (line.split(" ", 1) for line in listing.splitlines() if " " in line)
    return [int(pid) for pid, command in found if re.search(NAMES[name], command)]


def counts(container: Container) -> dict[str, int]:
    """Return the number of processes of each name."""
    return {name: len(processes(container, name)) for name in NAMES}


def kill(container: Container, name: str) -> int:
    """Kill the first process with that name; return its id."""
    pid = processes(container, name)[0]
    container.exec("sh", "-c", f"kill -9 {pid}")
    return pid


def seconds_to_stop(container: Container) -> float:
    """Stop the container; return the duration."""
    began = time.monotonic()
    docker("stop", "--time=20", container.id)
    return time.monotonic() - began
