"""What the tests of Swarm and of Kubernetes share: images of several versions of an app, and clients."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from compose import POSTGRES, build_app, supply
from conftest import REPO, SESSION_LABEL, docker, until
from load import Load, run

HAPROXY = "haproxy:3.0"
"""Image that deploy/swarm/stack.yaml names."""

CLIENTS, PAUSE_SECONDS = 8, 0.05
"""The machine's CPUs are shared by clients, proxies, nodes and database."""

RECOVERY_SECONDS = 2
"""Time after which all requests succeed again once the database answers."""

STATE_ROUTE = """

@app.get("/state")
def state():
    import hashlib

    secret = hashlib.sha256(os.environ["SECRET_KEY"].encode()).hexdigest()
    return {"version": os.environ["APP_VERSION"], "secret": secret, "setting": os.environ["DATABASE_URL"]}
"""
"""Route of the app of the tests: what a deployment changes."""

UNHEALTHY = """

@app.before_request
def unhealthy():
    abort(500)
"""

VERSIONS = {"one": STATE_ROUTE, "two": STATE_ROUTE, "unhealthy": UNHEALTHY, "broken": "\n\nimport nowhere\n"}
"""Code that each version of examples/books has in addition."""


STEP_SECONDS = 240
"""Seconds that a step may take on a slow machine."""


class Cluster(Protocol):
    """Swarm or Kubernetes: the network namespace that its nodes share, and the addresses that clients ask."""

    hub: str
    urls: tuple[str, ...]


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds that asks a cluster: each question starts a program."""
    until(condition, what, STEP_SECONDS, pause=0.5)


def image(version: str) -> str:
    """Return the name of the image of a version."""
    return f"wsgi-test-{os.getpid()}:{version}"


def save_images(folder: Path) -> dict[str, Path]:
    """Build all versions of the app, PostgreSQL and HAProxy. Return the archives `app`, `postgres` and `haproxy`."""
    docker("tag", build_app("examples/books"), image("books"))
    code = (REPO / "examples/books/routes.py").read_text()
    for version, more in VERSIONS.items():
        context = folder / version
        context.mkdir()
        (context / "routes.py").write_text(code + more)
        (context / "Dockerfile").write_text(f"FROM {image('books')}\nCOPY routes.py /app/\nENV APP_VERSION={version}\n")
        docker("build", "--quiet", "--label", SESSION_LABEL, "--tag", image(version), str(context))
    supply(POSTGRES, "postgres")
    supply(HAPROXY, "haproxy")
    archives = {}
    for group, names in (("app", map(image, VERSIONS)), ("postgres", [POSTGRES]), ("haproxy", [HAPROXY])):
        archives[group] = folder / f"{group}.tar"
        docker("save", "--output", str(archives[group]), *names)
    docker("image", "rm", *map(image, ["books", *VERSIONS]))
    return archives


@contextmanager
def clients(namespace: str, urls: tuple[str, ...], path: str = "/books") -> Iterator[Load]:
    """Run clients in a network namespace until the block ends. Each sends some 20 requests a second.

    Half of them keep their connections open, the others open a new one for each request.
    """
    program = [sys.executable, "-I", str(REPO / "tests/helpers/load_client.py")]
    words = ["nsenter", f"--net=/run/netns/{namespace}", *program]
    with run([*words, str(CLIENTS), path, "half", str(PAUSE_SECONDS), *urls]) as running:
        running.until_answered(2 * CLIENTS, 60)
        yield running
        running.until_answered(2 * CLIENTS, 60)


def states(namespace: str, url: str, count: int) -> list[dict]:
    """Return what `count` requests of /state answer, sent from a network namespace."""
    fetch = ["curl", "--silent", "--insecure", "--max-time", "5", "--fail", *count * [f"{url}/state"]]
    done = subprocess.run(["nsenter", f"--net=/run/netns/{namespace}", *fetch], capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.replace("}", "}\n").splitlines() if line.strip()]


@contextmanager
def case(cluster: Cluster, name: str, lost: int = 0) -> Iterator[Load]:
    """Run a case under load, and report it; fail if more than `lost` requests fail."""
    with clients(cluster.hub, cluster.urls) as load:
        began = time.monotonic()
        yield load
        seconds = time.monotonic() - began
    report(name, load, seconds)
    assert len(load.failed) <= lost, load.failed[:20]


def report(case: str, load: Load, seconds: float) -> None:
    """Print a row for the tables of docs/swarm.md and docs/kubernetes.md (pytest -s)."""
    print(f"| {case} | {len(load.failed)} of {len(load.outcomes):,} | {seconds:.0f} s |", file=sys.stderr)
