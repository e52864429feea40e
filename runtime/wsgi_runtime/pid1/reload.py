"""Reload of the app's code and of the certificate. In development, a changed file reloads the app."""

import contextlib
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from supervisor.states import SupervisorStates

from wsgi_runtime import APP
from wsgi_runtime.pid1.options import Options
from wsgi_runtime.pid1.programs import Programs
from wsgi_runtime.pid1.replacement import Replacement

MAX_SCAN_SHARE = 0.1
"""Part of the time that PID 1 may spend looking for changed code: an app may have many files."""


class Reload:
    """Starts a replacement of uWSGI, which loads the app's code again."""

    def __init__(self, options: Options, programs: Programs, replacement: Replacement) -> None:
        self._options = options
        self._programs = programs
        self._replacement = replacement
        self.watches_code = options.values["DEBUG"] == "1"
        self._code_times = times(code()) if self.watches_code else {}
        self._code_changes = False
        self._next_scan = 0.0
        self._certificate = [Path(options.values[name]) for name in ("TLS_CERT", "TLS_KEY") if name in options.values]
        self._certificate_times = times(self._certificate)

    def start(self, reason: str) -> None:
        """Replace uWSGI. Nginx reads a certificate that has been renewed."""
        if self._options.mood <= SupervisorStates.SHUTDOWN:
            return
        before, self._certificate_times = self._certificate_times, times(self._certificate)
        if before != self._certificate_times:
            self._options.logger.info("reload: the certificate has changed")
            self._programs.process("nginx").signal(signal.SIGHUP)
        self._replacement.start(reason)

    def tick(self) -> None:
        """In development, reload once .py files of the app have changed, and no further one changes.

        Editors write a file in several steps, and git changes several files: each edit is imported once.
        """
        now = time.monotonic()
        if not self.watches_code or now < self._next_scan:
            return
        before, self._code_times = self._code_times, times(code())
        self._next_scan = now + (time.monotonic() - now) / MAX_SCAN_SHARE
        changed_before, self._code_changes = self._code_changes, before != self._code_times
        if changed_before and not self._code_changes:
            self.start("the code has changed")


def times(files: Iterable[Path]) -> dict[Path, int]:
    """Return the time of the last change of each file that exists, in nanoseconds."""
    found = {}
    for path in files:
        with contextlib.suppress(OSError):  # an editor replaces files
            found[path] = path.stat().st_mtime_ns
    return found


def code() -> Iterator[Path]:
    """Yield each .py file of the app. Hidden folders and packages of Node.js are not its code."""
    for folder, folders, files in APP.walk():
        folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]
        yield from (folder / name for name in files if name.endswith(".py"))
