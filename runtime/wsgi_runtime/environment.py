"""The app's environment: the container's environment, and a variable for each secret.

The programs that get it are uWSGI, prestart.sh, `app-env` and the COMMAND of `docker run IMAGE COMMAND`.
PID 1 imports this module, so it uses the standard library only.
"""

import contextlib
import os
import re
import reprlib
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

SECRET_NAMES = frozenset({"DATABASE_URL", "SECRET_KEY"})
"""Variables whose NAME_FILE may name a file in any folder; for other variables the folder must be SECRETS.

NAME_FILE of an unknown app may mean something else: LOG_FILE, SSL_CERT_FILE, PID_FILE.
"""

# Kubernetes sets these for a service named `uwsgi`, and uWSGI would read them as its options.
KUBERNETES_SERVICE = re.compile(r"UWSGI_(SERVICE_(HOST|PORT.*)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")


def for_app(environ: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Return the app's environment: `environ` is the container's, `values` are those of wsgi_runtime.values.

    A variable of `environ`, or the file that its NAME_FILE names, takes precedence over the secret of the same name,
    unless the variable is empty.
    """
    given = {name: value for name, value in environ.items() if not KUBERNETES_SERVICE.fullmatch(name)}
    given |= from_files(environ)[0]
    for folder in SECRETS, PROFILE_SECRETS:
        for name, text in _variables(folder):
            if not given.get(name):
                given[name] = text
    if values.get("DEBUG") == "1":
        given.setdefault("FLASK_DEBUG", "1")
    return given


def from_files(
    environ: Mapping[str, str], secret_names: frozenset[str] = SECRET_NAMES
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables that `environ` has as NAME_FILE, the path of a file with the value; and the problems.

    Both are dictionaries by NAME. NAME_FILE is read if the file is below SECRETS, or NAME is in `secret_names`. Any
    other variable that ends in _FILE belongs to the app.
    """
    found: dict[str, str] = {}
    problems: dict[str, str] = {}
    for variable, path in environ.items():
        name = variable.removesuffix("_FILE")
        if name == variable or not path or not VARIABLE.fullmatch(name) or name in NGINX_ONLY:
            continue
        if name not in secret_names and SECRETS not in Path(os.path.normpath(path)).parents:
            continue
        if environ.get(name):
            problems[name] = f"{name} and {variable} are both set; remove one of them"
            continue
        try:
            found[name] = _text(Path(path), name)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            problems[name] = f"{variable} is {shown(path)}: {reason}"
    return found, problems


def shown(value: object) -> str:
    """Return a value for an error message, without its middle if it is long."""
    shortened = reprlib.Repr()
    shortened.maxstring = shortened.maxother = 200
    return shortened.repr(value)


def files(folder: Path) -> list[Path]:
    """Return the files in a folder; none if the folder does not exist or cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return []


def _variables(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of the files in `folder` that can be environment variables; others are for other programs."""
    for path in files(folder):
        if VARIABLE.fullmatch(path.name) and path.name not in NGINX_ONLY:
            with contextlib.suppress(OSError, ValueError):
                yield path.name, _text(path, path.name)


def _text(path: Path, name: str) -> str:
    """Return the text of a file, without one newline at its end, as the value of the variable `name`.

    Raises OSError, or ValueError if the text cannot be a variable.
    """
    if path.exists() and not path.is_file():
        raise ValueError("must be a file")
    with path.open("rb") as file:
        content = file.read(MAX_VARIABLE_BYTES)
    if len(content) > MAX_VARIABLE_BYTES - len(name) - 2:
        raise ValueError("the file must be smaller than 128 KB")
    if b"\0" in content:
        raise ValueError("the file must not contain a NUL byte")
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise ValueError("the file must be UTF-8 text") from None


def execute(command: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by `command`. If that fails, exit like a shell: 127 if it is not found, otherwise 126."""
    try:
        os.execvpe(command[0], command, environ)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)
