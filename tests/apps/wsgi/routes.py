"""A WSGI app without a framework, with a function for each case that a WSGI server must handle."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

TEXT = [("Content-Type", "text/plain")]


def raises(environ, start_response):
    """Raise an exception."""
    raise ValueError("nobody catches this")


def exits(environ, start_response):
    """Raise SystemExit."""
    sys.exit(3)


def replaced(environ, start_response):
    """Replace the response by an error page with exc_info."""
    start_response("200 OK", TEXT)
    try:
        raise KeyError("late")
    except KeyError:
        start_response("503 Service Unavailable", [("Content-Type", "text/x-own")], sys.exc_info())
    return [b"my own error page"]


def line_break(environ, start_response):
    """Set a header whose value has a line break."""
    start_response("200 OK", [("X-One", "1\r\nX-Two: 2")])
    return [b"body"]


def returns_none(environ, start_response):
    """Return None."""
    start_response("200 OK", TEXT)


def returns_text(environ, start_response):
    """Return text instead of bytes."""
    start_response("200 OK", TEXT)
    return ["text"]


def fails_at_once(environ, start_response):
    """Raise before the first chunk."""
    start_response("200 OK", TEXT)
    raise RuntimeError("before the first chunk")
    yield b""


def fails_midway(environ, start_response):
    """Declare a length, and raise after the first chunk."""
    start_response("200 OK", [*TEXT, ("Content-Length", "1000")])
    yield b"x" * 100
    raise RuntimeError("after the first chunk")


def unread(environ, start_response):
    """Answer without reading the body of the request."""
    start_response("200 OK", TEXT)
    return [b"unread"]


def read(environ, start_response):
    """Answer with the length of the request's body."""
    start_response("200 OK", TEXT)
    return [str(len(environ["wsgi.input"].read())).encode()]


def written(environ, start_response):
    """Send the response with write() of PEP 3333."""
    write = start_response("200 OK", TEXT)
    write(b"one ")
    write(b"two ")
    return [b"three"]


def child(environ, start_response):
    """Start a child process, and end it with SIGTERM."""
    process = subprocess.Popen(["sleep", "60"])
    time.sleep(0.1)
    process.terminate()
    start_response("200 OK", TEXT)
    return [str(process.wait(5)).encode()]


def forkserver(environ, start_response):
    """Call a function in a child of multiprocessing's forkserver."""
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        start_response("200 OK", TEXT)
        return [str(pool.apply_async(abs, (-4,)).get(15)).encode()]


def flows(environ, start_response):
    """Send a line every half second, as many as the query string says."""
    start_response("200 OK", [*TEXT, ("X-Accel-Buffering", "no")])
    for number in range(int(environ["QUERY_STRING"])):
        yield b"%d\n" % number
        time.sleep(0.5)


def mask(environ, start_response):
    """Answer with the signals that the thread blocks."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    start_response("200 OK", TEXT)
    return [",".join(sorted(signal.Signals(number).name for number in blocked)).encode()]


def policy(environ, start_response):
    """Answer with the scheduling policy of the thread."""
    start_response("200 OK", TEXT)
    return [str(os.sched_getscheduler(0)).encode()]


def pid(environ, start_response):
    """Answer with the process id."""
    start_response("200 OK", TEXT)
    return [str(os.getpid()).encode()]


def app(environ, start_response):
    """Call the function that the path names."""
    return globals().get(environ["PATH_INFO"].strip("/"), pid)(environ, start_response)
