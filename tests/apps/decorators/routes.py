"""An app that uses uwsgidecorators: it counts the ticks of a timer, and notes the process of each worker."""

import json
import os

import uwsgi
from uwsgidecorators import postfork, timer

VERSION = 1
ticks = 0
forked_in = []


@postfork
def note_process():
    """Called in each worker, once the app is imported."""
    forked_in.append(os.getpid())


@timer(1)
def tick(signal):
    """Count; uWSGI calls this each second in one of the workers."""
    global ticks
    ticks += 1


def app(environ, start_response):
    """Answer with the timer's count and the worker's number."""
    start_response("200 OK", [("Content-Type", "application/json")])
    found = {"version": VERSION, "ticks": ticks, "worker": uwsgi.worker_id(), "forked": forked_in == [os.getpid()]}
    return [json.dumps(found).encode()]
