"""Procfile of the app: one command for each process type (https://devcenter.heroku.com/articles/procfile).

PID 1 imports this module, so it uses the standard library only.
"""

import re

from wsgi_runtime import APP

PATH = APP / "Procfile"

WEB = "web"
"""The process type that uWSGI serves. Its line in the Procfile is not used."""

LINE = re.compile(r"^([A-Za-z0-9_-]+):[ \t]*(\S.*)$", re.MULTILINE)
"""Other lines are ignored, as foreman does."""


def read() -> dict[str, str]:
    """Return the commands by process type, without `web`; none if there is no Procfile."""
    try:
        text = PATH.read_text(errors="replace")
    except OSError:
        return {}
    return {name: command for name, command in LINE.findall(text) if name != WEB}


def command(words: list[str]) -> list[str]:
    """Return the command of a process type if `words` is the name of one, otherwise `words`.

    bash runs it, as on Heroku: it replaces itself by the last command, which then gets the signals.
    """
    found = read().get(words[0]) if len(words) == 1 else None
    return ["bash", "-c", found] if found else words
