"""/status.json: problems, requests, workers and settings. /status shows the same as a page."""

import contextlib
import json
import os
import platform
import subprocess
import time
from email.message import Message
from typing import Any

from wsgi_runtime import HEALTH_RESULT, RUN, __version__, logs, values
from wsgi_runtime.admin import exposition, listen_queue, page
from wsgi_runtime.admin.metrics import PERIOD_SECONDS, Metrics
from wsgi_runtime.scoreboard import SERVING, Slot, Worker, exists, resident_memory

POINTS_OF_A_MINUTE = 60 // PERIOD_SECONDS

MAX_ERROR_RATIO = 0.05
"""Largest part of the last minute's requests that may fail (status 5xx) without being a problem."""

GOOD_STATES = {"running", "starting", "stopping"}
"""States of a program that are no problem.

A process type of the Procfile is `starting` in its first 10 s, and `stopping` while it finishes a job after a reload.
"""

MIN_EARLY_DEATHS = 3
"""Deaths of a worker in a row, right after its start, that are a problem."""


class Status:
    """Makes the responses of the admin port."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._settings = json.loads((RUN / "settings.json").read_text())
        self._timeout = int(values.read()["REQUEST_TIMEOUT"])
        # PID 1 writes this file before it starts any program.
        self._start = (RUN / "values.json").stat().st_mtime
        command = subprocess.run(["/usr/local/bin/uwsgi", "--version"], capture_output=True, text=True)
        self._uwsgi_version = command.stdout.strip()

    def page(self, path: str, request: Message) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of the response to a GET; no headers if the path is unknown."""
        with self._metrics.lock:
            status = self.report(request)
        if path == "/metrics":
            body, media_type = exposition.render(self._metrics, status, request.get("Accept") or "")
            return body, {"Content-Type": media_type}
        if path == "/status":
            return page.render(status), {
                "Content-Type": "text/html; charset=utf-8",
                "Content-Security-Policy": page.POLICY,
            }
        if path == "/status.json":
            del status["start"]
            return json.dumps(status, indent=1).encode(), {"Content-Type": "application/json"}
        return b"", {}

    def report(self, request: Message) -> dict[str, Any]:
        """Return the content of /status.json. Times are RFC 3339, durations are in seconds, sizes in bytes."""
        metrics = self._metrics
        state = metrics.state
        workers = [self._worker(number, worker) for number, worker in enumerate(metrics.bank().workers, 1)]
        queue = listen_queue.length()
        problems = self._problems(workers, queue)
        connections = (request.get("X-Nginx-Connections") or "0 0 0").split()
        return {
            "healthy": not problems,
            "problems": problems,
            "time": logs.timestamp(time.time()),
            "start": self._start,
            "since": logs.timestamp(self._start),
            "uptime": round(time.time() - self._start),
            "versions": {
                "template": __version__,
                "app": os.environ.get("APP_VERSION") or "unknown",
                "python": platform.python_version(),
                "uwsgi": self._uwsgi_version,
                "nginx": request.get("X-Nginx-Version") or "",
            },
            "requests": metrics.requests.total(),
            "in_flight": metrics.in_flight(),
            "programs": state["programs"],
            "queue": queue,
            "history": {"seconds_each": PERIOD_SECONDS, "points": list(metrics.points)},
            "workers": workers,
            "connections": dict(zip(("reading", "writing", "waiting"), map(int, connections), strict=True)),
            "cache": dict(metrics.cache),
            "exceptions": metrics.exceptions_by_type(),
            "respawns": metrics.total("respawns"),
            "kills": state["kills"],
            "restarts": state["restarts"],
            "reloads": state["reloads"],
            "errors": [{**error, "time": logs.timestamp(error["time"])} for error in metrics.errors],
            "settings": self._settings,
        }

    def _worker(self, number: int, worker: Worker) -> dict[str, Any]:
        slots = [slot for slot in worker.slots if slot.since]
        requests = sorted(map(running, slots), key=lambda each: -each["seconds"])
        alive = exists(worker.pid) and worker.state == SERVING
        return {
            "id": number,
            "pid": worker.pid,
            "state": "down" if not alive else "busy" if requests else "idle",
            "early_deaths": worker.early_deaths,
            "running": requests,
            "requests": self._metrics.totals["requests", number],
            "memory": resident_memory(worker.pid),
        }

    def _problems(self, workers: list[dict[str, Any]], queue: int | None) -> list[str]:
        """Return a sentence for each problem that makes the container unhealthy."""
        state = self._metrics.state
        problems = [f"{name} is {status}" for name, status in state["programs"].items() if status not in GOOD_STATES]
        if (RUN / "stopping").exists():
            problems.append("the container is stopping")
        with contextlib.suppress(OSError):
            result = HEALTH_RESULT.read_text()
            problems += [f"the health check reports: {result}"] if result.startswith("unhealthy") else []
        for worker in workers:
            if worker["early_deaths"] >= MIN_EARLY_DEATHS:
                problems.append(f"worker {worker['id']} died {worker['early_deaths']} times right after its start")
            for request in worker["running"]:
                if request["seconds"] > self._timeout and request["state"] == "computing":
                    duration = f"{request['seconds']:.0f} s"
                    problems.append(f"worker {worker['id']} hangs: {request['path']} has been running for {duration}")
        if queue and all(worker["state"] != "idle" for worker in workers):
            problems.append(f"every worker is busy, and {queue} requests wait")
        minute = list(self._metrics.points)[-POINTS_OF_A_MINUTE:]
        failed, answered = (sum(point[name] for point in minute) for name in ("errors", "requests"))
        if failed > answered * MAX_ERROR_RATIO:
            problems.append(f"{failed} of the last minute's {answered} requests failed")
        return problems


def running(slot: Slot) -> dict[str, Any]:
    """Return a running request: its path without the query, its endpoint, and its duration so far."""
    _, path, endpoint = slot.text()
    seconds = round(time.monotonic() - slot.started, 1)
    return {
        "path": path,
        "endpoint": endpoint,
        "seconds": seconds,
        "state": "sending" if slot.since < 0 else "computing",
    }
