"""What happens when a program dies: orphans are ended, and a program that dies again and again ends the container."""

import time
from collections import defaultdict, deque

from supervisor.states import ProcessStates

from wsgi_runtime.pid1.replacement import signal_group

MAX_DEATHS, WINDOW_SECONDS = 4, 20
"""A program that dies so often within so many seconds ends the container."""

MAX_PAUSE_SECONDS = 30


class CrashLimit:
    """Counts the deaths of each program."""

    def __init__(self) -> None:
        self._deaths: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MAX_DEATHS))

    def exceeded_by(self, program: str) -> bool:
        """Count a death; return True when it was one too many."""
        deaths = self._deaths[program]
        deaths.append(time.monotonic())
        return len(deaths) == MAX_DEATHS and deaths[-1] - deaths[0] < WINDOW_SECONDS


class Orphans:
    """What a dead master leaves: it finishes its requests, as at a stop, and is killed after the grace period."""

    def __init__(self, grace_period: int) -> None:
        self._grace_period = grace_period
        self._groups: dict[int, tuple[float, int]] = {}

    def add(self, group: int, stop_signal: int) -> None:
        """Tell a process group to finish."""
        signal_group(group, stop_signal)
        self._groups[group] = time.monotonic() + self._grace_period, stop_signal

    def tick(self) -> None:
        """Repeat the signal, which a process that still starts forgets; kill what is late."""
        for group, (deadline, stop_signal) in list(self._groups.items()):
            late = time.monotonic() > deadline
            if not signal_group(group, 9 if late else stop_signal) or late:
                del self._groups[group]


class Restart:
    """Starts uWSGI again after a pause, when it has served and its code can't be loaded any more."""

    def __init__(self) -> None:
        self._at = 0.0
        self._pause = 1

    def schedule(self) -> int:
        """Return the seconds until the next try."""
        pause, self._pause = self._pause, min(2 * self._pause, MAX_PAUSE_SECONDS)
        self._at = time.monotonic() + pause
        return pause

    def tick(self, process: object) -> None:
        """Start the process when its time has come."""
        if self._at and time.monotonic() >= self._at:
            self._at = 0.0
            if process.state == ProcessStates.EXITED:  # type: ignore[attr-defined]
                process.spawn()  # type: ignore[attr-defined]

    def succeeded(self) -> None:
        """It serves again."""
        self._pause = 1
