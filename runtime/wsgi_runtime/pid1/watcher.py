"""Files that a reload depends on: the app's code in development, and the certificate with its key."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from wsgi_runtime import APP


class Watcher:
    """Compares the times of their last change."""

    def __init__(self, values: dict[str, str]) -> None:
        self.active = values["DEBUG"] == "1"
        self._certificate = [Path(values[name]) for name in ("TLS_CERT", "TLS_KEY") if name in values]
        self._certificate_times = times(self._certificate)
        self._code_times = times(code()) if self.active else {}

    def code_has_changed(self) -> bool:
        """Return True when a .py file of the app has changed since the last call, in development."""
        before = self._code_times
        if self.active:
            self._code_times = times(code())
        return before != self._code_times

    def certificate_has_changed(self) -> bool:
        """Return True when the certificate or its key has changed since the last call."""
        before, self._certificate_times = self._certificate_times, times(self._certificate)
        return before != self._certificate_times


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
