"""Pipes that programs write to and another program reads. PID 1 holds them, so that they outlive both."""

import contextlib
import fcntl
import os
import struct
import termios

from wsgi_runtime import METRICS_FIFO
from wsgi_runtime.log.convert import CONVERTERS, converter
from wsgi_runtime.log.pump import Output, Pipe, Pump
from wsgi_runtime.pid1.listeners import above_minimum
from wsgi_runtime.pid1.options import Options
from wsgi_runtime.scoreboard import Scoreboard

CAPACITY_BYTES = 1 << 18
"""Bytes that a pipe holds."""

MAX_IDLE_TICKS = 3
"""Ticks, of one second each, after which the pipes of a program that has not read are emptied."""

FINISH_SECONDS = 0.5
"""Time for the last lines of the log."""

OUTPUTS = {
    "nginx": ("access", "nginx"),
    "uwsgi": ("app", "uwsgi"),
    "prestart": ("app", "app"),
    "admin": ("supervisord", "supervisord"),
}
"""Names of the pipes for the standard output and the standard error of each program.

A process of the Procfile has one pipe for both, of its own name. Lines of two processes in one pipe would mix: Python
writes a line and its end apart.
"""


class Pipes:
    """Pipes by name."""

    def __init__(self, board: Scoreboard, options: Options) -> None:
        values, groups = options.values, options.process_group_configs
        types = values["PROCESS_TYPES"].split()
        processes = [process.name for group in groups if group.name in types for process in group.process_configs]
        self.read_ends: dict[str, int] = {}
        self._write_ends: dict[str, int] = {}
        for name in (*CONVERTERS, *processes):
            ends = os.pipe()
            self.read_ends[name], self._write_ends[name] = map(above_minimum, ends)
            for fd in ends:
                os.close(fd)
        self._fifos: list[int] = []
        if values["ADMIN_PORT"] != "0":
            METRICS_FIFO.unlink(missing_ok=True)  # `nginx -t` has created a file of this name
            os.mkfifo(METRICS_FIFO, 0o600)
            self._fifos.append(os.open(METRICS_FIFO, os.O_RDWR))
        for fd in (*self.read_ends.values(), *self._fifos):
            os.set_blocking(fd, False)
            with contextlib.suppress(PermissionError):  # other containers of this user may have used up the limit
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CAPACITY_BYTES)
        # PID 1 never waits for the log program.
        self.own_end = os.open(f"/proc/self/fd/{self._write_ends['supervisord']}", os.O_WRONLY | os.O_NONBLOCK)
        self._board = board
        self._text = values["LOG_FORMAT"] == "text"
        self._turns: dict[str, tuple[int, int]] = {}

    def of_program(self, name: str, process: str) -> tuple[int, int]:
        """Return standard output and standard error of a process. The log program has the container's output."""
        if name == "log":
            return 1, 1
        output, error = OUTPUTS.get(name, (process, process))
        return self._write_ends[output], self._write_ends[error]

    def finish(self) -> None:
        """Write the lines that the log program has left to the container's output."""
        for fd in self._write_ends.values():
            os.close(fd)
        pipes = [Pipe(fd, converter(name)) for name, fd in self.read_ends.items()]
        Pump(pipes, Output(1, self._text)).finish(FINISH_SECONDS)

    def tick(self) -> None:
        """Empty half-full pipes whose reader makes no progress: their writers would stall."""
        for reader, fds, turns in (
            ("log", list(self.read_ends.values()), self._board.log_turns),
            ("admin", self._fifos, self._board.admin_turns),
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
