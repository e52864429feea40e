"""A small app: replace this folder with yours. uWSGI calls the `app` of this file."""

import os

from flask import Flask, jsonify, render_template

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY")


@app.get("/")
def index():
    """The page that shows the way that its own request took."""
    return render_template("index.html", pid=os.getpid())


@app.get("/hello")
@app.get("/hello/<name>")
def hello(name="username"):
    """Greets, in JSON."""
    return jsonify(message="hello", name=name)


@app.get("/health")
def health():
    """What the container's health check asks."""
    return jsonify(status="ok")
