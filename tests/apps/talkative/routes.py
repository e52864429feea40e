"""An app that says on request what apps say, in every way that they have."""

import contextvars
import ctypes
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
import warnings

from flask import Flask, request

app = Flask(__name__)
log = logging.getLogger("shop.cart")
libc = ctypes.CDLL(None)
print("imported")


def said(what):
    """What the request asks to be said."""
    return request.args.get("what", what)


@app.get("/log")
def log_it():
    """Through logging: at each level, with fields of its own, and below the level that is logged."""
    for level in range(10, 60, 10):
        log.log(level, "%s at %d", said("logged"), level, extra={"order": level, "time": "of day"})
    app.logger.warning(said("logged by Flask"))
    return "said"


@app.get("/values")
def values():
    """What JSON has no way to express."""
    holds_itself = []
    holds_itself.append(holds_itself)
    log.info("values", extra={"ratio": float("nan"), "loop": holds_itself, "bytes": b"\xff", "object": object()})
    log.info({"message": 5, "source": "forged", "request_id": 7, "traceparent": "", "exc_info": [1], "time": None})
    log.info("surrogate \udcff")
    log.info("wrong %d", "argument")
    return "said"


@app.get("/raise")
def fail():
    """An exception that nobody catches."""
    raise ValueError(said("nobody catches this"))


@app.get("/print")
def print_it():
    """In pieces, on both streams and on WSGI's own."""
    print("printed", said("in"), "pieces")
    print("printed on stderr", file=sys.stderr)
    print("printed past it", file=sys.__stdout__)
    print("no end", end="", flush=True)
    sys.stdout.buffer.write(b"bytes \xff\n")
    request.environ["wsgi.errors"].write("printed on wsgi.errors\n")
    warnings.warn("warned of", UserWarning, stacklevel=1)
    try:
        raise KeyError("caught")
    except KeyError:
        traceback.print_exc()
    return "said"


@app.get("/c")
def from_c():
    """As C code and child processes do, past Python."""
    os.write(1, b'C \xff "quoted" on stdout\n{"time":"forged"}\n')
    libc.dprintf(2, b"C on stderr\n")
    subprocess.run(["sh", "-c", "echo child; echo child on stderr >&2"], check=True)
    return "said"


@app.get("/long")
def long():
    """Lines of 100 KB, printed, logged and, unless the query says python, from C."""
    size = 100_000
    print("p" * size)
    log.info("l" * size)
    if request.query_string != b"python":
        os.write(1, b"c" * size + b"\n")
    return "said"


@app.get("/thread")
def thread():
    """In threads: one that is handed the request's context, one that fails."""
    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(log.info, "logged in a thread")),
        threading.Thread(target=contextvars.copy_context().run, args=({}.__getitem__, "missing in a thread")),
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return "said"


@app.get("/stream")
def stream():
    """While the response is sent."""

    def pieces():
        for number in range(3):
            log.info("piece %d", number)
            time.sleep(0.05)
            yield "piece\n"

    return pieces()


@app.get("/line")
def line():
    """One line of each kind."""
    print("printed a line")
    log.info("logged a line")
    return "said"


@app.get("/segfault")
def segfault():
    """Last words, and a crash."""
    log.error("last words")
    ctypes.string_at(0)


@app.get("/hang")
def hang():
    """Longer than it may."""
    log.info("will hang")
    time.sleep(60)
    return "late"


@app.get("/slow")
def slow():
    """Waits between two lines."""
    log.info("before")
    time.sleep(0.2)
    log.info("after")
    return "said"


@app.get("/health")
def health():
    """Nothing is said of it."""
    return "healthy"
