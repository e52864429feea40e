"""prestart.sh: the script of the app that must succeed before Nginx and uWSGI start. PID 1 imports this module."""

import os
from collections.abc import Mapping
from pathlib import Path

from wsgi_runtime import APP

SCRIPT = APP / "prestart.sh"

DEFAULT_STATIC_PATH = str(APP / "static")
"""Default of STATIC_PATH. An app need not have static files, so this folder may be missing."""

NO_FOLDER = "there is no such folder in the container"


def is_wanted(values: Mapping[str, str]) -> bool:
    """Return True if startup runs prestart.sh; `values` are those of wsgi_runtime.values."""
    return values["PRESTART"] == "1" and SCRIPT.exists()


def command() -> list[str]:
    """Return the command that runs prestart.sh: with the interpreter of its #! line (execve(2)), otherwise with sh.

    The script need not be executable. Raises OSError if it cannot be read.
    """
    with SCRIPT.open("rb") as script:
        first_line = script.readline()
    if not first_line.startswith(b"#!"):
        return ["sh", str(SCRIPT)]
    interpreter = os.fsdecode(first_line[2:]).strip().split(maxsplit=1)
    return [*(interpreter or ["sh"]), str(SCRIPT)]


def static_problem(values: Mapping[str, str]) -> str:
    """Return the problem of the static files, which prestart.sh may have created; "" if there is none."""
    folder, index = values["STATIC_PATH"], values["STATIC_INDEX"]
    if folder != DEFAULT_STATIC_PATH and not Path(folder).is_dir():
        return f"STATIC_PATH is {folder!r}: {NO_FOLDER}"
    if index != "off" and not Path(folder, "index.html").is_file():
        return f"STATIC_INDEX is {index}: there is no index.html in {folder} (STATIC_PATH)"
    return ""
