"""A WSGI app that records its requests and returns them at /seen. It must run in one process."""

import json
from urllib.parse import parse_qs

from werkzeug.utils import redirect

SEEN = []


def app(environ, start_response):
    """Record the request; /seen returns the recorded requests and clears the record."""
    path, query = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])
    if path == "/seen":
        answer = json.dumps([SEEN.pop(0) for _ in range(len(SEEN))]).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
        return [answer]
    if path != "/health":
        request = {key: value for key, value in environ.items() if isinstance(value, str)}
        SEEN.append(request | {"body": environ["wsgi.input"].read().decode("latin-1")})
    if path == "/redirect":
        try:
            return redirect(query.get("to", "/")[0])(environ, start_response)
        except ValueError:  # a header with an end of line
            start_response("400 Bad Request", [])
            return []
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"app\n"]
