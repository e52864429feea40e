"""Pipes that programs write to and another program reads. PID 1 holds them, so that they outlive both."""

import contextlib
import fcntl
import os
import struct
import termios

from wsgi_runtime.fifo import METRICS_FIFO, open_metrics_fifo
from wsgi_runtime.log.convert import CONVERTERS
from wsgi_runtime.log.pump import Output, Pipe, Pump
from wsgi_runtime.pid1.listeners import out_of_the_way
from wsgi_runtime.scoreboard import Scoreboard

CAPACITY_BYTES = 1 << 18
"""Bytes that a pipe holds."""


MAX_IDLE_TICKS = 3
"""Seconds that a program may make no progress before its pipes are emptied."""

FINISH_SECONDS = 0.5
"""Time for the last lines of the log."""

OUTPUTS = {
    "nginx": ("access", "nginx"),
    "uwsgi": ("app", "uwsgi"),
    "prestart": ("app", "app"),
    "admin": ("supervisord", "supervisord"),
}
"""The pipes that a program's standard output and standard error go to."""


class Pipes:
    """The pipes by name."""

    def __init__(self, count_requests: bool) -> None:
        """`count_requests`: nginx writes a line for each request, for the admin program."""
        self.read_ends: dict[str, int] = {}
        self.write_ends: dict[str, int] = {}
        for name in CONVERTERS:
            ends = os.pipe()
            self.read_ends[name], self.write_ends[name] = map(out_of_the_way, ends)
            for fd in ends:
                os.close(fd)
        self._fifos: list[int] = []
        METRICS_FIFO.unlink(missing_ok=True)
        if count_requests:
            os.mkfifo(METRICS_FIFO, 0o600)
            self._fifos.append(open_metrics_fifo())
        for fd in (*self.read_ends.values(), *self._fifos):
            os.set_blocking(fd, False)
            with contextlib.suppress(PermissionError):  # the user's other containers have many
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CAPACITY_BYTES)
        self._turns: dict[str, tuple[int, int]] = {}
        # PID 1 waits for nobody.
        self.own_end = os.open(f"/proc/self/fd/{self.write_ends['supervisord']}", os.O_WRONLY | os.O_NONBLOCK)

    def of_program(self, name: str) -> tuple[int, int]:
        """Return the standard output and standard error of a program; those of the log program are the container's."""
        if name == "log":
            return 1, 1
        output, error = OUTPUTS[name]
        return self.write_ends[output], self.write_ends[error]

    def finish(self, text: bool) -> None:
        """Write what the log program has left to the container's output; `text`: as lines for people."""
        for fd in self.write_ends.values():
            os.close(fd)
        pipes = [Pipe(fd, CONVERTERS[name]) for name, fd in self.read_ends.items()]
        Pump(pipes, Output(1, text)).finish(FINISH_SECONDS)

    def tick(self, board: Scoreboard) -> None:
        """Empty the pipes whose reader makes no progress, when they are half full: their writers would stall."""
        for reader, fds, turns in (
            ("log", list(self.read_ends.values()), board.log_turns),
            ("admin", self._fifos, board.admin_turns),
        ):
            before, idle_ticks = self._turns.get(reader, (turns, 0))
            idle_ticks = idle_ticks + 1 if turns == before else 0
            self._turns[reader] = turns, idle_ticks
            if idle_ticks >= MAX_IDLE_TICKS:
                for fd in fds:
                    if waiting_bytes(fd) >= fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) // 2:
                        with contextlib.suppress(BlockingIOError):
                            os.read(fd, CAPACITY_BYTES)


def waiting_bytes(fd: int) -> int:
    """Return how many bytes can be read from a pipe (ioctl_tty(2), FIONREAD)."""
    return int(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0])
