"""Logging in a worker: records, prints, warnings and exceptions of the app become lines of JSON with the request's ID.

It is set up before the app is imported, so that the app can configure its own logging.
"""

import contextvars
import fcntl
import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from wsgi_runtime import logs
from wsgi_runtime.worker import request

STDOUT = 1
"""Pipe to the log program; uWSGI itself writes to standard error."""

TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_lock = threading.RLock()


def _request_fields() -> dict[str, str]:
    if not (current := request.current.get()):
        return {}
    traceparent = current.traceparent if TRACEPARENT.fullmatch(current.traceparent) else ""
    fields = {"request_id": current.id, "traceparent": traceparent}
    return {name: value for name, value in fields.items() if value}


def _write(line: bytes) -> None:
    """Write a line in one piece, under a lock for threads and one for processes."""
    with _lock:
        fcntl.lockf(STDOUT, fcntl.LOCK_EX)
        try:
            while line:
                line = line[os.write(STDOUT, line) :]
        finally:
            fcntl.lockf(STDOUT, fcntl.LOCK_UN)


def _unlock_after_fork() -> None:
    global _lock
    _lock = threading.RLock()


_record_level = contextvars.ContextVar[str | None]("record_level", default=None)
"""Level of the record that a handler is handling."""


def _level_name(number: int) -> str:
    """Return the name of a level. A custom level becomes the next lower one."""
    return logs.LEVELS[max(0, min(number // 10 - 1, len(logs.LEVELS) - 1))]


def _print(level: str) -> Callable[[str], None]:
    return lambda message: _write(logs.line(_record_level.get() or level, "app", message, **_request_fields()))


def _handle(self: logging.Handler, record: logging.LogRecord) -> Any:
    """Replace logging.Handler.handle: lines that a handler of the app's prints get the level of the record."""
    token = _record_level.set(_level_name(record.levelno))
    try:
        return _original_handle(self, record)
    finally:
        _record_level.reset(token)


_original_handle = logging.Handler.handle


STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes of every record; all others come from `extra`."""


class Formatter(logging.Formatter):
    """Formats a record as a line of the log; the keys of `extra` become fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line as JSON. Values that JSON cannot express are converted to strings."""
        if isinstance(record.msg, dict) and not record.args:
            extra = {str(name): value for name, value in record.msg.items()}
            message = str(extra.pop("message", ""))
        else:
            extra, message = {}, record.getMessage()
        fields: dict[str, Any] = {
            "time": logs.timestamp(record.created),
            "level": _level_name(record.levelno),
            "source": "app",
            "message": message,
            "logger": record.name,
            **_request_fields(),
        }
        if record.exc_info:
            fields["exc_info"] = self.formatException(record.exc_info)
        elif record.exc_text:
            fields["exc_info"] = record.exc_text
        if record.stack_info:
            fields["stack_info"] = record.stack_info
        extra.update((name, value) for name, value in vars(record).items() if name not in STANDARD_ATTRIBUTES)
        for name, value in extra.items():
            if name not in fields and name not in ("request_id", "traceparent"):
                fields[name] = str(value) if name in ("exc_info", "stack_info") else value
        try:
            return _dumps(fields)
        except (TypeError, ValueError, RecursionError):
            return _dumps({name: value if type(value) is str else repr(value) for name, value in fields.items()})


class Handler(logging.Handler):
    """Writes each record as a line of the log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            _write(self.format(record).encode(errors="replace") + b"\n")
        except Exception as error:
            log_exception(type(error), error, error.__traceback__, f" when {record.msg!r} was logged")


handler = Handler()


def log_exception(kind: Any, error: Any, trace: Any, where: str = "") -> None:
    """Log an uncaught exception; `where` is appended to its message."""
    message = "".join(traceback.format_exception_only(kind, error)).strip() + where
    handler.handle(logging.LogRecord("uncaught", logging.ERROR, "", 0, message, None, (kind, error, trace)))


def _basic_config(**options: Any) -> None:
    """Replace logging.basicConfig, which has no effect if there is a handler: the app's handler replaces ours.

    A call with a level alone sets the level.
    """
    if options.keys() <= {"level"}:
        logging.root.setLevel(options.get("level") or logging.root.level)
    else:
        logging.root.removeHandler(handler)
        _original_basic_config(**options)


_original_basic_config = logging.basicConfig


def set_up(level: str) -> None:
    """Make lines of JSON the default. `level` is LOG_LEVEL."""
    handler.setFormatter(Formatter())
    logging.root.addHandler(handler)
    logging.root.setLevel(level.upper())
    logging.basicConfig = _basic_config
    logging.Handler.handle = _handle  # type: ignore[method-assign]
    logging.captureWarnings(True)
    # At its end the interpreter restores sys.__stdout__, while threads of an orphaned worker still serve requests.
    sys.stdout = sys.__stdout__ = logs.text_stream(STDOUT, _print("info"))  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = logs.text_stream(2, _print("warning"))  # type: ignore[misc]
    sys.excepthook = log_exception
    threading.excepthook = lambda args: log_exception(
        args.exc_type, args.exc_value, args.exc_traceback, f" in {args.thread.name}" if args.thread else ""
    )
    os.register_at_fork(after_in_child=_unlock_after_fork)


def _dumps(fields: dict[str, Any]) -> str:
    return json.dumps(fields, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=str)
