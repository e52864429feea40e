"""An app with background work of uWSGI: a timer, a mule and the spooler. Each job takes until /tmp/finish exists."""

import os
import time
from pathlib import Path

import uwsgi
from uwsgidecorators import mulefunc, spool, timer


def wait():
    """Do the work of a job."""
    while not Path("/tmp/finish").exists():
        time.sleep(0.05)


@timer(1)
def tick(signal):
    """Called each second, in one of the workers."""
    print("tick", flush=True)


@mulefunc
def mule_job(name):
    """Called in the mule."""
    print(name, "begins in mule", uwsgi.mule_id(), flush=True)
    wait()
    print(name, "ends", flush=True)


@spool
def spooler_job(arguments):
    """Called in the spooler, again if it was killed."""
    print("spooler job begins", flush=True)
    wait()
    print("spooler job ends", flush=True)
    return uwsgi.SPOOL_OK


def app(environ, start_response):
    """Start both jobs, and return at once."""
    if environ["PATH_INFO"] == "/jobs":
        mule_job("mule job")
        spooler_job.spool(arguments=b"")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
