"""What a process must not have when uWSGI forks its workers from it (PRELOAD): threads and connections.

A forked process has only the thread that called fork(2), and shares all open sockets and files.
"""

import contextlib
import os
import socket
import threading
from pathlib import Path

PROCESS = Path("/proc/self")


def found() -> set[str]:
    """Return this process's other threads, its sockets, and the files that it both reads and writes, in words."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    tasks = [int(task.name) for task in (PROCESS / "task").iterdir()]
    words = {f"thread {names.get(task, task)}" for task in tasks if task != os.getpid()}
    for fd in (PROCESS / "fd").iterdir():
        with contextlib.suppress(OSError):  # the folder itself was open while it was listed
            words.add(_words(fd))
    return words - {""}


def _words(fd: Path) -> str:
    """Return what a file descriptor refers to; "" if processes can share it. Raises OSError if it is closed."""
    target = str(fd.readlink())
    if target.startswith("socket:"):
        with socket.socket(fileno=os.dup(int(fd.name))) as connection:
            try:
                return f"connection to {connection.getpeername()}"
            except OSError:
                return target
    _, _, flags = (PROCESS / "fdinfo" / fd.name).read_text().partition("flags:")
    mode = int(flags.split()[0], 8)
    is_read_and_written = mode & os.O_ACCMODE == os.O_RDWR and not mode & os.O_APPEND
    return target if is_read_and_written and target != "/dev/null" else ""
