"""Replacement of one uWSGI instance by the next, on the same listening socket.

A reload, a recycling and a restart are all this: a new instance starts beside the one that serves. When each of its
workers has loaded the app it takes over, and the old one is retired: it finishes its requests. If the new one does not
come up, for whatever reason, the old one goes on serving.
"""

import copy
import enum
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.states import ProcessStates

from wsgi_runtime.pid1.options import OOM_SCORES
from wsgi_runtime.scoreboard import Bank, Scoreboard, exists

CURRENT, NEXT = "uwsgi", "uwsgi-next"

MAX_LOADING_SECONDS = 600
"""A new instance that has not loaded the app by then is given up."""

MAX_STARTING_SECONDS = 15
"""A new instance none of whose workers has started by then is given up: uWSGI doesn't repeat a fork that failed."""

SLOW_LOADING_SECONDS = 30
"""From then on the log says that it still loads."""

MAX_RETIREMENT_SECONDS = 3600
"""A retired instance may finish its requests; what still flows then is cut."""

MAX_RETIRED = 2
"""Retired instances at a time; a further replacement waits."""

MAX_RETRY_SECONDS = 300
"""Longest time between two tries of a replacement that nobody has asked for."""


class State(enum.Enum):
    """What a replacement is doing."""

    IDLE = "idle"
    LOADING = "loading"


@dataclass
class Retired:
    """An instance that finishes its requests."""

    process: Any
    bank: Bank
    since: float = field(default_factory=time.monotonic)
    idle_since: float = field(default_factory=time.monotonic)
    told: set[int] = field(default_factory=set)
    """Workers that were told to finish after they had loaded the app: while they load it they forget signals."""


class Replacement:
    """Starts the next instance, promotes it, and retires the old one."""

    def __init__(self, group: Any, board: Scoreboard, logger: Any, values: dict[str, str]) -> None:
        """`group` is supervisor's process group of uWSGI, `logger` supervisor's."""
        self.state = State.IDLE
        self.results = {"success": 0, "failure": 0}
        self.retired: list[Retired] = []
        self._group = group
        self._board = board
        self._logger = logger
        self._template = copy.copy(group.processes[CURRENT].config)
        self._request_timeout = int(values["REQUEST_TIMEOUT"])
        self._grace_period = int(values["GRACE_PERIOD"])
        self._debug = values["DEBUG"] == "1"
        self._banks: dict[int, Bank] = {}
        self._last_bank = -1
        self._pending = ""
        self._loading_since = self._warned_at = 0.0
        self._retry_at = 0.0
        self._retry_seconds = 10

    # --- banks of the scoreboard ---

    def bank(self, pid: int) -> Bank | None:
        """Return the bank of an instance, by its master's process id."""
        return self._banks.get(pid)

    def assign_banks(self) -> None:
        """Give each instance that has just started a bank; its workers wait for it."""
        for process in self._group.processes.values():
            if process.pid and process.pid not in self._banks:
                used = set(self._banks.values())
                following = self._board.banks[self._last_bank + 1 :] + self._board.banks[: self._last_bank + 1]
                bank = next(bank for bank in following if bank not in used)
                bank.clear()
                bank.master = process.pid
                self._last_bank = bank.index
                self._banks[process.pid] = bank

    def release_bank(self, pid: int) -> None:
        """An instance has ended. Workers that a killed master left may still write to the bank: it is reused last."""
        if bank := self._banks.pop(pid, None):
            bank.master = 0

    # --- what others ask for ---

    def start(self, reason: str) -> None:
        """Replace the instance that serves; when that is being done already, once more."""
        self._pending = reason

    def suggest(self, reason: str) -> None:
        """Replace the instance unless that is being done, or has just failed."""
        if self.state is State.IDLE and not self._pending and time.monotonic() >= self._retry_at:
            self._pending = reason

    @property
    def active(self) -> bool:
        """True while somebody waits for it."""
        return bool(self._pending) or self.state is not State.IDLE

    # --- what happens ---

    def tick(self) -> None:
        """Go on as far as possible without waiting."""
        self._end_retired()
        if self._pending:
            self._start_next()
        if self.state is State.LOADING:
            self._look_at_next()

    def _start_next(self) -> None:
        if not self._group.processes[CURRENT].pid:
            self._pending = ""  # the next start loads the new code anyway
            return
        if self.state is State.LOADING:
            self._retire(NEXT)  # it may have loaded old code, or hang
            self.state = State.IDLE
        if len(self.retired) >= MAX_RETIRED:
            if self._debug:
                self.retired[0].process.delay = 0
            return
        reason, self._pending = self._pending, ""
        config = copy.copy(self._template)
        config.name, config.autorestart = NEXT, False
        process = self._group.processes[NEXT] = config.make_process(self._group)
        self._logger.info(f"{reason}: starting a new uWSGI beside the one that serves")
        self._loading_since = self._warned_at = time.monotonic()
        self.state = State.LOADING
        process.spawn()
        if not process.pid:
            self._failed(process.spawnerr)
            del self._group.processes[NEXT]
        self.assign_banks()

    def _look_at_next(self) -> None:
        process = self._group.processes[NEXT]
        bank, now = self._banks[process.pid], time.monotonic()
        if process.state == ProcessStates.RUNNING and bank.is_serving():
            self._promote()
        elif now - self._loading_since > MAX_LOADING_SECONDS:
            self._retire(NEXT)
            self._failed(f"it has not loaded the app within {MAX_LOADING_SECONDS} s")
        elif now - self._loading_since > MAX_STARTING_SECONDS and not any(worker.starts for worker in bank.workers):
            self._retire(NEXT)
            self._failed("its workers could not be started")
        elif now - self._warned_at > SLOW_LOADING_SECONDS:
            self._warned_at = now
            self._logger.warn(f"the new uWSGI still loads the app after {now - self._loading_since:.0f} s")

    def _promote(self) -> None:
        self._logger.info("the new uWSGI has loaded the app and takes over")
        process = self._group.processes[NEXT]
        if self._group.processes[CURRENT].pid:
            self._retire(CURRENT)
        del self._group.processes[NEXT]
        process.config.name, process.config.autorestart = CURRENT, self._template.autorestart
        self._group.processes[CURRENT] = process
        bank = self._banks[process.pid]
        for pid in (process.pid, *(worker.pid for worker in bank.workers)):
            set_oom_score(pid, OOM_SCORES[CURRENT])
        self.state = State.IDLE
        self.results["success"] += 1
        self._retry_at, self._retry_seconds = 0.0, 10

    def _retire(self, name: str) -> None:
        process = self._group.processes.pop(name)
        process.config = copy.copy(process.config)
        process.config.name = f"uwsgi-old-{process.pid}"
        process.config.autorestart = False
        process.config.stopwaitsecs = MAX_RETIREMENT_SECONDS
        self._group.processes[process.config.name] = process
        self.retired.append(Retired(process, self._banks[process.pid]))
        process.stop()
        if not self._banks[process.pid].has_served():
            process.delay = 0  # it has no requests: supervisor kills it in its next turn

    def _end_retired(self) -> None:
        """Kill a retired instance when nothing is left of it that could end well."""
        now = time.monotonic()
        for retired in self.retired:
            for worker in retired.bank.workers:
                if worker.loaded_at > retired.since and worker.pid not in retired.told and exists(worker.pid):
                    retired.told.add(worker.pid)
                    os.kill(worker.pid, signal.SIGHUP)
            busy = [since for _, _, since in retired.bank.busy()]
            if busy:
                retired.idle_since = now
            overdue = all(since > 0 and now - since > self._request_timeout for since in busy)
            if overdue if busy else now - retired.idle_since > self._grace_period:
                retired.process.delay = 0  # supervisor kills it in its next turn

    def ended(self, process: Any) -> bool:
        """A process of the group has ended; return True unless it was the one that serves."""
        name = process.config.name
        if name == CURRENT:
            return False
        self._group.processes.pop(name, None)
        self.retired = [retired for retired in self.retired if retired.process is not process]
        if name == NEXT:
            self._failed(f"it ended with exit code {process.exitstatus}")
        return True

    def _failed(self, why: str) -> None:
        self.state = State.IDLE
        self.results["failure"] += 1
        self._logger.error(f"the new uWSGI failed, the old code keeps serving: {why}")
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, MAX_RETRY_SECONDS)


def set_oom_score(pid: int, score: int) -> None:
    """Set oom_score_adj of a process, if it still exists."""
    try:
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))
    except OSError:
        return


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return True if anybody is left in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
