"""debugpy in a worker: a debugger may attach to the port DEBUGPY at any time. Nothing waits for it."""

import importlib
import os
import socket
import sys
import threading
import time

RETRY_SECONDS = 0.1


def start(port: int) -> None:
    """Listen on the port in a thread, once the uWSGI instance before this one has released it."""
    threading.Thread(target=_listen, args=(port,), name="debugpy", daemon=True).start()


def _listen(port: int) -> None:
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # no warning about frozen modules of Python
    debugpy = importlib.import_module("debugpy")  # a package of the app's
    while not _is_free(port):
        time.sleep(RETRY_SECONDS)
    # An adapter in a process of its own would outlive the worker, and keep the port, as long as a debugger is attached.
    debugpy.listen(("0.0.0.0", port), in_process_debug_adapter=True)  # noqa: S104 - `make dev` publishes it on 127.0.0.1
    sys.stderr.write(f"debugpy listens on port {port}\n")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
