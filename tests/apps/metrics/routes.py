"""A Flask app with a metric of its own, as README shows it, and requests that go wrong."""

import os
import time

from flask import Flask
from prometheus_client import Counter

app = Flask(__name__)
GREETINGS = Counter("greetings", "How many were greeted.")


@app.get("/hello/<name>")
def hello(name):
    """Greets, and counts."""
    GREETINGS.inc()
    return f"hello {name} from {os.getpid()}"


@app.get("/fail")
def fail():
    """Meets an exception that it doesn't handle."""
    raise ZeroDivisionError


@app.get("/sleep/<float:seconds>")
def sleep(seconds):
    """Takes its time."""
    time.sleep(seconds)
    return "awake"


@app.get("/die")
def die():
    """Ends its worker."""
    os._exit(3)
