"""The private port's answers, by process 1: nginx passes /metrics, /status and /status.json on to a socket of its own.

The server is the one that supervisor has for supervisorctl: it runs in the main loop and never waits for a client.
"""

import json
import os
import platform
from collections.abc import Callable
from typing import Any

from supervisor.http import supervisor_af_unix_http_server

from runtime import RUN
from runtime.deadline import Deadline
from runtime.metrics import Metrics

SOCKET = RUN / "admin.sock"


class Admin:
    """A handler of supervisor's HTTP server."""

    def __init__(self, metrics: Metrics, deadline: Deadline, state: Callable[[], dict[str, Any]], logger: Any) -> None:
        """Opens the socket; `state` is Container.state, and `logger` supervisor's."""
        self._metrics = metrics
        self._deadline = deadline
        self._state = state
        self._settings = json.loads((RUN / "settings.json").read_text())
        SOCKET.unlink(missing_ok=True)
        supervisor_af_unix_http_server(str(SOCKET), 0o600, (-1, -1), logger).install_handler(self)

    def match(self, request: Any) -> bool:
        """Every request is for it."""
        return True

    def handle_request(self, request: Any) -> None:
        """Answers."""
        status = self.status(request)
        if request.uri == "/metrics":
            from runtime import exposition

            body, media_type = exposition.render(self._metrics, status, request.get_header("Accept") or "")
        else:
            body, media_type = json.dumps(status).encode(), "application/json"
        request["Content-Type"] = media_type
        request["Content-Length"] = str(len(body))
        request["Cache-Control"] = "no-store"
        request.push(body)
        request.done()

    def status(self, request: Any) -> dict[str, Any]:
        """What /status.json says."""
        metrics = self._metrics
        connections = (request.get_header("X-Nginx-Connections") or "0 0 0").split()
        status = self._state()
        return {
            "healthy": not status["problems"],
            **status,
            "since": metrics.started,
            "versions": {
                "app": os.environ.get("APP_VERSION") or "unknown",
                "python": platform.python_version(),
                "uwsgi": metrics.uwsgi_version,
                "nginx": request.get_header("X-Nginx-Version") or "",
            },
            "connections": dict(zip(("reading", "writing", "waiting"), map(int, connections), strict=True)),
        }
