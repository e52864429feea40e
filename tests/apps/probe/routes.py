"""A WSGI app without a framework that answers with the request as it arrived."""

import hashlib
import io
import json
import time
from pathlib import Path
from wsgiref.validate import validator

from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wsgi import get_current_url

NOTE = Path(__file__).parent / "static" / "note.txt"
HEARD, CLOSED = Path("/tmp/heard"), Path("/tmp/closed")
TEXT = [("Content-Type", "text/plain")]


def echo(environ, start_response):
    """Answer with the WSGI environment, and with length and digest of the body."""
    digest, length = hashlib.sha256(), 0
    while piece := environ["wsgi.input"].read(65536):
        digest.update(piece)
        length += len(piece)
    environment = {key: value for key, value in environ.items() if isinstance(value, str | bool)}
    answer = json.dumps({"environ": environment, "length": length, "sha256": digest.hexdigest()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]


def read(environ, start_response):
    """Read the body with the method that the query string names, and send it back."""
    body = environ["wsgi.input"]
    ways = {
        "all": body.read,
        "bytes": lambda: b"".join(iter(lambda: body.read(7), b"")),
        "line": lambda: b"".join(iter(body.readline, b"")),
        "lines": lambda: b"".join(body.readlines()),
        "iteration": lambda: b"".join(body),
    }
    start_response("200 OK", TEXT)
    return [ways[environ["QUERY_STRING"]]()]


def early(environ, start_response):
    """Answer without reading the body."""
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"early"]


def status(environ, start_response):
    """Answer with the status of the query string and with a body, even where none is allowed."""
    start_response(f"{environ['QUERY_STRING']} Nothing", TEXT)
    return [b"stray"]


def stream(environ, start_response):
    """Send a response of unknown length in 1,000 pieces."""
    start_response("200 OK", TEXT)
    for number in range(1000):
        yield f"{number}\n".encode() * 50


def drip(environ, start_response):
    """Send a second piece once the client has requested /heard, or after 3 s."""
    HEARD.unlink(missing_ok=True)
    start_response("200 OK", [*TEXT, ("X-Accel-Buffering", "no")])
    yield b"first\n"
    end = time.monotonic() + 3
    while not HEARD.exists() and time.monotonic() < end:
        time.sleep(0.01)
    yield b"heard\n" if HEARD.exists() else b"not heard\n"


def heard(environ, start_response):
    """Note that the client has received the first piece of /drip."""
    HEARD.touch()
    start_response("200 OK", TEXT)
    return [b""]


class Closing:
    """A response of one piece (?end) or of 100,000; /closed reports whether it was closed."""

    def __init__(self, environ, start_response):
        CLOSED.unlink(missing_ok=True)
        start_response("200 OK", [*TEXT, ("X-Accel-Buffering", "no")])
        self.pieces = 1 if environ["QUERY_STRING"] == "end" else 100_000

    def __iter__(self):
        """Iterate over the pieces."""
        return iter([b"piece\n" * 1000] * self.pieces)

    def close(self):
        """Note the call, which PEP 3333 guarantees for every response."""
        CLOSED.touch()


def closed(environ, start_response):
    """Answer 200 if the last response of /closing was closed, otherwise 404."""
    start_response("200 OK" if CLOSED.exists() else "404 Not Found", TEXT)
    return [b""]


def large(environ, start_response):
    """Send headers of 1,000 bytes each, in all as many bytes as the query string says."""
    count = int(environ["QUERY_STRING"]) // 1000
    start_response("200 OK", [*TEXT, *((f"X-Large-{number}", "v" * 1000) for number in range(count))])
    return [b""]


def rest(environ, start_response):
    """Send a file, or with ?memory one in memory, from its sixth byte on, by wsgi.file_wrapper."""
    opened = io.BytesIO(NOTE.read_bytes()) if environ["QUERY_STRING"] == "memory" else NOTE.open("rb")
    opened.seek(5)
    start_response("200 OK", TEXT)
    return environ.get("wsgi.file_wrapper", lambda file: file)(opened)


def url(environ, start_response):
    """Answer with the URL that Werkzeug builds for links."""
    start_response("200 OK", TEXT)
    return [get_current_url(environ).encode()]


PAGES = {
    "/closed": closed,
    "/closing": Closing,
    "/drip": drip,
    "/early": early,
    "/heard": heard,
    "/large": large,
    "/proxied": ProxyFix(url, x_for=1, x_proto=1, x_host=1, x_port=1, x_prefix=1),
    "/read": read,
    "/rest": rest,
    "/status": status,
    "/stream": stream,
    "/valid": validator(echo),
}


def app(environ, start_response):
    """Call the function of the path; echo requests for any other path."""
    return PAGES.get(environ["PATH_INFO"], echo)(environ, start_response)
