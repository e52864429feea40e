"""The container's own Python package, with a folder for each process: start, pid1, worker, log, admin."""

from pathlib import Path

__version__ = "0.5.0"

CONFIG = Path(__file__).parents[2]
"""Folder of nginx.conf, uwsgi.ini, supervisord.ini, profiles/ and runtime/: /opt/wsgi in the image."""

APP = Path("/app")
"""Folder of the app: `src/` in the repository."""

RUN = Path("/run")
"""Folder of the files that startup writes, and of the programs' sockets and PID files."""

HEALTH = RUN / "health"
"""File with PORT and HEALTH_PATH for the health check, or with the process ID of a process type that runs alone."""

HEALTH_RESULT = RUN / "health-result"
"""File with the last result of the health check, for the status page."""

METRICS = RUN / "metrics"
"""Folder of the app's own metrics, as files of prometheus_client's multiprocess mode."""

METRICS_FIFO = RUN / "metrics.fifo"
"""FIFO that Nginx writes a line for each request to, and that the admin program reads.

It is opened for reading and writing: its writers then neither wait for a reader nor fail without one.
"""
