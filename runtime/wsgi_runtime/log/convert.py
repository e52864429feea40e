"""Lines that programs print, as lines of the log."""

import contextlib
import json
import re
from collections.abc import Callable
from typing import Any

from wsgi_runtime.logs import line

PIPE_BUF = 4096
"""Bytes that are written to a pipe in one piece (pipe(7)): longer lines of two processes can get mixed up."""

# nginx's own words for how bad it is (ngx_core_module, error_log); it has no time and no pid where its file is wrong.
NGINX_ERROR = re.compile(r"(?:nginx:|\S+ \S+) \[(\w+)\] (?:\d+#\d+: )?(.*)")
NGINX_LEVELS = {"notice": "info", "warn": "warning", "crit": "critical", "alert": "critical", "emerg": "critical"}

# uWSGI has no levels; it prints these when a worker dies, the queue is full, or a call fails.
UWSGI_ERROR = re.compile(r"DAMN|!!!|\b[Ee]rror\b|unable to ")


def printed(source: str) -> Callable[[bytes], bytes]:
    """Return a converter of lines that are nothing but a message."""
    return lambda text: line("info", source, text.decode(errors="replace"))


def access(text: bytes) -> bytes:
    """Convert a line of nginx's access log: one of ours, or one of an nginx.conf of the app's."""
    try:
        text.decode()
    except UnicodeDecodeError:
        text = text.decode(errors="replace").encode()
    whole = text.startswith(b'{"time":"') and text.endswith(b'"}') and len(text) < PIPE_BUF
    return text + b"\n" if whole or parse(text) else printed("nginx")(text)


def nginx_error(text: bytes) -> bytes:
    """Convert a line of nginx's error log, with its level."""
    message = text.decode(errors="replace")
    if match := NGINX_ERROR.fullmatch(message):
        return line(NGINX_LEVELS.get(match[1], match[1]), "nginx", match[2])
    return line("error", "nginx", message)


def app(text: bytes) -> bytes:
    """Convert a line of the app's: one that logging has made, or one that C code or a child process printed."""
    return text + b"\n" if text.startswith(b'{"time":"') and parse(text) else printed("app")(text)


def uwsgi(text: bytes) -> bytes:
    """Convert what uWSGI itself, or C code, wrote to standard error."""
    message = text.decode(errors="replace")
    return line("error" if UWSGI_ERROR.search(message) else "info", "uwsgi", message)


def supervisord(text: bytes) -> bytes:
    """Convert a line of PID 1's or of the admin program's."""
    return text + b"\n" if parse(text) else printed("supervisord")(text)


def parse(text: bytes) -> dict[str, Any]:
    """Return the record that a line of ours holds, or an empty one for any other line."""
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
"""The converter of each pipe, by the pipe's name."""
