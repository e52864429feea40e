"""Lines of the container's log: one JSON object each. log.schema.json is their schema.

Workers use this module as well, so it imports the standard library only.
"""

import contextlib
import io
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")

MAX_LINE_BYTES = 1 << 20
"""A longer line is split."""

output_fd = 1
"""File descriptor for write(): the container's output, or in PID 1 the pipe to the log program."""

text_format = False
"""Write lines for people instead of JSON. True only in processes that write to the container's output directly."""

COLORS = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}


def timestamp(seconds: float) -> str:
    """Return a time as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def line(level: str, source: str, message: str, **fields: Any) -> bytes:
    """Return one line. `source` is nginx, uwsgi, app, supervisord or a process type. Empty fields are omitted."""
    record = {
        "time": timestamp(time.time()),
        "level": level,
        "source": source,
        "message": message,
    }
    record.update((name, value) for name, value in fields.items() if value)
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def write(level: str, source: str, message: str, **fields: Any) -> None:
    """Write one line. It is lost if the output cannot be written."""
    lines = line(level, source, message, **fields)
    if text_format:
        lines = as_text(json.loads(lines))
    with contextlib.suppress(OSError):
        while lines:
            lines = lines[os.write(output_fd, lines) :]


def as_text(record: dict[str, Any], color: bool = False) -> bytes:
    """Return a line for people: time, level, source, message, and some of the other fields."""
    shown = {"duration": "{} s", "client": "{}", "request_id": "{}"}
    fields = [form.format(record[name]) for name, form in shown.items() if record.get(name)]
    clock = str(record.get("time", ""))[11:23]
    text = "  ".join((f"{clock} {record['level']:8} {record['source']:11} {record['message']}", *fields))
    if "exc_info" in record:
        text += f"\n{record['exc_info']}"
    text = text.translate(CONTROL_CHARACTERS)
    if color and record["level"] in COLORS:
        text = f"\x1b[{COLORS[record['level']]}m{text}\x1b[0m"
    return text.encode(errors="replace") + b"\n"


def take_over() -> None:
    """Make lines of the log from output to standard error and from uncaught exceptions of this process."""
    sys.stderr = text_stream(2, lambda message: write("error", "supervisord", message))
    sys.excepthook = _uncaught


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    write("critical", "supervisord", f"{kind.__name__}: {error}", exc_info=text)


class LineStream(io.BufferedIOBase):
    """A stream that logs each line once it is complete or flushed. Each thread has a line of its own."""

    def __init__(self, fd: int, log: Callable[[str], None]) -> None:
        self._fd = fd
        self._log = log
        self._thread = threading.local()

    def write(self, data: Any) -> int:
        """Write bytes; log the lines that are complete."""
        *lines, rest = (getattr(self._thread, "rest", b"") + bytes(data)).split(b"\n")
        self._thread.rest = rest
        for each in lines:
            if each:
                self._log(each.decode(errors="replace"))
        if len(rest) > MAX_LINE_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Log the incomplete line."""
        if getattr(self._thread, "rest", b""):
            self.write(b"\n")

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor that C code and child processes write to."""
        return self._fd


def text_stream(fd: int, log: Callable[[str], None]) -> io.TextIOWrapper:
    """Return a replacement of sys.stdout or sys.stderr, whose file descriptor is `fd`."""
    lines: Any = LineStream(fd, log)
    return io.TextIOWrapper(lines, encoding="utf-8", errors="backslashreplace", write_through=True)
