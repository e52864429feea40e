"""Deployment of the branch's newest commit: pull, test, switch, reload. If a step fails, the old release stays."""

import fcntl
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = os.environ["REPOSITORY"]
BRANCH = os.environ.get("BRANCH", "main")

DATA = Path("/data")
RELEASES = DATA / "releases"
CURRENT = DATA / "current"
"""Link to the release that serves."""

STEP_SECONDS = 60
"""Longest time of a step."""


class Failed(Exception):
    """A step failed: `pull`, `tests` or `reload`. Its output is in the log."""

    def __init__(self, step):
        super().__init__(step)
        self.step = step


class Queued(Exception):
    """A deployment that has not begun yet will include everything that has been pushed so far."""


def deploy():
    """Deploy the newest commit, and return it. Raises Failed or Queued."""
    with turn():
        before = CURRENT.resolve() if CURRENT.exists() else None
        release = RELEASES / str(time.time_ns())
        try:
            run("pull", "git", "clone", "--quiet", "--depth=1", "--branch", BRANCH, "--", REPOSITORY, release)
            # The tests must not reach the database and the secrets of the app that serves.
            run("tests", "python3", "-m", "unittest", cwd=release, env={"PATH": os.environ["PATH"]})
            switch(release)
            if before:
                reload(before)
        except BaseException:
            shutil.rmtree(release, ignore_errors=True)
            raise
        # Requests that began before the reload may still read files of the release before.
        for folder in set(RELEASES.iterdir()) - {release, before}:
            shutil.rmtree(folder, ignore_errors=True)
        return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=release, text=True).strip()


@contextmanager
def turn():
    """Let one deployment run and one wait. Raises Queued if another one waits already."""
    with (DATA / "running").open("w") as running:
        with (DATA / "waiting").open("w") as waiting:
            try:
                fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Queued from None
            fcntl.flock(running, fcntl.LOCK_EX)
        yield


def run(step, *command, **options):
    """Run a command without a shell. Its output goes to the log. Raises Failed."""
    limit = "timeout", "--kill-after=5", str(STEP_SECONDS)
    if subprocess.run([*limit, *command], stdin=subprocess.DEVNULL, **options).returncode:
        raise Failed(step)


def switch(release):
    """Let the link point to another release, in one step."""
    link = DATA / "next"
    link.unlink(missing_ok=True)
    link.symlink_to(release)
    link.replace(CURRENT)


def reload(before):
    """Load the code of the new release. If that fails, return to the release before."""
    try:
        run("reload", "supervisorctl", "restart", "uwsgi")
    except Failed:
        switch(before)
        # The new code may still be loading.
        run("reload", "supervisorctl", "restart", "uwsgi")
        raise


if __name__ == "__main__":
    deploy()
