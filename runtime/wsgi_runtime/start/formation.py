"""The formation, which PROCESSES sets: the process types that run, and the number of processes of each."""

import re

from wsgi_runtime import procfile
from wsgi_runtime.procfile import WEB

MAX_PROCESSES = 1024
TAKES = f"auto, a number from 1 to {MAX_PROCESSES}, or process types such as web,worker or web=4,worker=2"
ENTRY = re.compile(r"([A-Za-z0-9_-]{1,32})(?:=([0-9]{1,4}))?")

RESERVED = {"access", "admin", "app", "log", "nginx", "prestart", "supervisord", "uwsgi"}
"""Programs of supervisord.ini, and sources of log lines."""

PROGRAM = """\
[program:{name}]
command      = /opt/wsgi/runtime/bin/run {name}
process_name = {process_name}
numprocs     = {count}
numprocs_start = 1
; It gets SIGTERM when Nginx stops, and has to have stopped after uWSGI has.
priority     = 5
stopwaitsecs = %(ENV_GRACE_PERIOD)s
killasgroup  = true
; A process that exits earlier is started again after a pause, which grows with each exit.
startsecs    = 10
"""


def parse(text: str) -> dict[str, int]:
    """Return the number of processes by process type; 0 stands for the automatic number of `web`.

    Raises ValueError if `text` is not a formation.
    """
    if text == "auto":
        return {WEB: 0}
    if text.isdecimal():
        text = f"{WEB}={text}"
    found: dict[str, int] = {}
    for entry in text.split(","):
        match = ENTRY.fullmatch(entry.strip())
        count = int(match[2] or (match[1] != WEB)) if match else 0
        if not match or count > MAX_PROCESSES or (count == 0 and match[2]):
            raise ValueError(f"must be {TAKES}")
        if match[1] in found:
            raise ValueError(f"{match[1]} occurs twice")
        found[match[1]] = count
    return found


def check(text: str) -> str:
    """Return the formation in its long form, such as `web=4,worker=1`. Raises ValueError if it cannot run."""
    found, types = parse(text), procfile.read()
    for name in found.keys() - {WEB} - types.keys():
        there = f"which has {', '.join(types) or 'no process types'}" if procfile.PATH.exists() else "which is missing"
        raise ValueError(f"{name} is not in {procfile.PATH}, {there}; add a line such as {name}: python {name}.py")
    for name in found.keys() & RESERVED:
        raise ValueError(f"{name} is the name of a program of the container; rename it in {procfile.PATH}")
    if WEB not in found:
        alone = " and ".join(f"docker run IMAGE run {name}" for name in found)
        raise ValueError(f"must contain {WEB}; {alone} runs a process type in a container of its own")
    return join(found)


def join(found: dict[str, int]) -> str:
    """Return a formation as text."""
    return ",".join(f"{name}={count}" if count else name for name, count in found.items())


def programs(text: str) -> str:
    """Return the sections of supervisord's configuration that run the formation's process types, except `web`."""
    return "\n".join(
        PROGRAM.format(
            name=name,
            count=count,
            process_name="%(program_name)s" if count == 1 else "%(program_name)s.%(process_num)d",
        )
        for name, count in parse(text).items()
        if name != WEB
    )
