"""The container's log: one JSON object a line on standard output, whoever spoke. log.schema.json is its schema.

LOG_FORMAT=text has lines for people instead; they are made of the same objects, here.
"""

import contextlib
import fcntl
import io
import json
import os
import re
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from wsgi_runtime.pid1.dispatcher import Dispatcher

LEVELS = ("debug", "info", "warning", "error", "critical")

LONGEST = 1 << 20
"""Bytes of a line; what is longer becomes several."""

CAPACITY = 1 << 18
"""Bytes that a pipe holds. Once it is full, programs wait, and long lines of two of them get mixed up."""

GATHER = 0.02
"""Seconds in which lines come together: a turn of supervisor's main loop costs more than a hundred of them."""

ATOMIC = 4096
"""Bytes that are written to a pipe in one piece (pipe(7), PIPE_BUF)."""

# nginx's own words for how bad it is (ngx_core_module, error_log); it has no time and no pid where its file is wrong.
NGINX_ERROR = re.compile(r"(?:nginx:|\S+ \S+) \[(\w+)\] (?:\d+#\d+: )?(.*)")
NGINX_LEVELS = {"notice": "info", "warn": "warning", "crit": "critical", "alert": "critical", "emerg": "critical"}

# uWSGI has none; this is what it says when a worker dies, the queue is full, or a call fails.
UWSGI_ERROR = re.compile(r"DAMN|!!!|\b[Ee]rror\b|unable to ")

COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
"""What would command a terminal."""


def timestamp(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def line(level: str, source: str, message: str, **fields: Any) -> bytes:
    """One line. `source` is who speaks: nginx, uwsgi, app or supervisord. Fields without a value are left out."""
    told = {
        "time": timestamp(time.time()),
        "level": level,
        "source": source,
        "message": message,
    }
    told.update((name, value) for name, value in fields.items() if value)
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def write(level: str, source: str, message: str, **fields: Any) -> None:
    """Writes one line, in process 1."""
    _put(line(level, source, message, **fields))


def _put(lines: bytes) -> None:
    if os.environ.get("LOG_FORMAT") == "text":
        said = (each for each in lines.split(b"\n") if each)
        lines = b"".join(_text(_ours(each) or json.loads(printed("app")(each))) for each in said)
    with contextlib.suppress(OSError):  # whoever read it is gone, which is no reason to stop serving
        while lines:
            lines = lines[os.write(1, lines) :]


def _text(told: dict[str, Any]) -> bytes:
    """A line for people: time, level, source, message, and the fields that aren't in the message already."""
    shown = {"duration": "{} s", "client": "{}", "request_id": "{}"}
    fields = [form.format(told[name]) for name, form in shown.items() if told.get(name)]
    text = "  ".join((f"{told['time'][11:23]} {told['level']:8} {told['source']:11} {told['message']}", *fields))
    if "exc_info" in told:
        text += f"\n{told['exc_info']}"
    text = text.translate(CONTROLS)
    if os.isatty(1) and told["level"] in COLOURS:
        text = f"\x1b[{COLOURS[told['level']]}m{text}\x1b[0m"
    return text.encode(errors="replace") + b"\n"


def take_over() -> None:
    """Sees to it that process 1 itself says nothing in any other form."""
    os.set_blocking(1, True)  # who started the container may share the pipe, and have made it otherwise
    sys.stderr = text_stream(2, lambda said: write("error", "supervisord", said))
    sys.excepthook = _uncaught


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    said = "".join(traceback.format_exception(kind, error, trace))
    write("critical", "supervisord", f"{kind.__name__}: {error}", exc_info=said)


class Lines(io.BufferedIOBase):
    """A stream that hands over each line that is complete, or flushed. Each thread has a line of its own."""

    def __init__(self, fd: int, say: Callable[[str], None]) -> None:
        self._fd = fd
        self._say = say
        self._thread = threading.local()

    def write(self, data: Any) -> int:
        """Takes bytes."""
        *lines, rest = (getattr(self._thread, "rest", b"") + bytes(data)).split(b"\n")
        self._thread.rest = rest
        for each in lines:
            if each:
                self._say(each.decode(errors="replace"))
        if len(rest) > LONGEST:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Hands over the line that has begun."""
        if getattr(self._thread, "rest", b""):
            self.write(b"\n")

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Where C code and child processes write to instead."""
        return self._fd


def text_stream(fd: int, say: Callable[[str], None]) -> io.TextIOWrapper:
    """What can stand in for sys.stdout or sys.stderr, whose file descriptor is `fd`."""
    lines: Any = Lines(fd, say)
    return io.TextIOWrapper(lines, encoding="utf-8", errors="backslashreplace", write_through=True)


class Pipe(Dispatcher):
    """A pipe that programs print to, and process 1 reads.

    It outlives them: what a program has written is read after its death, and what it has left running can go on
    writing.
    """

    def __init__(self, convert: Callable[[bytes], bytes]) -> None:
        """`convert` makes a line of the log from one of theirs."""
        self.fd, self.write_end = os.pipe()
        os.set_blocking(self.fd, False)
        with contextlib.suppress(PermissionError):  # the user's other containers have many
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, CAPACITY)
        self._convert = convert
        self._rest = b""

    def handle_read_event(self) -> None:
        """Logs the lines that are complete."""
        if self._read() < CAPACITY // 4:
            select.select([], [], [], GATHER)  # time.sleep fails where libfaketime sets the clock

    def _read(self) -> int:
        try:
            chunk = os.read(self.fd, CAPACITY)
        except BlockingIOError:
            return 0
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST:
            lines.append(self._rest)
            self._rest = b""
        _put(b"".join([self._convert(each) for each in lines if each]))
        return len(chunk)

    def drain(self) -> None:
        """Logs the lines that are complete by now; who goes on writing is not waited for."""
        left = CAPACITY
        while left > 0 and (read := self._read()):
            left -= read

    def finish(self) -> None:
        """Logs what is left when nobody writes any more, whole lines or not."""
        self.drain()
        if self._rest:
            _put(self._convert(self._rest))
            self._rest = b""


def access(said: bytes) -> bytes:
    """A line of nginx's access log: ours but for bytes that are not UTF-8, or as an nginx.conf of the app's has it."""
    try:
        said.decode()
    except UnicodeDecodeError:
        said = said.decode(errors="replace").encode()
    # Workers' lines can only have got mixed up where they are long.
    whole = said.startswith(b'{"time":"') and said.endswith(b'"}') and len(said) < ATOMIC
    return said + b"\n" if whole or _ours(said) else printed("nginx")(said)


def nginx_error(said: bytes) -> bytes:
    """A line of nginx's error log, with its level."""
    text = said.decode(errors="replace")
    if match := NGINX_ERROR.fullmatch(text):
        return line(NGINX_LEVELS.get(match[1], match[1]), "nginx", match[2])
    return line("error", "nginx", text)


def app(said: bytes) -> bytes:
    """What comes from the app: a line of ours (runtime/app_logs.py), or one that C code or a child printed."""
    return said + b"\n" if said.startswith(b'{"time":"') and _ours(said) else printed("app")(said)


def uwsgi(said: bytes) -> bytes:
    """What uWSGI itself says, or C code on standard error."""
    text = said.decode(errors="replace")
    return line("error" if UWSGI_ERROR.search(text) else "info", "uwsgi", text)


def printed(source: str) -> Callable[[bytes], bytes]:
    """Converts lines that say no more than themselves."""
    return lambda said: line("info", source, said.decode(errors="replace"))


def _ours(said: bytes) -> dict[str, Any]:
    """What a line says that is one of ours; nothing if it is another."""
    with contextlib.suppress(ValueError):
        told = json.loads(said)
        if isinstance(told, dict) and all(isinstance(told.get(key), str) for key in ("level", "source", "message")):
            return told
    return {}
