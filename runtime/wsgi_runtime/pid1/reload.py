"""Reload of the app's code. In development, a changed file reloads the app."""

from collections.abc import Iterator
from pathlib import Path

from supervisor.states import SupervisorStates

from wsgi_runtime import APP
from wsgi_runtime.pid1.certificate import Certificate
from wsgi_runtime.pid1.file_times import times
from wsgi_runtime.pid1.options import Options
from wsgi_runtime.pid1.process_types import ProcessTypes
from wsgi_runtime.pid1.replacement import Replacement


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

    def start(self, reason: str) -> None:
        """Replace uWSGI. Nginx reads a certificate that has been renewed."""
        if self._options.mood <= SupervisorStates.SHUTDOWN:
            return
        self._certificate.reload()
        self._replacement.start(reason)
        self._process_types.reload()

    def tick(self) -> None:
        """In development, reload when a .py file of the app has changed."""
        if self.watches_code:
            before, self._code_times = self._code_times, times(code())
            if before != self._code_times:
                self.start("the code has changed")


def code() -> Iterator[Path]:
    """Yield each .py file of the app. Hidden folders are not code."""
    for folder, folders, files in APP.walk():
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (folder / name for name in files if name.endswith(".py"))
