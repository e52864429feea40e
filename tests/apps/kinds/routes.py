"""A Flask app with a path for each kind of response, and for two failures."""

import os
import time

from flask import Flask, jsonify, redirect

app = Flask(__name__)


@app.get("/")
def page():
    """Return HTML."""
    return "<!doctype html><title>page</title>"


@app.get("/json")
def data():
    """Return JSON."""
    return jsonify(a=1)


@app.get("/redirect")
def elsewhere():
    """Redirect."""
    return redirect("/")


@app.get("/cached")
def cached():
    """Return a response that may be cached for a minute."""
    headers = {"Cache-Control": "max-age=60", "ETag": '"1"', "Content-Type": "text/plain; charset=utf-8"}
    return "kept " * 500, headers


@app.get("/slow")
def slow():
    """Exceed every timeout."""
    time.sleep(60)


@app.get("/die")
def die():
    """End the process."""
    os._exit(1)
