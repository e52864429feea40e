"""The container's stop: no new connection, the requests in flight finish, then the programs stop in order."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from supervisor.states import ProcessStates

from wsgi_runtime import RUN
from wsgi_runtime.pid1 import listeners

STOPPING = RUN / "stopping"
"""While this file exists, health is 503."""

FIRST_REQUEST_SECONDS = 0.5
"""Time that a client may take from its connection to its request."""

REPEAT_SECONDS = 0.5
"""Time between a stop signal and its repetition."""

MIN_WAIT_SECONDS = 0.1


class Shutdown:
    """Knows how far a stop has come, and how much time is left."""

    def __init__(self, values: dict[str, str], processes: Callable[[], Iterator[Any]]) -> None:
        """`processes` returns supervisor's processes."""
        self._grace_period = int(values["GRACE_PERIOD"])
        self._delay = int(values["STOP_DELAY"])
        self._processes = processes
        self.listening: list[int] = []
        """File descriptors of the public ports."""
        self._close_at = math.inf
        self._closing_since = self._last_arrival = self._kill_at = math.inf
        self._repeat_at = math.inf

    @property
    def active(self) -> bool:
        """True since the container was told to stop."""
        return self._close_at < math.inf

    def ask(self) -> int:
        """Begin; return the seconds until the ports close. The second call cuts STOP_DELAY short."""
        STOPPING.touch()
        delay = 0 if self.active else self._delay
        self._close_at = time.monotonic() + delay
        return delay

    def has_closed(self) -> bool:
        """Return True once programs can stop: nginx has a request from each connection, or time is short.

        nginx resets a connection that it has not accepted, or has no request from, although the client was let in.
        """
        now = time.monotonic()
        if now < self._close_at:
            return False
        if self._closing_since == math.inf:
            self._closing_since = self._last_arrival = now
            self._kill_at = now + self._grace_period
            for fd in self.listening:
                listeners.refuse_new_connections(fd)
        if any(map(listeners.connections_to_accept, self.listening)):
            self._last_arrival = now
        quiet = now - self._last_arrival >= FIRST_REQUEST_SECONDS
        return quiet or now - self._closing_since >= self._grace_period / 2

    def stop(self) -> None:
        """Programs stop from now on."""
        self._kill_at = min(self._kill_at, time.monotonic() + self._grace_period)
        self._repeat_at = time.monotonic() + REPEAT_SECONDS
        for fd in self.listening:
            os.close(fd)
        self.listening = []
        self.share_what_is_left()

    def share_what_is_left(self) -> None:
        """Give each program that stops what is left of the grace period."""
        left = max(MIN_WAIT_SECONDS, min(self._kill_at - time.monotonic(), self._grace_period))
        for process in self._processes():
            process.config.stopwaitsecs = left
            if process.state == ProcessStates.STOPPING:
                process.delay = min(process.delay, time.time() + left)

    def repeat_stop_signals(self) -> None:
        """nginx, and a uWSGI worker that still loads the app, forget a stop signal that comes while they start."""
        if time.monotonic() < self._repeat_at:
            return
        self._repeat_at = time.monotonic() + REPEAT_SECONDS
        for process in self._processes():
            if process.state == ProcessStates.STOPPING:
                with contextlib.suppress(OSError):
                    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                    for pid in (process.pid, *map(int, children)):
                        os.kill(pid, process.config.stopsignal)
