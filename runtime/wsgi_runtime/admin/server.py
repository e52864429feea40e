"""The private port's answers, by process 1: nginx passes what it is asked on to a socket of its own.

The server is the one that supervisor has for supervisorctl: it runs in the main loop and never waits for a client.
"""

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from supervisor.http import supervisor_af_unix_http_server

from wsgi_runtime import RUN
from wsgi_runtime.pid1.deadline import Deadline
from wsgi_runtime.healthcheck import SAID
from wsgi_runtime.admin.metrics import PERIOD, Metrics, resident_memory

SOCKET = RUN / "admin.sock"

MINUTE = 60 // PERIOD
"""Points of the charts in a minute."""

WIDTH = 256
"""Bytes of a place in a worker's file of endpoints (runtime/instrument.py)."""

ERRORS = 0.05
"""A larger part of the last minute's requests with a status of 500 or more is a problem."""


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

    def handle_request(self, request: Any) -> Any:
        """Answers. What only this needs is imported when it is asked for: until then process 1 saves the memory."""
        path = request.uri.partition("?")[0]
        if request.command not in ("GET", "HEAD"):
            return request.error(405)
        if path == "/":
            request["Location"] = "/status"
            return request.error(302)
        if path not in ("/metrics", "/status", "/status.json"):
            return request.error(404)
        status = self.status(request)
        if path == "/metrics":
            from wsgi_runtime.admin import exposition

            body, media_type = exposition.render(self._metrics, status, request.get_header("Accept") or "")
        elif path == "/status":
            from wsgi_runtime.admin import page

            body, media_type = page.render(status), "text/html; charset=utf-8"
            request["Content-Security-Policy"] = page.POLICY
        else:
            body, media_type = json.dumps(status, indent=1).encode(), "application/json"
        request["Content-Type"] = media_type
        request["Content-Length"] = str(len(body))
        request["Cache-Control"] = "no-store"
        request.push(body)
        return request.done()

    def status(self, request: Any) -> dict[str, Any]:
        """What /status.json says: times are RFC 3339, durations are in seconds, sizes in bytes."""
        metrics = self._metrics
        status = self._state()
        workers = [self._worker(worker) for worker in metrics.workers]
        problems = self._problems(status, workers)
        connections = (request.get_header("X-Nginx-Connections") or "0 0 0").split()
        return {
            "healthy": not problems,
            "problems": problems,
            "time": _rfc3339(time.time()),
            "since": _rfc3339(metrics.started),
            "uptime": round(time.time() - metrics.started),
            "versions": {
                "app": os.environ.get("APP_VERSION") or "unknown",
                "python": platform.python_version(),
                "uwsgi": metrics.uwsgi_version,
                "nginx": request.get_header("X-Nginx-Version") or "",
            },
            "requests": metrics.requests.total(),
            "in_flight": metrics.in_flight(),
            **status,
            "history": {"seconds_each": PERIOD, "points": list(metrics.points)},
            "workers": workers,
            "connections": dict(zip(("reading", "writing", "waiting"), map(int, connections), strict=True)),
            "cache": dict(metrics.cache),
            "exceptions": metrics.exceptions_by_type(),
            "respawns": metrics.total("respawn_count"),
            "kills": metrics.kills + metrics.total("harakiri_count"),
            "restarts": metrics.restarts(),
            "reloads": dict(metrics.reloads),
            "errors": [{**error, "time": _rfc3339(error["time"])} for error in metrics.errors],
            "settings": self._settings,
        }

    def _worker(self, worker: dict[str, Any]) -> dict[str, Any]:
        endpoints = _endpoints(worker["id"])
        requests = [
            {"path": path, "endpoint": endpoints.get(request_id, ""), "seconds": round(taken, 1)}
            for path, request_id, taken in self._deadline.running(worker["pid"])
        ]
        return {
            "id": worker["id"],
            "pid": worker["pid"],
            "state": "away" if not worker["pid"] else "busy" if requests else "idle",
            "running": requests,
            "requests": self._metrics.totals["requests", worker["id"]],
            "memory": resident_memory(worker["pid"]),
        }

    def _problems(self, status: dict[str, Any], workers: list[dict[str, Any]]) -> list[str]:
        """Why the container is not healthy, a sentence for each reason."""
        problems = [f"{name} is {state}" for name, state in status["programs"].items() if state != "running"]
        if (RUN / "stopping").exists():
            problems.append("the container is stopping")
        with contextlib.suppress(OSError):
            said = SAID.read_text()
            problems += [f"the health check says: {said}"] if said.startswith("unhealthy") else []
        for worker in workers:
            for request in worker["running"]:
                if request["seconds"] > self._deadline.timeout:
                    problems.append(f"worker {worker['id']} hangs: {request['path']} takes {request['seconds']:.0f} s")
        if status["queue"] and all(worker["state"] != "idle" for worker in workers):
            problems.append(f"every worker is busy, and {status['queue']} requests wait")
        minute = list(self._metrics.points)[-MINUTE:]
        failed, answered = (sum(point[name] for point in minute) for name in ("errors", "requests"))
        if failed > answered * ERRORS:
            problems.append(f"{failed} of the last minute's {answered} requests failed")
        return problems


def _endpoints(worker: int) -> dict[str, str]:
    """Flask's endpoint by the request's id, of what each of a worker's threads has begun last."""
    with contextlib.suppress(OSError):
        places = (RUN / f"endpoints-{worker}").read_bytes()
        lines = (places[start : start + WIDTH].partition(b"\n")[0] for start in range(0, len(places), WIDTH))
        return dict(line.decode(errors="replace").partition(" ")[::2] for line in lines)
    return {}


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
