"""The template's own app, and a route for each further case. Every server serves it as `routes:app`."""

import time

from flask import jsonify, request

from src.routes import app

PAGE = app.jinja_env.from_string(
    "<!doctype html><title>Rows</title><table>\n"
    "{% for row in rows %}<tr><td>{{ loop.index }}<td>{{ row.name }}<td>{{ row.price }}"
    '<td><a href="/rows/{{ loop.index }}">about row {{ loop.index }}</a>\n{% endfor %}</table>\n'
)
ROWS = [{"name": f"<row {number}>", "price": number * 7 % 100} for number in range(1300)]


@app.get("/wait")
def wait():
    """Wait for 100 ms, as for a database."""
    time.sleep(0.1)
    return "waited\n"


@app.post("/upload")
def upload():
    """Read JSON."""
    return jsonify(items=len(request.get_json()["items"]))


@app.get("/page")
def page():
    """Render a table of 100 KB, with names that need escaping."""
    return PAGE.render(rows=ROWS)


@app.get("/cacheable")
def cacheable():
    """Return a response that a shared cache may keep for a minute."""
    return jsonify(kept=True), {"Cache-Control": "public, max-age=60"}
