"""Demo app. Replace this folder with your app; uWSGI calls the `app` that this file defines."""

import os

from flask import Flask, jsonify, render_template

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY")


@app.get("/")
def index():
    """Show the path of this request through the container."""
    return render_template("index.html", pid=os.getpid())


@app.get("/hello")
@app.get("/hello/<name>")
def hello(name="username"):
    """Return a greeting as JSON."""
    return jsonify(message="hello", name=name)


@app.get("/health")
def health():
    """Answer the container's health check."""
    return jsonify(status="ok")
