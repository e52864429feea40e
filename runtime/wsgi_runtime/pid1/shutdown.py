"""End of the container: no new connection, then the requests in flight finish, then the programs stop in order."""

import contextlib
import enum
import math
import os
import time
from typing import Any

from supervisor.states import ProcessStates, SupervisorStates

from wsgi_runtime import RUN
from wsgi_runtime.pid1.listeners import Listeners
from wsgi_runtime.pid1.options import Options
from wsgi_runtime.pid1.orphans import children

STOPPING_FILE = RUN / "stopping"
"""While this file exists, the health check gets a 503."""

FIRST_REQUEST_SECONDS = 0.5
"""Time that a client may take from its connection to its request."""

REPEAT_SECONDS = 0.5
"""Time between a stop signal and its repetition."""

MIN_WAIT_SECONDS = 0.1
"""Time that a program has to stop when the grace period is over."""


class State(enum.Enum):
    """Steps of the end."""

    SERVING = "the container is not told to stop"
    DELAYED = "STOP_DELAY: health is 503, requests are served"
    REFUSING = "new connections are refused; Nginx receives the requests of those that are established"
    STOPPING = "supervisor stops the programs, the highest priority first"


class Shutdown:
    """Ends the container, and knows its exit code."""

    def __init__(self, options: Options, groups: dict[str, Any], listeners: Listeners) -> None:
        """`groups` are supervisor's process groups by name."""
        self.state = State.SERVING
        self.exit_code = 0
        self.sockets: list[Any] = []
        """Listening sockets of uWSGI and of the admin program: each stays open while its program is down."""
        self._options = options
        self._groups = groups
        self._listeners = listeners
        self._process_types = options.values["PROCESS_TYPES"].split()
        self._grace_period = int(options.values["GRACE_PERIOD"])
        self._delay = int(options.values["STOP_DELAY"])
        self._refuse_at = self._kill_at = self._repeat_at = math.inf
        self._refusing_since = self._last_connection = 0.0

    @property
    def requested(self) -> bool:
        """True from the stop signal, or the fault, on."""
        return self.state is not State.SERVING

    def request(self) -> int:
        """Begin; return the seconds until new connections are refused. A second call cuts STOP_DELAY short."""
        delay = self._delay if self.state is State.SERVING else 0
        if self.state in (State.SERVING, State.DELAYED):
            STOPPING_FILE.touch()
            self.state, self._refuse_at = State.DELAYED, time.monotonic() + delay
        return delay

    def end(self, exit_code: int, reason: str) -> None:
        """Stop the programs at once; the container returns `exit_code`."""
        if self._options.mood > SupervisorStates.SHUTDOWN:
            self._options.logger.critical(f"{reason}: the container ends with exit code {exit_code}")
            self.exit_code = exit_code
            # uWSGI does not come back: without its socket, Nginx answers the clients that wait for it, and can exit.
            self.sockets = []
            self._options.mood = SupervisorStates.SHUTDOWN

    def programs_stop(self, _: Any) -> None:
        """Handle supervisor's event: it stops the programs from now on, for whatever reason."""
        self.state = State.STOPPING
        self._kill_at = min(self._kill_at, time.monotonic() + self._grace_period)
        self._repeat_at = time.monotonic() + REPEAT_SECONDS
        self._listeners.close()
        self.share_remaining_time()

    def share_remaining_time(self) -> None:
        """Give each program that stops the rest of the grace period."""
        left = max(MIN_WAIT_SECONDS, min(self._kill_at - time.monotonic(), self._grace_period))
        for process in self._processes():
            process.config.stopwaitsecs = left
            if process.state == ProcessStates.STOPPING:
                process.delay = min(process.delay, time.time() + left)

    def tick(self) -> None:
        """Take the next step, without waiting."""
        now = time.monotonic()
        if self.state is State.DELAYED and now >= self._refuse_at:
            self.state = State.REFUSING
            self._refusing_since = self._last_connection = now
            self._kill_at = now + self._grace_period
            self._listeners.refuse_new_connections()
        if self.state is State.REFUSING and self._has_every_request(now):
            self._options.mood = SupervisorStates.SHUTDOWN
        if self.state is State.STOPPING and now >= self._repeat_at:
            self._repeat_at = now + REPEAT_SECONDS
            self._repeat_stop_signals()

    def _has_every_request(self, now: float) -> bool:
        """Return True once Nginx may stop: it has a request from each connection, or the time is up.

        Nginx resets a connection that it has not accepted, or has no request from.
        """
        if self._listeners.have_waiting_connections():
            self._last_connection = now
        quiet = now - self._last_connection >= FIRST_REQUEST_SECONDS
        return quiet or now - self._refusing_since >= self._grace_period / 2

    def _repeat_stop_signals(self) -> None:
        """Repeat the stop signals: Nginx and uWSGI workers ignore a signal that comes while they start.

        To a process type, a second signal may mean to stop at once, without finishing its job.
        """
        for process in self._processes():
            if process.state == ProcessStates.STOPPING and process.group.config.name not in self._process_types:
                with contextlib.suppress(OSError):
                    for pid in (process.pid, *children(process.pid)):
                        os.kill(pid, process.config.stopsignal)

    def _processes(self) -> list[Any]:
        return [process for group in self._groups.values() for process in group.processes.values()]
