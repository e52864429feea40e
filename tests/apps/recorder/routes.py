"""A WSGI app that remembers the requests that reached it, and tells at /seen. It wants one process: its memory."""

import json
from urllib.parse import parse_qs

from werkzeug.utils import redirect

SEEN = []


def app(environ, start_response):
    """Remembers the request, and answers that it was here; /seen tells, and forgets."""
    path, query = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])
    if path == "/seen":
        told = [SEEN.pop(0) for _ in range(len(SEEN))]
        answer = json.dumps(told).encode()
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
