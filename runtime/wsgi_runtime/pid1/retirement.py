"""Retirement of a uWSGI instance: it takes no new request, finishes those it has, and ends."""

import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from wsgi_runtime.scoreboard import Bank, exists

MAX_RETIREMENT_SECONDS = 3600
"""supervisor kills a retired instance after this time. A response that is still being sent is cut."""

MAX_RETIRED = 2
"""Retired instances at a time; a further replacement waits."""


@dataclass(eq=False)
class Retired:
    """A retired instance."""

    process: Any
    bank: Bank
    since: float = field(default_factory=time.monotonic)
    idle_since: float = field(default_factory=time.monotonic)
    signaled: set[int] = field(default_factory=set)
    """Process IDs of workers that got the signal again, after they had loaded the app."""

    def kill(self) -> None:
        """Let supervisor kill it in the next turn of the main loop."""
        self.process.delay = 0


class Retirement:
    """The retired instances."""

    def __init__(self, values: dict[str, str]) -> None:
        self._request_timeout = int(values["REQUEST_TIMEOUT"])
        self._grace_period = int(values["GRACE_PERIOD"])
        self._debug = values["DEBUG"] == "1"
        self._retired: list[Retired] = []

    def has_room(self) -> bool:
        """Return True if one more instance can be retired. In development, the oldest one is killed to make room."""
        if len(self._retired) < MAX_RETIRED:
            return True
        if self._debug:
            self._retired[0].kill()
        return False

    def add(self, process: Any, bank: Bank) -> None:
        """Tell an instance to finish its requests and end."""
        process.config.stopwaitsecs = MAX_RETIREMENT_SECONDS
        retired = Retired(process, bank)
        self._retired.append(retired)
        process.stop()
        if not bank.has_served():
            retired.kill()  # it has no requests

    def remove(self, process: Any) -> None:
        """Drop an instance that has ended."""
        self._retired = [retired for retired in self._retired if retired.process is not process]

    def tick(self) -> None:
        """Kill an instance when none of its requests can still end well."""
        now = time.monotonic()
        for retired in self._retired:
            self._repeat_signal(retired)
            busy = [since for _, _, since in retired.bank.busy()]
            if busy:
                retired.idle_since = now
            overdue = all(since > 0 and now - since > self._request_timeout for since in busy)
            if overdue if busy else now - retired.idle_since > self._grace_period:
                retired.kill()

    def _repeat_signal(self, retired: Retired) -> None:
        """Tell workers to finish that loaded the app when the first signal came: uWSGI ignores it then."""
        for worker in retired.bank.workers:
            if worker.loaded_at > retired.since and worker.pid not in retired.signaled and exists(worker.pid):
                retired.signaled.add(worker.pid)
                os.kill(worker.pid, signal.SIGHUP)
