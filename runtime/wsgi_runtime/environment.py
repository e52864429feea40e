"""The app's environment: what the user set in the container's environment, and a variable for each secret.

The programs that get it are uWSGI, prestart.sh, `app-env` and the COMMAND of `docker run IMAGE COMMAND`.
PID 1 imports this module: it uses the standard library only.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from wsgi_runtime import RUN

SECRETS = Path("/run/secrets")
"""Docker and Kubernetes mount each secret here as one file."""

PROFILE_SECRETS = RUN / "profile-secrets"
"""Startup writes the secrets of the profile here, in the same form as SECRETS. Its mode is 0700."""

MAX_VARIABLE_BYTES = 128 << 10
"""execve(2) fails with E2BIG if one NAME=value with its final NUL is longer (MAX_ARG_STRLEN)."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

NGINX_ONLY = {"TLS_CERT", "TLS_KEY"}
"""Secrets that Nginx reads as files."""

# Kubernetes sets these for a service named `uwsgi`, and uWSGI would read them as its options.
KUBERNETES_SERVICE = re.compile(r"UWSGI_(SERVICE_(HOST|PORT.*)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")


def for_app(environ: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Return the app's environment: `environ` is the container's, `values` are those of wsgi_runtime.values.

    A variable of `environ` takes precedence over the secret of the same name, unless the variable is empty.
    """
    given = {name: value for name, value in environ.items() if not KUBERNETES_SERVICE.fullmatch(name)}
    for folder in SECRETS, PROFILE_SECRETS:
        for name, text in _variables(folder):
            if not given.get(name):
                given[name] = text
    if values.get("DEBUG") == "1":
        given.setdefault("FLASK_DEBUG", "1")
    return given


def files(folder: Path) -> list[Path]:
    """Return the files in a folder; none if the folder is not there or must not be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return []


def _variables(folder: Path) -> Iterator[tuple[str, str]]:
    """Files of `folder` that can be environment variables: name and text, without one newline at the end."""
    for path in files(folder):
        if not VARIABLE.fullmatch(path.name) or path.name in NGINX_ONLY:
            continue
        try:
            if path.stat().st_size > MAX_VARIABLE_BYTES - len(path.name) - 2:
                continue
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError):  # a file for another program
            continue
        if "\0" not in text:
            yield path.name, text.removesuffix("\n")


def execute(command: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by `command`. Exits like a shell if that fails: 127 if it is not found, otherwise 126."""
    try:
        os.execvpe(command[0], command, environ)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)
