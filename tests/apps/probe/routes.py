"""A plain WSGI app that tells what reached it: no framework stands between the front and the tests."""

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
    """Answers with the environment, and with the length and the digest of the body."""
    digest, length = hashlib.sha256(), 0
    while piece := environ["wsgi.input"].read(65536):
        digest.update(piece)
        length += len(piece)
    told = {key: value for key, value in environ.items() if isinstance(value, str | bool)}
    answer = json.dumps({"environ": told, "length": length, "sha256": digest.hexdigest()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]


def read(environ, start_response):
    """Reads the body in the way that the query string names, and sends back what that gave."""
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
    """Answers before it has read anything."""
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"early"]


def status(environ, start_response):
    """Answers with the status of the query string, and wrongly with a body."""
    start_response(f"{environ['QUERY_STRING']} Nothing", TEXT)
    return [b"stray"]


def stream(environ, start_response):
    """A response of unknown length, in 1000 pieces."""
    start_response("200 OK", TEXT)
    for number in range(1000):
        yield f"{number}\n".encode() * 50


def drip(environ, start_response):
    """Sends a second piece when the client has told, at /heard, that the first one arrived; gives up after 3 s."""
    HEARD.unlink(missing_ok=True)
    start_response("200 OK", [*TEXT, ("X-Accel-Buffering", "no")])
    yield b"first\n"
    end = time.monotonic() + 3
    while not HEARD.exists() and time.monotonic() < end:
        time.sleep(0.01)
    yield b"heard\n" if HEARD.exists() else b"not heard\n"


def heard(environ, start_response):
    """The client's word to /drip."""
    HEARD.touch()
    start_response("200 OK", TEXT)
    return [b""]


class Closing:
    """A response, of one piece or of very many, that tells, at /closed, that it was closed."""

    def __init__(self, environ, start_response):
        CLOSED.unlink(missing_ok=True)
        start_response("200 OK", [*TEXT, ("X-Accel-Buffering", "no")])
        self.pieces = 1 if environ["QUERY_STRING"] == "end" else 100_000

    def __iter__(self):
        """Sends its pieces."""
        return iter([b"piece\n" * 1000] * self.pieces)

    def close(self):
        """What WSGI promises to call, whatever becomes of the response."""
        CLOSED.touch()


def closed(environ, start_response):
    """Whether the last response of /closing was closed."""
    start_response("200 OK" if CLOSED.exists() else "404 Not Found", TEXT)
    return [b""]


def cookies(environ, start_response):
    """Sets two cookies that together need 12 KB of headers."""
    start_response("200 OK", [*TEXT, *(("Set-Cookie", f"{name}={name * 6000}") for name in "ab")])
    return [b""]


def large(environ, start_response):
    """Send headers of that many bytes in all, 1,000 in each."""
    count = int(environ["QUERY_STRING"]) // 1000
    start_response("200 OK", [*TEXT, *((f"X-Large-{number}", "v" * 1000) for number in range(count))])
    return [b""]


def rest(environ, start_response):
    """Sends what is left of a file, or of one in memory, from its sixth byte on, by the server's own means."""
    opened = io.BytesIO(NOTE.read_bytes()) if environ["QUERY_STRING"] == "memory" else NOTE.open("rb")
    opened.seek(5)
    start_response("200 OK", TEXT)
    return environ.get("wsgi.file_wrapper", lambda file: file)(opened)


def url(environ, start_response):
    """The URL that an app builds for its own links."""
    start_response("200 OK", TEXT)
    return [get_current_url(environ).encode()]


PAGES = {
    "/closed": closed,
    "/closing": Closing,
    "/cookies": cookies,
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
    """Calls the page of the path; every other path is echoed."""
    return PAGES.get(environ["PATH_INFO"], echo)(environ, start_response)
