"""A Flask app below middleware. Each import of it prints a line."""

import version
from flask import Flask, render_template

flask_app = Flask(__name__)
print("imported")


def look_up(name):
    """Fail in a frame of its own."""
    return {}[name]


@flask_app.get("/fail")
def fail():
    """Raise an exception."""
    try:
        return look_up("<script>")
    except KeyError as error:
        raise ValueError("no such name") from error


@flask_app.get("/version")
def show():
    """Show the version of the code."""
    return version.VERSION


@flask_app.get("/page")
def page():
    """Render a template."""
    return render_template("page.html")


def app(environ, start_response):
    """Raise an exception outside Flask, or pass the request on."""
    if environ["PATH_INFO"] == "/middleware":
        raise RuntimeError("in the middleware")
    return flask_app(environ, start_response)
