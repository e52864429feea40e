"""Reload of the app's code and of the certificate. In development, a changed file reloads the app."""

import contextlib
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from supervisor.states import SupervisorStates

from wsgi_runtime import APP
from wsgi_runtime.pid1.options import Options
from wsgi_runtime.pid1.process_types import ProcessTypes
from wsgi_runtime.pid1.programs import Programs
from wsgi_runtime.pid1.replacement import Replacement


class Reload:
    """Starts a replacement of uWSGI, which loads the app's code again, and then restarts the process types."""

    def __init__(
        self, options: Options, programs: Programs, replacement: Replacement, process_types: ProcessTypes
    ) -> None:
        self._options = options
        self._programs = programs
        self._replacement = replacement
        self._process_types = process_types
        self.watches_code = options.values["DEBUG"] == "1"
        self._code_times = times(code()) if self.watches_code else {}
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
        self._process_types.reload()

    def tick(self) -> None:
        """In development, reload when a .py file of the app has changed."""
        if self.watches_code:
            before, self._code_times = self._code_times, times(code())
            if before != self._code_times:
                self.start("the code has changed")


def times(files: Iterable[Path]) -> dict[Path, int]:
    """Return the time of the last change of each file that exists, in nanoseconds."""
    found = {}
    for path in files:
        with contextlib.suppress(OSError):  # an editor replaces files
            found[path] = path.stat().st_mtime_ns
    return found


def code() -> Iterator[Path]:
    """Yield each .py file of the app. Hidden folders are not code."""
    for folder, folders, files in APP.walk():
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (folder / name for name in files if name.endswith(".py"))
