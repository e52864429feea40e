"""Consequences of a program's death: it starts again, or the container ends."""

import os
import time
from collections import defaultdict, deque
from typing import Any

from supervisor.datatypes import RestartUnconditionally
from supervisor.states import ProcessStates

from wsgi_runtime import APP
from wsgi_runtime.pid1.banks import CURRENT, Banks
from wsgi_runtime.pid1.programs import Programs
from wsgi_runtime.pid1.shutdown import Shutdown

NO_APP = 22
"""uWSGI's exit code when a worker could not load the app, and the container's when none of its workers ever could."""

MAX_DEATHS, WINDOW_SECONDS = 4, 20
"""The container ends when a program dies this often within this time."""

MAX_RETRY_SECONDS = 30
"""Longest pause before uWSGI starts again, if its app could not be loaded. It begins with 1 s and doubles each time."""


class Deaths:
    """Decides what follows when a program has exited without being told to."""

    def __init__(self, programs: Programs, banks: Banks, shutdown: Shutdown, logger: Any) -> None:
        self._programs = programs
        self._banks = banks
        self._shutdown = shutdown
        self._logger = logger
        self._deaths: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MAX_DEATHS))
        self._retry_at = 0.0
        self._retry_seconds = 1

    def exited(self, process: Any) -> None:
        """Start a program again, which supervisor does where `autorestart` is set, or end the container."""
        name, exit_code = process.config.name, process.exitstatus
        if name == CURRENT:
            process.config.autorestart = RestartUnconditionally
        if name == CURRENT and exit_code == NO_APP:
            self._app_not_loaded(process)
        elif name == "nginx" and exit_code == 1 and self._programs.starts[name] == 1 and not self._banks.has_served:
            self._shutdown.end(os.EX_CONFIG, "Nginx rejects its configuration, see its message")
        elif name in ("nginx", CURRENT) and self._dies_too_often(name):
            self._shutdown.end(1, f"{name} died {MAX_DEATHS} times within {WINDOW_SECONDS} s")

    def tick(self) -> None:
        """Start uWSGI again after a pause, if its app could not be loaded."""
        if self._retry_at and time.monotonic() >= self._retry_at:
            self._retry_at = 0.0
            process = self._programs.process(CURRENT)
            if process.state == ProcessStates.EXITED:
                process.spawn()
        if (bank := self._banks.current) and bank.is_serving():
            self._retry_seconds = 1

    def _app_not_loaded(self, process: Any) -> None:
        if not self._banks.has_served:
            self._shutdown.end(NO_APP, f"the app in {APP} could not be loaded: see the error above")
            return
        process.config.autorestart = False
        self._logger.error(f"the app can no longer be loaded: uWSGI starts again in {self._retry_seconds} s")
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, MAX_RETRY_SECONDS)

    def _dies_too_often(self, program: str) -> bool:
        deaths = self._deaths[program]
        deaths.append(time.monotonic())
        return len(deaths) == MAX_DEATHS and deaths[-1] - deaths[0] < WINDOW_SECONDS
