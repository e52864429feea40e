"""Carries lines from the pipes that programs write to, to the container's output.

Whatever the reader of the output does, programs never wait: what does not fit is dropped and counted.
"""

import contextlib
import os
import select
import time
from collections.abc import Callable

from wsgi_runtime.log.convert import parse, printed
from wsgi_runtime.logs import MAX_LINE_BYTES, as_text, line

READ_BYTES = 1 << 18
"""As much as a pipe holds: writers that find it full can get their long lines mixed up."""

WRITE_BYTES = 1 << 16
GATHER_SECONDS = 0.02
"""Lines that come within this time are written together."""

MAX_BUFFER_BYTES = 8 << 20
"""Bytes that wait for the reader of the output; more is dropped."""

RETRY_SECONDS = 0.1
"""Time between two tries to write while the reader of the output stalls."""


class Pipe:
    """One pipe that programs write lines to."""

    def __init__(self, fd: int, convert: Callable[[bytes], bytes]) -> None:
        """`convert` makes a line of the log from one of theirs, without its end."""
        os.set_blocking(fd, False)
        self.fd = fd
        self._convert = convert
        self._rest = b""

    def read(self) -> list[bytes] | None:
        """Return the complete lines that have come, converted; None when nothing has."""
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
        """Return what is left without the end of a line."""
        rest, self._rest = self._rest, b""
        return [self._convert(rest)] if rest else []


class Output:
    """The container's output, written without ever waiting for its reader."""

    def __init__(self, fd: int, text: bool) -> None:
        """`text` asks for lines for people instead of JSON."""
        self._fd = unblocked(fd)
        self._text = text
        self._color = os.isatty(self._fd)
        self._buffer = bytearray()
        self._unreported = 0
        self.dropped = 0
        """Lines that were dropped since the start."""

    def add(self, lines: list[bytes]) -> None:
        """Write lines, or keep them until there is room."""
        self.flush()
        if self._unreported and len(self._buffer) < MAX_BUFFER_BYTES // 2:
            message = f"{self._unreported} log lines dropped: the reader of the container's output was too slow"
            lines.insert(0, line("warning", "supervisord", message))
            self._unreported = 0
        for each in lines:
            if self._text:
                each = as_text(parse(each) or parse(printed("app")(each[:-1])), self._color)
            if len(self._buffer) + len(each) <= MAX_BUFFER_BYTES:
                self._buffer += each
            else:
                self._unreported += 1
                self.dropped += 1
        self.flush()

    def flush(self) -> bool:
        """Write what the reader takes; return True when nothing is left."""
        try:
            while self._buffer:
                del self._buffer[: os.write(self._fd, self._buffer[:WRITE_BYTES])]
        except BlockingIOError:
            return False
        except OSError:  # nobody reads any more
            self._buffer.clear()
        return True


def unblocked(fd: int) -> int:
    """Return a file descriptor of the same output that never blocks.

    It is opened anew, because others share the description of the old one and expect it to block.
    """
    with contextlib.suppress(OSError):
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
    os.set_blocking(fd, False)
    return fd


class Pump:
    """All pipes, and the output."""

    def __init__(self, pipes: list[Pipe], output: Output) -> None:
        self._pipes = {pipe.fd: pipe for pipe in pipes}
        self._output = output
        self._poll = select.poll()
        for pipe in pipes:
            self._poll.register(pipe.fd, select.POLLIN)

    def turn(self) -> None:
        """Wait for lines, and carry them."""
        flushed = self._output.flush()
        ready = [self._pipes[fd] for fd, event in self._poll.poll(1000 if flushed else RETRY_SECONDS * 1000)]
        if lines := [each for pipe in ready for each in pipe.read() or ()]:
            self._output.add(lines)
            if sum(map(len, lines)) < WRITE_BYTES // 2:
                select.select([], [], [], GATHER_SECONDS)  # time.sleep fails where libfaketime sets the clock

    def finish(self, seconds: float) -> None:
        """Carry what is in the pipes by now, whole lines or not; give up after so many seconds."""
        end = time.monotonic() + seconds
        for pipe in self._pipes.values():
            while (lines := pipe.read()) is not None and time.monotonic() < end:
                self._output.add(lines)
            self._output.add(pipe.rest())
        while not self._output.flush() and time.monotonic() < end:
            select.select([], [], [], 0.01)

    @property
    def dropped(self) -> int:
        """Lines that were dropped since the start."""
        return self._output.dropped
