"""Orphans: workers of a master that was killed. They finish their requests, as at a stop."""

import os
import signal
import time
from pathlib import Path


class Orphans:
    """Process groups of dead masters."""

    def __init__(self, grace_period: int) -> None:
        """`grace_period` is in seconds."""
        self._grace_period = grace_period
        self._groups: dict[int, tuple[float, int]] = {}

    def add(self, group: int, stop_signal: int) -> None:
        """Tell a process group to finish."""
        signal_group(group, stop_signal)
        self._groups[group] = time.monotonic() + self._grace_period, stop_signal

    def tick(self) -> None:
        """Repeat the signal, which a process ignores while it starts. Kill the group after the grace period."""
        for group, (deadline, stop_signal) in list(self._groups.items()):
            late = time.monotonic() > deadline
            if not signal_group(group, signal.SIGKILL if late else stop_signal) or late:
                del self._groups[group]


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return True if it has a process left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def children(pid: int) -> list[int]:
    """Return the child processes of a process (proc_pid_task(5)). Raises OSError if it has ended."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
