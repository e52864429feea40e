"""The smallest app that answers as /hello does: the cost of a request without a framework."""

BODY = b'{"message":"hello","name":"username"}\n'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def app(environ, start_response):
    """A WSGI callable (PEP 3333)."""
    start_response("200 OK", HEADERS)
    return [BODY]
