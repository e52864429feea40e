"""An app whose responses have the size of the query string; X-Length is the size of the request's body."""

PIECE = b"x" * 65536


def app(environ, start_response):
    """Read the body, then send the response in pieces of 64 KB."""
    length = 0
    while piece := environ["wsgi.input"].read(65536):
        length += len(piece)
    size = int(environ["QUERY_STRING"] or 0)
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(size)), ("X-Length", str(length))])
    return (PIECE[: size - sent] for sent in range(0, size, len(PIECE)))
