"""Requests that wait for a worker: connections of Nginx in the queue of uWSGI's listening socket.

uWSGI's own figure is always 0 for a unix socket. /proc/net/unix lists each connection with the path of the listening
socket, and with the state SS_CONNECTING until uWSGI accepts it. Containers of one pod have this file in common.
"""

from pathlib import Path

from wsgi_runtime import RUN

UNIX_SOCKETS = Path("/proc/net/unix")
SS_CONNECTING = b"02"
STATE_COLUMN = 5


def length() -> int | None:
    """Return the number of waiting requests; None where the kernel does not tell."""
    path = b" %s/uwsgi.sock" % bytes(RUN)
    try:
        sockets = [line.split() for line in UNIX_SOCKETS.read_bytes().splitlines() if line.endswith(path)]
    except OSError:
        return None
    return sum(columns[STATE_COLUMN] == SS_CONNECTING for columns in sockets) if sockets else None
