"""Counts of requests and workers.

Nginx writes a line for each request (nginx/http.d/admin.conf), because only Nginx knows which response the client got.
Counts of workers come from the scoreboard.
"""

import contextlib
import re
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from wsgi_runtime.scoreboard import Bank, Scoreboard

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
"""Methods with a label of their own. All others are `other`: clients can invent methods."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds of the histogram of durations, in seconds."""

ESCAPED = re.compile(r"\\x[0-9A-F]{2}")
"""Form of bytes in Nginx's log that are not ASCII (ngx_http_log_module, log_format)."""

MAX_NAMES = 500
"""Endpoints, and types of exceptions, that have a label of their own."""

PERIOD_SECONDS, PERIODS = 5, 60
"""Charts of the status page: the time of each point, and the number of points."""


@dataclass
class Period:
    """Counts of PERIOD_SECONDS seconds, for one point of the charts."""

    start: float
    """Value of time.monotonic()."""
    requests: int = 0
    errors: int = 0
    durations: Counter[float] = field(default_factory=Counter)

    def point(self) -> dict[str, Any]:
        """Return the point; durations are in seconds, and None without a request."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "requests_per_second": self.requests / PERIOD_SECONDS,
            "error_ratio": self.errors / self.requests if self.requests else 0.0,
            **{f"p{percent}": self._percentile(percent / 100) for percent in (50, 95, 99)},
        }

    def _percentile(self, share: float) -> float | None:
        rank = share * self.requests
        for seconds, count in sorted(self.durations.items()):
            rank -= count
            if rank <= 0:
                return seconds
        return None


NOTHING_PUBLISHED = {"programs": {}, "restarts": {}, "reloads": {}, "kills": 0, "bank": 0}


class Metrics:
    """Counts since the start of this program, and the last minutes for the charts.

    Two threads use them, so `lock` is held while they change, and while they are read as a whole.
    """

    def __init__(self, board: Scoreboard) -> None:
        self.board = board
        self.lock = threading.RLock()
        self.started = time.time()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.sent = self.received = 0
        self.cache: Counter[str] = Counter()
        self.exceptions: Counter[str] = Counter()
        self.errors: deque[dict[str, Any]] = deque(maxlen=20)
        self.points: deque[dict[str, Any]] = deque([Period(0).point()] * PERIODS, maxlen=PERIODS)
        self._period = Period(time.monotonic())
        self.state: dict[str, Any] = dict(NOTHING_PUBLISHED)
        """State that PID 1 published last."""
        self.totals: Counter[tuple[str, int]] = Counter()
        """Counts by name (requests, exceptions, respawns) and number of the worker."""
        self._last: dict[tuple[int, int, int, str], int] = {}
        self._next_look = 0.0

    def count(self, lines: list[bytes]) -> None:
        """Count requests from lines in the log_format of nginx/http.d/admin.conf. Equal lines are parsed once."""
        for line, count in Counter(lines).items():
            with contextlib.suppress(ValueError):  # an incomplete line of a worker that was killed
                self._count(line.decode(errors="replace").split("\t"), count)

    def _count(self, values: list[str], count: int) -> None:
        method, status, seconds, sent, received, cache, endpoint, failure = values
        duration = float(seconds)
        if "\\x" in endpoint:
            endpoint = ESCAPED.sub(lambda escaped: bytes.fromhex(escaped[0][2:]).decode("latin-1"), endpoint)
            endpoint = endpoint.encode("latin-1", "replace").decode(errors="replace")
        known, _, exception = endpoint.partition(" ")
        name = "other" if known in ("", "-") else _bounded(known, self.buckets)
        self.requests[method if method in METHODS else "other", f"{status[:1]}xx"] += count
        self.buckets[name][bisect_left(BUCKETS, duration)] += count
        self.seconds[name] += duration * count
        self.sent += int(sent) * count
        self.received += int(received) * count
        if cache not in ("", "-"):
            self.cache[cache.lower()] += count
        if exception:
            self.exceptions[_bounded(exception, self.exceptions)] += count
        self._period.requests += count
        self._period.durations[duration] += count
        if status.startswith("5"):
            self._period.errors += count
            request_id, _, path = failure.partition(" ")
            path = path.partition("?")[0]  # a query may contain a secret
            self.errors.appendleft(
                {
                    "time": time.time(),
                    "status": int(status),
                    "method": method,
                    "path": path,
                    "endpoint": name,
                    "exception": exception,
                    "duration": duration,
                    "request_id": request_id,
                }
            )

    def tick(self) -> None:
        """Read the scoreboard, at most once a second."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + 1
            with self.lock:
                self._look()

    def _look(self) -> None:
        if time.monotonic() - self._period.start >= PERIOD_SECONDS:
            self.points.append(self._period.point())
            self._period = Period(self._period.start + PERIOD_SECONDS)
        with contextlib.suppress(ValueError):  # PID 1 is writing it
            self.state = self.board.state()
        last = {}
        for bank in self.banks():
            for number, worker in enumerate(bank.workers, 1):
                respawns = max(0, worker.starts - 1)
                for name, value in (
                    ("requests", worker.requests),
                    ("exceptions", worker.exceptions),
                    ("respawns", respawns),
                ):
                    key = bank.index, bank.master, number, name
                    self.totals[name, number] += max(0, value - self._last.get(key, 0))
                    last[key] = value
        self._last = last

    def banks(self) -> list[Bank]:
        """Return the banks of the uWSGI instances that run: more than one during a replacement."""
        return [bank for bank in self.board.banks if bank.master]

    def bank(self) -> Bank:
        """Return the bank of the instance that serves."""
        return self.board.banks[int(self.state["bank"])]

    def in_flight(self) -> int:
        """Return the number of requests that workers serve."""
        return sum(len(bank.busy()) for bank in self.banks())

    def workers_by_state(self) -> dict[str, int]:
        """Return the number of workers that serve a request, and of the others."""
        busy = len({worker.start for worker, _, _ in self.bank().busy()})
        return {"busy": busy, "idle": len(self.bank().workers) - busy}

    def total(self, name: str) -> int:
        """Return a count of `totals`, summed over all workers."""
        return sum(count for (each, _), count in self.totals.items() if each == name)

    def exceptions_by_type(self) -> dict[str, int]:
        """Return the unhandled exceptions: those in Flask by type, those of other apps as `other`."""
        return {**self.exceptions, "other": self.exceptions["other"] + self.total("exceptions")}


def _bounded(name: str, known: Any) -> str:
    return name if name in known or len(known) < MAX_NAMES else "other"
