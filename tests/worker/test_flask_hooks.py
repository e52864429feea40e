"""Hooks of the container in Flask, which must not change what the app does."""

from collections.abc import Callable
from pathlib import Path

from admin_port import samples, until_counted
from conftest import Container

Start = Callable[..., Container]
App = Callable[[str], str]

FLASK = """
from flask import Flask, url_for
flask_app = app = Flask(__name__)

@app.get("/health")
@app.get("/hello")
def hello():
    return url_for("static", filename="style.css")

@app.get("/fail")
def fail():
    return str(1 / 0)
"""


def test_an_app_that_serves_a_request_while_it_is_imported_is_loaded(start: Start, app: App, tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static/.assets.json").write_text('{"style.css": "style.0123456789abcdef.css"}')
    container = start(app(FLASK + "app.test_client().get('/hello')\n")).wait()
    assert container.get("/hello").text == "/static/style.css"


def test_exceptions_of_a_flask_app_inside_another_callable_are_counted_by_type(start: Start, app: App) -> None:
    container = start(app(FLASK + "app = lambda environ, start: flask_app(environ, start)\n")).wait()
    assert container.get("/fail").status_code == 500
    counted = until_counted(container, ("wsgi_exceptions_total", "type=ZeroDivisionError"), 1)
    assert counted["wsgi_exceptions_total", "type=ZeroDivisionError"] == 1
    assert {key[1] for key in samples(container) if key[0] == "wsgi_request_duration_seconds_count"} == {
        "endpoint=other"
    }


def test_an_app_may_have_a_module_named_flask(start: Start, app: App, tmp_path: Path) -> None:
    (tmp_path / "flask.py").write_text("NAME = 'my own'\n")
    code = "import flask\n\ndef app(environ, start):\n    start('200 OK', [])\n    return [flask.NAME.encode()]\n"
    assert start(app(code)).wait().get("/").text == "my own"
