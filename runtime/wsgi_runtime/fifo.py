"""The fifo that nginx writes a line for each request to, and that the admin program reads."""

import os

from wsgi_runtime import RUN

METRICS_FIFO = RUN / "metrics.fifo"


def open_metrics_fifo() -> int:
    """Open the fifo so that its writers neither wait for a reader nor fail without one; return the descriptor."""
    return os.open(METRICS_FIFO, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
