"""Conversion of the programs' output into lines of the log."""

import contextlib
import json
import re
from collections.abc import Callable
from typing import Any

from wsgi_runtime.logs import line

PIPE_BUF = 4096
"""Bytes that are written to a pipe in one piece (pipe(7)). Longer lines of two processes can be interleaved."""

# Levels of Nginx (ngx_core_module, error_log). Errors in its configuration have no time and no process ID.
NGINX_ERROR = re.compile(r"(?:nginx:|\S+ \S+) \[(\w+)\] (?:\d+#\d+: )?(.*)")
NGINX_LEVELS = {"notice": "info", "warn": "warning", "crit": "critical", "alert": "critical", "emerg": "critical"}

# Nginx warns of each body that does not fit into its buffer, which is normal for an upload.
NGINX_NORMAL = re.compile(r"\*\d+ an? [a-z ]+ is buffered to a temporary file ")

# uWSGI has no levels. It prints these words when a worker dies, the queue is full, or a system call fails.
UWSGI_ERROR = re.compile(r"DAMN|!!!|\b[Ee]rror\b|unable to ")


def printed(source: str) -> Callable[[bytes], bytes]:
    """Return a converter of lines that are only a message."""
    return lambda text: line("info", source, text.decode(errors="replace"))


def access(text: bytes) -> bytes:
    """Convert a line of Nginx's access log, in our format or in that of an app's own nginx.conf."""
    try:
        text.decode()
    except UnicodeDecodeError:
        text = text.decode(errors="replace").encode()
    whole = text.startswith(b'{"time":"') and text.endswith(b'"}') and len(text) < PIPE_BUF
    return text + b"\n" if whole or parse(text) else printed("nginx")(text)


def nginx_error(text: bytes) -> bytes:
    """Convert a line of Nginx's error log."""
    message = text.decode(errors="replace")
    if match := NGINX_ERROR.fullmatch(message):
        level = "info" if NGINX_NORMAL.match(match[2]) else NGINX_LEVELS.get(match[1], match[1])
        return line(level, "nginx", match[2])
    return line("error", "nginx", message)


def app(text: bytes) -> bytes:
    """Convert a line of the app: from worker/logging.py, or printed by C code or a child process."""
    return text + b"\n" if text.startswith(b'{"time":"') and parse(text) else printed("app")(text)


def uwsgi(text: bytes) -> bytes:
    """Convert a line that uWSGI, or C code, printed to standard error."""
    message = text.decode(errors="replace")
    return line("error" if UWSGI_ERROR.search(message) else "info", "uwsgi", message)


def supervisord(text: bytes) -> bytes:
    """Convert a line of PID 1 or of the admin program."""
    return text + b"\n" if parse(text) else printed("supervisord")(text)


def parse(text: bytes) -> dict[str, Any]:
    """Return the record of a line in our format; an empty one for any other line."""
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(text)
        names = ("time", "level", "source", "message")
        if isinstance(record, dict) and all(isinstance(record.get(name), str) for name in names):
            return record
    return {}


CONVERTERS: dict[str, Callable[[bytes], bytes]] = {
    "access": access,
    "nginx": nginx_error,
    "app": app,
    "uwsgi": uwsgi,
    "supervisord": supervisord,
}
"""Converters by the name of their pipe."""


def converter(name: str) -> Callable[[bytes], bytes]:
    """Return the converter of a pipe. Names that are not in CONVERTERS are processes of the Procfile, as `worker.1`."""
    return CONVERTERS.get(name) or printed(name.partition(".")[0])
