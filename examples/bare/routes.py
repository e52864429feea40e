"""A form and a greeting, on PEP 3333 alone. uWSGI calls the `app` of this file."""

import html
from urllib.parse import parse_qs

PAGE = """<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Greeting</title>
  <link rel="stylesheet" href="/static/style.css">
  <main>
    <h1>Hello, {name}.</h1>
    <form method="post" action="/">
      <label>Your name <input name="name" maxlength="50" required></label>
      <button>Greet me</button>
    </form>
  </main>
</html>
"""


def page(environ):
    """Greet the name of the form."""
    name = "world"
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        name = parse_qs(body.decode(errors="replace")).get("name", [name])[0]
    return "200 OK", "text/html; charset=utf-8", PAGE.format(name=html.escape(name))


def health(environ):
    """Answer the container's health check."""
    return "200 OK", "text/plain", "ok\n"


def missing(environ):
    """Answer 404. The strings of environ are bytes decoded as Latin-1, as the PEP says; paths are UTF-8."""
    path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
    return "404 Not Found", "text/plain; charset=utf-8", f"There is no page {path}\n"


ROUTES = {"/": page, "/health": health}


def app(environ, start_response):
    """Return the response to a request: an iterable of bytes, after its status and headers."""
    status, content_type, text = ROUTES.get(environ["PATH_INFO"], missing)(environ)
    body = text.encode(errors="replace")
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
