"""The container's own Python: it checks the settings, starts the programs and answers for them."""

from pathlib import Path

CONFIG = Path(__file__).parents[2]
"""The folder of nginx.conf, uwsgi.ini, supervisord.ini, profiles/ and runtime/: /opt/wsgi in the image."""

APP = Path("/app")
"""The folder that `src/` becomes in the image."""

RUN = Path("/run")
"""What the start writes, and the programs' sockets and pid files."""

METRICS = RUN / "metrics"
"""Where the app's own metrics are, as files of prometheus_client's multiprocess mode."""
