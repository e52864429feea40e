"""An app that knows it runs in uWSGI: it counts a timer's ticks."""

import json

import uwsgi
from uwsgidecorators import timer

VERSION = 1
ticks = 0


@timer(1)
def tick(signal):
    """Called by uWSGI each second, in one of the workers."""
    global ticks
    ticks += 1


def app(environ, start_response):
    """Answers what uWSGI says of the worker."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"version": VERSION, "ticks": ticks, "worker": uwsgi.worker_id()}).encode()]
