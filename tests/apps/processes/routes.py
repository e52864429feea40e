"""An app with further process types. A reload must load VERSION again."""

VERSION = 1


def app(environ, start_response):
    """Answer with the version of the code."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(VERSION).encode()]
