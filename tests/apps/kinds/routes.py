"""A Flask app with a path for each kind of response that an app gives, or fails to give."""

import os
import time

from flask import Flask, jsonify, redirect

app = Flask(__name__)


@app.get("/")
def page():
    """A page."""
    return "<!doctype html><title>page</title>"


@app.get("/json")
def data():
    """JSON."""
    return jsonify(a=1)


@app.get("/redirect")
def elsewhere():
    """A redirect."""
    return redirect("/")


@app.get("/cached")
def cached():
    """What may be kept for a minute."""
    headers = {"Cache-Control": "max-age=60", "ETag": '"1"', "Content-Type": "text/plain; charset=utf-8"}
    return "kept " * 500, headers


@app.get("/slow")
def slow():
    """Nothing, for longer than anyone waits."""
    time.sleep(60)


@app.get("/die")
def die():
    """The end of the process."""
    os._exit(1)
