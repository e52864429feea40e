"""The jobs, which the worker runs."""

import socket
import time

from rq import get_current_job


def work(seconds):
    """Work for some seconds; return the name of the container that did it."""
    job = get_current_job()
    for second in range(seconds):
        job.meta["progress"] = second / seconds
        job.save_meta()
        time.sleep(1)
    return socket.gethostname()
