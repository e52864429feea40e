"""App that counts the calls of each path, and whose response the query string describes.

header=NAME:VALUE and echo=VARIABLE (of the environment) may be repeated; the other parameters are status, size (in
bytes), sleep (in seconds), no_length and die_after.
"""

import os
import time
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs

calls = Counter()


def app(environ, start_response):
    """Return the number of this call of the path, and what the query string asks for; /calls?path= returns a count."""
    path, query = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    if path == "/calls":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(calls[query["path"][0]]).encode()]
    calls[path] += 1
    call = calls[path]
    time.sleep(float(query.get("sleep", ["0"])[0]))
    if (broken := Path("/tmp/broken")).exists():
        status = broken.read_text()
        if not status:
            os._exit(1)
        start_response(f"{status} Broken", [("Content-Type", "text/plain"), ("Content-Length", "6")])
        return [b"broken"]
    headers = [tuple(header.split(":", 1)) for header in query.get("header", [])]
    if not any(name == "Content-Type" for name, _ in headers):
        headers.append(("Content-Type", "text/plain"))
    if environ.get("HTTP_IF_NONE_MATCH") == dict(headers).get("ETag", "none"):
        start_response("304 Not Modified", headers)
        return []
    if "HTTP_RANGE" in environ:
        start_response("206 Partial Content", [*headers, ("Content-Range", "bytes 0-3/9")])
        return [b"part"]
    echo = "".join(f" {environ.get(name, '')}" for name in query.get("echo", []))
    body = f"call {call}{echo}".encode() + b"." * int(query.get("size", ["0"])[0])
    length = [] if "no_length" in query else [("Content-Length", str(len(body)))]
    start_response(query.get("status", ["200"])[0] + " Status", [*headers, *length])
    return dying(body) if "die_after" in query else [body]


def dying(body):
    """Send half of a body, and raise."""
    yield body[: len(body) // 2]
    raise RuntimeError("halfway")
