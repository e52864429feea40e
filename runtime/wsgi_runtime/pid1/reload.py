"""Reload of the app's code. In development, a changed file reloads the app."""

import time
from collections.abc import Iterator
from pathlib import Path

from supervisor.states import SupervisorStates

from wsgi_runtime import APP
from wsgi_runtime.pid1.certificate import Certificate
from wsgi_runtime.pid1.file_times import times
from wsgi_runtime.pid1.options import Options
from wsgi_runtime.pid1.process_types import ProcessTypes
from wsgi_runtime.pid1.replacement import Replacement

MAX_SCAN_SHARE = 0.1
"""Part of the time that PID 1 may spend looking for changed code: an app may have many files."""


class Reload:
    """Starts a replacement of uWSGI, which loads the app's code again, and then restarts the process types."""

    def __init__(
        self, options: Options, certificate: Certificate, replacement: Replacement, process_types: ProcessTypes
    ) -> None:
        self._options = options
        self._certificate = certificate
        self._replacement = replacement
        self._process_types = process_types
        self.watches_code = options.values["DEBUG"] == "1"
        self._code_times = times(code()) if self.watches_code else {}
        self._code_changes = False
        self._next_scan = 0.0

    def start(self, reason: str) -> None:
        """Replace uWSGI. Nginx reads a certificate that has been renewed."""
        if self._options.mood <= SupervisorStates.SHUTDOWN:
            return
        self._certificate.reload()
        self._replacement.start(reason)
        self._process_types.reload()

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


def code() -> Iterator[Path]:
    """Yield each .py file of the app. Hidden folders and packages of Node.js are not its code."""
    for folder, folders, files in APP.walk():
        folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]
        yield from (folder / name for name in files if name.endswith(".py"))
