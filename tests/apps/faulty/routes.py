"""An app that does on request what apps do by mistake."""

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
    """How long the request asks to take."""
    return float(parse_qs(environ["QUERY_STRING"]).get("s", ["1"])[0])


def sleep(environ):
    """Waits, without using the processor."""
    time.sleep(seconds(environ))


def burn(environ):
    """Uses the processor."""
    end = time.monotonic() + seconds(environ)
    while time.monotonic() < end:
        pass


def hang(environ):
    """Never answers."""
    while True:
        time.sleep(1)


def segfault(environ):
    """Crashes in C."""
    ctypes.string_at(0)


def leave(environ):
    """Ends the process without a word."""
    os._exit(3)


def leak(environ):
    """Keeps a megabyte for ever."""
    LEAK.append(bytearray(os.urandom(1) * (1 << 20)))


def devour(environ):
    """Allocates until it is stopped."""
    while True:
        LEAK.append(bytearray(b"x" * (8 << 20)))


def breed(environ):
    """Starts children without end."""
    while True:
        subprocess.Popen(["sleep", "30"])


def abandon(environ):
    """Leaves a child behind that ends later, as an orphan."""
    subprocess.Popen(["sh", "-c", "sleep 0.2 & exit"]).wait()


def thread(environ):
    """Leaves a thread behind that nobody waits for."""
    threading.Thread(target=time.sleep, args=(3600,)).start()


def stream(environ):
    """Begins an answer that never ends."""
    while True:
        yield b"x" * 100
        time.sleep(0.2)


def stall(environ):
    """Begins an answer, and stops in the middle."""
    yield b"x" * 100
    time.sleep(3600)


PATHS = {
    function.__name__: function
    for function in (sleep, burn, hang, segfault, leave, leak, devour, breed, abandon, thread)
}


def app(environ, start_response):
    """The path's last part is what to do; then it says which version in which process answered."""
    action = environ["PATH_INFO"].rsplit("/", 1)[-1]
    headers = [("Content-Type", "text/plain")]
    if action in ("stream", "stall"):
        start_response("200 OK", headers)
        return {"stream": stream, "stall": stall}[action](environ)
    if action in PATHS:
        PATHS[action](environ)
    environ["wsgi.input"].read()
    start_response("200 OK", headers)
    return [f"{VERSION} {os.getpid()}".encode()]
