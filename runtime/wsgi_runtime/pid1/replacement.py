"""Replacement of one uWSGI instance by the next, on the same listening socket.

A reload, a recycling and `supervisorctl restart uwsgi` are this one mechanism. The next instance starts beside the
current one. When each of its workers has loaded the app, the next instance becomes the current one, and the old one is
retired. If the next instance fails, the current one keeps serving.
"""

import contextlib
import copy
import enum
import time
from pathlib import Path
from typing import Any

from supervisor.states import ProcessStates

from wsgi_runtime.pid1.banks import CURRENT, NEXT, Banks
from wsgi_runtime.pid1.options import OOM_SCORES
from wsgi_runtime.pid1.orphans import children
from wsgi_runtime.pid1.retirement import Retirement

MAX_LOADING_SECONDS = 600
"""A next instance that has not loaded the app within this time has failed."""

MAX_STARTING_SECONDS = 15
"""A next instance without a worker after this time has failed: uWSGI does not repeat a fork that failed."""

WARNING_SECONDS = 30
"""Time between two warnings that the next instance is still loading the app."""

MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 10, 300
"""Time after a failure until a recycling is tried again. It doubles with each failure."""


class State(enum.Enum):
    """Steps of a replacement."""

    IDLE = "no replacement is wanted"
    REQUESTED = "the next instance starts as soon as one more can be retired"
    LOADING = "the next instance loads the app"


class Replacement:
    """Starts the next instance, promotes it, and retires the old one."""

    def __init__(self, group: Any, banks: Banks, logger: Any, values: dict[str, str]) -> None:
        """`group` is supervisor's process group of uWSGI, `logger` is supervisor's."""
        self.state = State.IDLE
        self.results = {"success": 0, "failure": 0}
        self._group = group
        self._banks = banks
        self._logger = logger
        self._retirement = Retirement(values)
        self._config = copy.copy(group.processes[CURRENT].config)
        self._preload = values["PRELOAD"] != "0"
        self._reason = ""
        self._loading_since = self._warned_at = self._retry_at = 0.0
        self._retry_seconds = MIN_RETRY_SECONDS

    @property
    def active(self) -> bool:
        """True while a replacement is under way."""
        return self.state is not State.IDLE

    def start(self, reason: str) -> None:
        """Replace the current instance. If the next one loads already, it may have old code, or hang: it is retired."""
        if self.state is State.LOADING:
            self._retire(NEXT)
        self.state, self._reason = State.REQUESTED, reason

    def recycle(self, reason: str) -> None:
        """Replace the current instance, unless a replacement is under way or has just failed."""
        if self.state is State.IDLE and time.monotonic() >= self._retry_at:
            self.start(reason)

    def tick(self) -> None:
        """Take the next step, without waiting."""
        self._retirement.tick()
        if self.state is State.REQUESTED:
            self._start_next()
        elif self.state is State.LOADING:
            self._check_next()

    def ended(self, process: Any) -> None:
        """Record the end of an instance."""
        self._banks.release(process)
        if process.config.name == CURRENT:
            return
        self._group.processes.pop(process.config.name, None)
        self._retirement.remove(process)
        if process.config.name == NEXT:
            self._failed(f"it ended with exit code {process.exitstatus}")

    def _start_next(self) -> None:
        if not self._group.processes[CURRENT].pid:
            self.state = State.IDLE  # when it starts again, it loads the new code
            return
        if not self._retirement.has_room():
            return
        self._logger.info(f"{self._reason}: starting a new uWSGI beside the current one")
        config = copy.copy(self._config)
        config.name, config.autorestart = NEXT, False
        process = self._group.processes[NEXT] = config.make_process(self._group)
        self._loading_since = self._warned_at = time.monotonic()
        self.state = State.LOADING
        process.spawn()
        self._banks.tick()
        if not process.pid:
            del self._group.processes[NEXT]
            self._failed(process.spawnerr)

    def _check_next(self) -> None:
        process = self._group.processes[NEXT]
        bank: Any = self._banks.of(process)
        seconds = time.monotonic() - self._loading_since
        if process.state == ProcessStates.RUNNING and bank.is_serving():
            self._promote()
        elif seconds > MAX_LOADING_SECONDS:
            self._retire(NEXT)
            self._failed(f"it has not loaded the app within {MAX_LOADING_SECONDS} s")
        elif seconds > MAX_STARTING_SECONDS and not self._preload and not _has_workers(process, bank):
            self._retire(NEXT)
            self._failed("its workers could not be started")
        elif time.monotonic() - self._warned_at > WARNING_SECONDS:
            self._warned_at = time.monotonic()
            self._logger.warn(f"the new uWSGI is still loading the app after {seconds:.0f} s")

    def _promote(self) -> None:
        self._logger.info("the new uWSGI has loaded the app and takes over")
        process = self._group.processes[NEXT]
        if self._group.processes[CURRENT].pid:
            self._retire(CURRENT)
        del self._group.processes[NEXT]
        process.config.name, process.config.autorestart = CURRENT, self._config.autorestart
        self._group.processes[CURRENT] = process
        bank: Any = self._banks.of(process)
        for pid in (process.pid, *(worker.pid for worker in bank.workers)):
            with contextlib.suppress(OSError):  # a worker may have ended
                Path(f"/proc/{pid}/oom_score_adj").write_text(str(OOM_SCORES[CURRENT]))
        self.state = State.IDLE
        self.results["success"] += 1
        self._retry_at, self._retry_seconds = 0.0, MIN_RETRY_SECONDS

    def _retire(self, name: str) -> None:
        process = self._group.processes.pop(name)
        process.config = copy.copy(process.config)
        process.config.name, process.config.autorestart = f"uwsgi-old-{process.pid}", False
        self._group.processes[process.config.name] = process
        bank: Any = self._banks.of(process)
        self._retirement.add(process, bank)

    def _failed(self, reason: str) -> None:
        self.state = State.IDLE
        self.results["failure"] += 1
        self._logger.error(f"the new uWSGI failed, the old code keeps serving: {reason}")
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, MAX_RETRY_SECONDS)


def _has_workers(process: Any, bank: Any) -> bool:
    """Return True if the master has forked a worker, which may take long until it writes to the scoreboard."""
    try:
        return any(worker.starts for worker in bank.workers) or bool(children(process.pid))
    except OSError:  # some kernels and sandboxes have no such file
        return True
