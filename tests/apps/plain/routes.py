"""The smallest app: one function, no framework, no requirements.txt."""

from pathlib import Path

GREETING = Path(__file__).with_name("greeting.txt")


def app(environ, start_response):
    """Answer with the content of greeting.txt."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [GREETING.read_bytes()]
