"""A WSGI app without a framework, which does on request what a server has to cope with."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

TEXT = [("Content-Type", "text/plain")]


def raises(environ, start_response):
    """An exception leaves the app."""
    raise ValueError("nobody catches this")


def exits(environ, start_response):
    """SystemExit leaves the app."""
    sys.exit(3)


def replaced(environ, start_response):
    """An error page of the app's own, after it had begun another response."""
    start_response("200 OK", TEXT)
    try:
        raise KeyError("late")
    except KeyError:
        start_response("503 Service Unavailable", [("Content-Type", "text/x-own")], sys.exc_info())
    return [b"my own error page"]


def line_break(environ, start_response):
    """A header that would smuggle in another."""
    start_response("200 OK", [("X-One", "1\r\nX-Two: 2")])
    return [b"body"]


def returns_none(environ, start_response):
    """No body at all."""
    start_response("200 OK", TEXT)


def returns_text(environ, start_response):
    """Text instead of bytes."""
    start_response("200 OK", TEXT)
    return ["text"]


def fails_at_once(environ, start_response):
    """A generator that raises before its first chunk."""
    start_response("200 OK", TEXT)
    raise RuntimeError("before the first chunk")
    yield b""


def fails_midway(environ, start_response):
    """A generator with a length that raises after its first chunk."""
    start_response("200 OK", [*TEXT, ("Content-Length", "1000")])
    yield b"x" * 100
    raise RuntimeError("after the first chunk")


def unread(environ, start_response):
    """Answers without having read the request's body."""
    start_response("200 OK", TEXT)
    return [b"unread"]


def read(environ, start_response):
    """Says how long the request's body is."""
    start_response("200 OK", TEXT)
    return [str(len(environ["wsgi.input"].read())).encode()]


def written(environ, start_response):
    """Uses write(), as old apps do."""
    write = start_response("200 OK", TEXT)
    write(b"one ")
    write(b"two ")
    return [b"three"]


def child(environ, start_response):
    """Starts a child process, and ends it with SIGTERM."""
    process = subprocess.Popen(["sleep", "60"])
    time.sleep(0.1)
    process.terminate()
    start_response("200 OK", TEXT)
    return [str(process.wait(5)).encode()]


def forkserver(environ, start_response):
    """Calls a function in a child of multiprocessing's forkserver."""
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        start_response("200 OK", TEXT)
        return [str(pool.apply_async(abs, (-4,)).get(15)).encode()]


def flows(environ, start_response):
    """A stream that takes longer than REQUEST_TIMEOUT, a line every half second."""
    start_response("200 OK", [*TEXT, ("X-Accel-Buffering", "no")])
    for number in range(int(environ["QUERY_STRING"])):
        yield b"%d\n" % number
        time.sleep(0.5)


def headers(environ, start_response):
    """How many of the request's headers arrived."""
    start_response("200 OK", TEXT)
    return [str(sum(name.startswith("HTTP_X_H") for name in environ)).encode()]


def mask(environ, start_response):
    """The signals that a request's thread blocks."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    start_response("200 OK", TEXT)
    return [",".join(sorted(signal.Signals(number).name for number in blocked)).encode()]


def pid(environ, start_response):
    """The process that answers."""
    start_response("200 OK", TEXT)
    return [str(os.getpid()).encode()]


def app(environ, start_response):
    """Call the function that the path names."""
    return globals().get(environ["PATH_INFO"].strip("/"), pid)(environ, start_response)
