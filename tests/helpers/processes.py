"""Processes of a container, and how to kill them."""

import re

from conftest import REPO, Container

FAULTY = f"--volume={REPO}/tests/apps/faulty:/app:ro"
"""Option of `docker run`: the app in tests/apps/faulty."""

NAMES = {
    "uWSGI worker": r"^uWSGI worker",
    "uWSGI master": r"^uWSGI master",
    "nginx worker": r"^nginx: worker",
    "nginx master": r"^nginx: master",
}


def processes(container: Container, name: str) -> list[int]:
    """The process ids, in the container, of those with a name."""
    listing = container.exec(
        "sh", "-c", "for p in /proc/[0-9]*; do echo ${p#/proc/} $(tr '\\0' ' ' < $p/cmdline); done"
    )
    found = (line.split(" ", 1) for line in listing.splitlines() if " " in line)
    return [int(pid) for pid, words in found if re.search(NAMES[name], words)]


def kill(container: Container, name: str) -> int:
    """Kills the first process of that name; returns its id."""
    pid = processes(container, name)[0]
    container.exec("sh", "-c", f"kill -9 {pid}")
    return pid
