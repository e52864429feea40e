"""A Flask app with a metric of its own, as README shows it, and with requests that fail."""

import os
import time

from flask import Flask
from prometheus_client import Counter

app = Flask(__name__)
GREETINGS = Counter("greetings", "Greetings sent.")


@app.get("/hello/<name>")
def hello(name):
    GREETINGS.inc()
    return f"hello {name} from {os.getpid()}"


@app.get("/fail")
def fail():
    """Raise an exception."""
    raise ZeroDivisionError


@app.get("/sleep/<float:seconds>")
def sleep(seconds):
    """Wait."""
    time.sleep(seconds)
    return "awake"


@app.get("/die")
def die():
    """End the worker process."""
    os._exit(3)
