"""An app with the faults of real apps, one for each path."""

import ctypes
import os
import subprocess
import threading
import time
from urllib.parse import parse_qs

LEAK = []
BALLAST = os.urandom(1) * (int(os.environ.get("BALLAST", "0")) << 20)
VERSION = "old"


def seconds(environ):
    """Return the duration that the query string asks for."""
    return float(parse_qs(environ["QUERY_STRING"]).get("s", ["1"])[0])


def sleep(environ):
    """Wait without using the CPU."""
    time.sleep(seconds(environ))


def burn(environ):
    """Use the CPU."""
    end = time.monotonic() + seconds(environ)
    while time.monotonic() < end:
        pass


def hang(environ):
    """Never answer."""
    while True:
        time.sleep(1)


def segfault(environ):
    """Crash in C code."""
    ctypes.string_at(0)


def leave(environ):
    """Exit without cleanup or message."""
    os._exit(3)


def leak(environ):
    """Leak 1 MB."""
    LEAK.append(bytearray(os.urandom(1) * (1 << 20)))


def devour(environ):
    """Allocate memory without end."""
    while True:
        LEAK.append(bytearray(b"x" * (8 << 20)))


def breed(environ):
    """Start child processes without end."""
    while True:
        subprocess.Popen(["sleep", "30"])


def abandon(environ):
    """Leave an orphan that exits later."""
    subprocess.Popen(["sh", "-c", "sleep 0.2 & exit"]).wait()


def thread(environ):
    """Leave a thread that never ends."""
    threading.Thread(target=time.sleep, args=(3600,)).start()


def stream(environ):
    """Send a response that never ends."""
    while True:
        yield b"x" * 100
        time.sleep(0.2)


def stall(environ):
    """Send the beginning of a response, and hang."""
    yield b"x" * 100
    time.sleep(3600)


PATHS = {
    function.__name__: function
    for function in (sleep, burn, hang, segfault, leave, leak, devour, breed, abandon, thread)
}


def app(environ, start_response):
    """Call the function named by the last part of the path; answer with the version of the code and the process id."""
    action = environ["PATH_INFO"].rsplit("/", 1)[-1]
    headers = [("Content-Type", "text/plain")]
    if action in ("stream", "stall"):
        if environ["QUERY_STRING"] == "live":
            headers.append(("X-Accel-Buffering", "no"))
        start_response("200 OK", headers)
        return {"stream": stream, "stall": stall}[action](environ)
    if action in PATHS:
        PATHS[action](environ)
    environ["wsgi.input"].read()
    start_response("200 OK", headers)
    return [f"{VERSION} {os.getpid()}".encode()]
