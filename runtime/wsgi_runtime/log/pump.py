"""Pump of lines from the programs' pipes to the container's output.

Programs never wait for the reader of the output: lines that do not fit into the buffer are dropped and counted.
"""

import contextlib
import os
import select
import time
from collections.abc import Callable

from wsgi_runtime.log.convert import parse, printed
from wsgi_runtime.logs import MAX_LINE_BYTES, as_text, line

READ_BYTES = 1 << 18
"""Capacity of a pipe. Each read empties the pipe: long lines can be interleaved when a pipe is full."""

WRITE_BYTES = 1 << 16
GATHER_SECONDS = 0.02
"""Lines that arrive within this time are written together."""

MAX_BUFFER_BYTES = 8 << 20
"""Size of the buffer for the output; further lines are dropped."""

RETRY_SECONDS = 0.1
"""Time between two attempts to write while the reader of the output stalls."""


class Pipe:
    """A pipe that programs write lines to."""

    def __init__(self, fd: int, convert: Callable[[bytes], bytes]) -> None:
        """`convert` converts a line, without its newline, to a line of the log."""
        os.set_blocking(fd, False)
        self.fd = fd
        self._convert = convert
        self._rest = b""

    def read(self) -> list[bytes] | None:
        """Return the complete lines that have arrived, converted; None if nothing has."""
        try:
            chunk = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return None
        if not chunk:
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        return [self._convert(each) for each in lines if each]

    def rest(self) -> list[bytes]:
        """Return the incomplete last line, converted."""
        rest, self._rest = self._rest, b""
        return [self._convert(rest)] if rest else []


class Output:
    """The container's output, written without waiting for its reader."""

    def __init__(self, fd: int, text: bool) -> None:
        """`text`: write lines for people instead of JSON."""
        self._fd = unblocked(fd)
        self._text = text
        self._color = os.isatty(self._fd)
        self._buffer = bytearray()
        self._unreported = 0
        self.dropped = 0
        """Lines that were dropped since the start."""

    def add(self, lines: list[bytes]) -> None:
        """Write lines, or buffer them. Empty ones, which signals cause, are ignored."""
        self.flush()
        if self._unreported and len(self._buffer) < MAX_BUFFER_BYTES // 2:
            message = f"{self._unreported} log lines dropped: the reader of the container's output was too slow"
            lines.insert(0, line("warning", "supervisord", message))
            self._unreported = 0
        for each in filter(None, lines):
            if self._text:
                each = as_text(parse(each) or parse(printed("app")(each[:-1])), self._color)
            if len(self._buffer) + len(each) <= MAX_BUFFER_BYTES:
                self._buffer += each
            else:
                self._unreported += 1
                self.dropped += 1
        self.flush()

    def flush(self) -> bool:
        """Write as much as possible without waiting; return True if the buffer is empty."""
        try:
            while self._buffer:
                del self._buffer[: os.write(self._fd, self._buffer[:WRITE_BYTES])]
        except BlockingIOError:
            return False
        except OSError:  # the reader has closed it
            self._buffer.clear()
        return True


def unblocked(fd: int) -> int:
    """Return a file descriptor of the same output that never blocks.

    It is opened again, because other processes share the open file description and expect it to block.
    """
    with contextlib.suppress(OSError):
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
    os.set_blocking(fd, False)
    return fd


class Pump:
    """Moves lines from all pipes to the output."""

    def __init__(self, pipes: list[Pipe], output: Output) -> None:
        self._pipes = {pipe.fd: pipe for pipe in pipes}
        self._output = output
        self._poll = select.poll()
        for pipe in pipes:
            self._poll.register(pipe.fd, select.POLLIN)

    def turn(self) -> None:
        """Wait for lines, and write them."""
        flushed = self._output.flush()
        ready = [self._pipes[fd] for fd, event in self._poll.poll(1000 if flushed else RETRY_SECONDS * 1000)]
        if lines := [each for pipe in ready for each in pipe.read() or ()]:
            self._output.add(lines)
            if sum(map(len, lines)) < WRITE_BYTES // 2:
                select.select([], [], [], GATHER_SECONDS)  # time.sleep fails where libfaketime sets the clock

    def finish(self, seconds: float) -> None:
        """Write the rest of the pipes, incomplete lines included; give up after `seconds`."""
        end = time.monotonic() + seconds
        for pipe in self._pipes.values():
            while (lines := pipe.read()) is not None and time.monotonic() < end:
                self._output.add(lines)
            self._output.add(pipe.rest())
        while not self._output.flush() and time.monotonic() < end:
            select.select([], [], [], 0.01)
