"""Frees workers from requests that take more than REQUEST_TIMEOUT.

nginx answers their clients, with 504. uWSGI's own harakiri has one clock for a whole worker: with threads the next
request that ends resets it, and what it kills takes the requests beside it along.
"""

import contextlib
import json
import os
import signal
import socket
import time
from typing import Any

from wsgi_runtime import RUN


class Deadline:
    """Knows what uWSGI's workers do, and for how long."""

    def __init__(self, timeout: int, grace_period: int) -> None:
        """`timeout` is how long a request may take, `grace_period` what those beside it still get; both in seconds."""
        self.timeout = timeout
        self._grace_period = grace_period
        self._running: dict[tuple[int, int, int], tuple[str, str]] = {}
        self._since: dict[tuple[int, int, int], float] = {}
        self._kill_at: dict[int, float] = {}

    def enforce(self, stats: dict[str, Any]) -> list[tuple[int, str, str]]:
        """Sees to it that hanging workers are replaced; returns worker, sentence and request's id.

        `stats` is what read_stats() has just returned: it is called about once a second. Without any nothing is done,
        and nothing forgotten.

        The worker takes no more requests. It is killed when all that it still has is overdue, at the latest after
        the grace period.
        """
        if not stats:
            return []
        now = time.monotonic()
        workers = {worker["pid"]: _requests(worker) for worker in stats["workers"] if worker["pid"]}
        # Not uWSGI's own time of a request's start: it is wrong after the clock was set.
        self._running = running = {
            (pid, *request): what for pid, requests in workers.items() for request, what in requests.items()
        }
        self._since = {request: self._since.get(request, now) for request in running}
        self._kill_at = {pid: at for pid, at in self._kill_at.items() if pid in workers}
        done = []
        for pid in workers:
            late = [request for request in running if request[0] == pid and now - self._since[request] > self.timeout]
            if late and pid not in self._kill_at:
                for path, request_id in (running[request] for request in late):
                    said = f"{path} takes more than {self.timeout} s: uWSGI worker {pid} will be replaced"
                    done.append((pid, said, request_id))
                self._kill_at[pid] = now + self._grace_period
                _signal(pid, signal.SIGHUP)
            elif late and (len(late) == len(workers[pid]) or now > self._kill_at[pid]):
                _signal(pid, signal.SIGKILL)
        return done

    def running(self, pid: int) -> list[tuple[str, str, float]]:
        """Each request that a worker had at the last look: path, id, and for how many seconds by now."""
        now = time.monotonic()
        requests = [(*what, now - self._since[key]) for key, what in self._running.items() if key[0] == pid]
        return sorted(requests, key=lambda request: -request[2])


def _requests(worker: dict[str, Any]) -> dict[tuple[int, int], tuple[str, str]]:
    """What a worker is busy with: a thread's number and the start, in seconds, of each request; its path and its id."""
    requests = {}
    for core in worker["cores"]:
        if core["in_request"]:
            var = dict(each.partition("=")[::2] for each in core["vars"])
            what = var.get("PATH_INFO", "a request"), var.get("HTTP_X_REQUEST_ID", "")
            requests[core["id"], core["req_info"].get("request_start", 0)] = what
    return requests


def read_stats() -> dict[str, Any]:
    """What uWSGI's stats server says; nothing while it is away or busy."""
    chunks = []
    with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(0.2)
        client.connect(str(RUN / "uwsgi-stats.sock"))
        while chunk := client.recv(1 << 16):
            chunks.append(chunk)
        # uWSGI doesn't escape every control character of a path.
        stats: dict[str, Any] = json.loads(b"".join(chunks).decode(errors="replace"), strict=False)
        return stats
    return {}


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
