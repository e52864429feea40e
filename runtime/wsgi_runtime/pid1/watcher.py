"""Files that a reload depends on: the app's code in development, and the certificate."""

import contextlib
import os
from pathlib import Path

from wsgi_runtime import APP


class Watcher:
    """Looks whether files have changed."""

    def __init__(self, debug: bool, certificate: list[str]) -> None:
        """`debug`: watch the app's code as well. `certificate`: the files of the certificate and its key, if any."""
        self._certificate = certificate
        self._certificate_changed_at = changed_at(certificate)
        self._code = edited() if debug else None

    def code_has_changed(self) -> bool:
        """Return True when a file of the app's has changed since the last call, in development."""
        if self._code is None:
            return False
        before, self._code = self._code, edited()
        return before != self._code

    def certificate_has_changed(self) -> bool:
        """Return True when the certificate or its key has changed since the last call."""
        before, self._certificate_changed_at = self._certificate_changed_at, changed_at(self._certificate)
        return before != self._certificate_changed_at


def changed_at(files: list[str]) -> list[int]:
    """Return when each of these files was last changed."""
    return [os.stat(file).st_mtime_ns for file in files if os.path.exists(file)]  # noqa: PTH110, PTH116


def edited() -> dict[Path, int]:
    """Return when each .py file of the app was last changed; hidden folders are not the app's code."""
    changed = {}
    for folder, folders, files in APP.walk():
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (folder / name for name in files if name.endswith(".py")):
            with contextlib.suppress(OSError):  # an editor replaces files
                changed[path] = path.stat().st_mtime_ns
    return changed
