"""An app that logs on request, in every way that apps do."""

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


def text(default):
    """Return the text of the query string, otherwise the default."""
    return request.args.get("text", default)


@app.get("/log")
def log_it():
    """Log at each level, below LOG_LEVEL as well, with extra fields."""
    for level in range(10, 60, 10):
        log.log(level, "%s at %d", text("logged"), level, extra={"order": level, "time": "of day"})
    app.logger.warning(text("logged by Flask"))
    return "logged"


@app.get("/values")
def values():
    """Log values that have no form in JSON."""
    holds_itself = []
    holds_itself.append(holds_itself)
    log.info("values", extra={"ratio": float("nan"), "loop": holds_itself, "bytes": b"\xff", "object": object()})
    log.info({"message": 5, "source": "forged", "request_id": 7, "traceparent": "", "exc_info": [1], "time": None})
    log.info("surrogate \udcff")
    log.info("wrong %d", "argument")
    return "logged"


@app.get("/raise")
def fail():
    """Raise an exception."""
    raise ValueError(text("uncaught"))


@app.get("/print")
def print_it():
    """Print on stdout, stderr and wsgi.errors, in several ways."""
    print("printed", text("in"), "pieces")
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
    return "logged"


@app.get("/c")
def from_c():
    """Write as C code and child processes do, without sys.stdout."""
    os.write(1, b'C \xff "quoted" on stdout\n{"time":"forged"}\n')
    libc.dprintf(2, b"C on stderr\n")
    subprocess.run(["sh", "-c", "echo child; echo child on stderr >&2"], check=True)
    return "logged"


@app.get("/long")
def long():
    """Write lines of 100 KB: printed, logged and, except with ?python, from C code."""
    size = 100_000
    print("p" * size)
    log.info("l" * size)
    if request.query_string != b"python":
        os.write(1, b"c" * size + b"\n")
    return "logged"


@app.get("/thread")
def thread():
    """Log in a thread that runs in the request's context; with ?raise an exception ends the thread."""
    call = ({}.__getitem__, "missing in a thread") if "raise" in request.args else (log.info, "logged in a thread")
    thread = threading.Thread(target=contextvars.copy_context().run, args=call)
    thread.start()
    thread.join()
    return "logged"


@app.get("/stream")
def stream():
    """Log while the response is sent."""

    def pieces():
        for number in range(3):
            log.info("piece %d", number)
            time.sleep(0.05)
            yield "piece\n"

    return pieces()


@app.get("/line")
def line():
    """Print one line and log one line."""
    print("printed a line")
    log.info("logged a line")
    return "logged"


@app.get("/segfault")
def segfault():
    """Log, and crash in C code."""
    log.error("last words")
    ctypes.string_at(0)


@app.get("/hang")
def hang():
    """Exceed REQUEST_TIMEOUT."""
    log.info("will hang")
    time.sleep(60)
    return "late"


@app.get("/slow")
def slow():
    """Wait between two lines."""
    log.info("before")
    time.sleep(0.2)
    log.info("after")
    return "logged"


@app.get("/health")
def health():
    """Answer the health check."""
    return "healthy"
