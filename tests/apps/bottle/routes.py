"""Bottle app with error pages of its own. Bottle passes exc_info to start_response after an exception in a view."""

from bottle import Bottle, HTTPError

app = Bottle()


@app.get("/fail")
def fail() -> str:
    """Raise an exception."""
    return {}["missing"]


@app.error(404)
@app.error(500)
def error_page(error: HTTPError) -> str:
    """Return the app's own error page."""
    return f"<h1>Bottle's own page of a {error.status_code}</h1>"
