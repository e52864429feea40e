"""An app that uses the Python module of uWSGI: a timer counts."""

import json

import uwsgi
from uwsgidecorators import timer

VERSION = 1
ticks = 0


@timer(1)
def tick(signal):
    """Count; uWSGI calls this each second in one of the workers."""
    global ticks
    ticks += 1


def app(environ, start_response):
    """Answer with the timer's count and the worker's number."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"version": VERSION, "ticks": ticks, "worker": uwsgi.worker_id()}).encode()]
