"""Process types of the Procfile, such as a worker of a queue: they start after the app, and restart after a reload.

supervisor starts a process again when it has exited: after a pause, which grows, if it exited within startsecs. A
process type never ends the container, because the app can serve without it.
"""

from collections import Counter
from typing import Any

from supervisor.states import ProcessStates, getProcessStateDescription

from wsgi_runtime.pid1.replacement import Replacement
from wsgi_runtime.pid1.retirement import MAX_RETIREMENT_SECONDS

MAX_PAUSE_SECONDS = 30
"""Longest pause before a process starts again."""


class ProcessTypes:
    """The processes of all process types except `web`."""

    def __init__(self, groups: dict[str, Any], replacement: Replacement, values: dict[str, str]) -> None:
        """`groups` are supervisor's process groups by name."""
        self.restarts: Counter[str] = Counter()
        """Processes that were started again after they had exited, by process type."""
        self.names = values["PROCESS_TYPES"].split()
        self._groups = {name: groups[name] for name in self.names}
        self._processes = [process for group in self._groups.values() for process in group.processes.values()]
        self._replacement = replacement
        self._grace_period = int(values["GRACE_PERIOD"])
        # A reload lets a running job finish. In development, an edit must be live soon.
        self._restart_seconds = self._grace_period if values["DEBUG"] == "1" else MAX_RETIREMENT_SECONDS
        self._failures: int | None = None
        """Failed replacements before the reload that is under way; None without a reload."""
        self._restarting: list[Any] = []

    def start(self) -> None:
        """Start all processes."""
        for process in self._processes:
            process.spawn()

    def reload(self) -> None:
        """Restart the processes that run as soon as a new uWSGI has loaded the app, and leave them if it cannot."""
        self._failures = self._replacement.results["failure"]

    def starting(self, event: Any) -> None:
        """Handle supervisor's event: count the start if the process had exited by itself."""
        name = event.process.group.config.name
        if name in self._groups and event.from_state in (ProcessStates.EXITED, ProcessStates.BACKOFF):
            self.restarts[name] += 1

    def tick(self) -> None:
        """Take the next step of a reload, and limit the pauses of supervisor."""
        if self._failures is not None and not self._replacement.active:
            if self._failures == self._replacement.results["failure"]:
                self._restart()
            self._failures = None
        stopped = [process for process in self._restarting if process.state == ProcessStates.STOPPED]
        self._restarting = [process for process in self._restarting if process.state != ProcessStates.STOPPED]
        for process in stopped:
            process.backoff, process.config.stopwaitsecs = 0, self._grace_period
            process.spawn()
        for process in self._processes:
            process.backoff = min(process.backoff, MAX_PAUSE_SECONDS - 1)

    def stop(self, _: Any) -> None:
        """Handle supervisor's event before it stops the programs: stop all processes at once, and not after uWSGI.

        supervisor waits for them once uWSGI has stopped.
        """
        self._restarting = []
        for group in self._groups.values():
            group.stop_all()

    def states(self) -> dict[str, str]:
        """Return the state of each process type in supervisor's words: `running` if all of its processes run."""
        return {name: _state(group.processes.values()) for name, group in self._groups.items()}

    def _restart(self) -> None:
        for process in self._processes:
            if process.state in (ProcessStates.STARTING, ProcessStates.RUNNING, ProcessStates.BACKOFF):
                process.config.stopwaitsecs = self._restart_seconds
                process.stop()
                self._restarting.append(process)


def _state(processes: Any) -> str:
    states = [process.state for process in processes if process.state != ProcessStates.RUNNING]
    if any(process.backoff for process in processes):  # also while it is started again
        states = [ProcessStates.BACKOFF]
    description: str = getProcessStateDescription(states[0] if states else ProcessStates.RUNNING).lower()
    return description
