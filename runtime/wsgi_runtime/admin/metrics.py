"""What is counted, in process 1, where it outlives every worker.

Requests are counted from lines that nginx writes (nginx/admin.conf): it alone sees what clients see, whatever answers
them.
"""

import contextlib
import os
import re
import time
import traceback
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from wsgi_runtime import RUN, logs
from wsgi_runtime.pid1.dispatcher import Dispatcher

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
"""Others are counted as one: clients can invent them."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds of the histogram of durations, in seconds."""

ESCAPED = re.compile(r"\\x[0-9A-F]{2}")
"""How nginx logs what is not ASCII (ngx_http_log_module, log_format)."""

MOST = 500
"""So many endpoints, or exceptions, are told apart."""

PERIOD, PERIODS = 5, 60
"""The status page's charts: seconds that each point stands for, and how many points there are."""


@dataclass
class Period:
    """What happened in PERIOD seconds, for the charts."""

    start: float
    """Of time.monotonic()."""
    requests: int = 0
    errors: int = 0
    durations: Counter[float] = field(default_factory=Counter)

    def point(self) -> dict[str, Any]:
        """Its point in the charts; durations are in seconds, and None if there was no request."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "requests_per_second": self.requests / PERIOD,
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


class Metrics:
    """Counts, and keeps what the status page shows of the last minutes."""

    def __init__(self) -> None:
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
        self.starts: Counter[str] = Counter()
        self.reloads: Counter[str] = Counter()
        self.kills = 0
        self.workers: list[dict[str, Any]] = []
        self.totals: Counter[tuple[str, int]] = Counter()
        self.uwsgi_version = ""
        self._master = 0
        self._last: dict[tuple[str, int], int] = {}

    # --- what is told ---

    def count(self, lines: list[bytes]) -> None:
        """Counts requests: lines of nginx/admin.conf's log_format. Equal ones, under load the most, are read once."""
        for line, count in Counter(lines).items():
            with contextlib.suppress(ValueError):  # a line that is none: its writer was killed
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

    def look(self, stats: dict[str, Any]) -> None:
        """Takes over what uWSGI's stats server says; its counts begin anew with each master, ours go on."""
        if time.monotonic() - self._period.start >= PERIOD:
            self.points.append(self._period.point())
            self._period = Period(self._period.start + PERIOD)
        if not stats:
            return
        if stats["pid"] != self._master:
            self._master, self._last = stats["pid"], {}
        self.workers, self.uwsgi_version = stats["workers"], stats["version"]
        for worker in self.workers:
            # A master's first start of each worker replaces none.
            for name, first in ("requests", 0), ("exceptions", 0), ("harakiri_count", 0), ("respawn_count", 1):
                key, value, last = (name, worker["id"]), worker[name], self._last.get((name, worker["id"]), first)
                if name == "exceptions":  # to uWSGI a client that has hung up is one, too
                    value -= sum(core["write_errors"] for core in worker["cores"])
                self.totals[key] += max(0, value - last)
                self._last[key] = max(value, last)

    # --- what is asked ---

    def in_flight(self) -> int:
        """How many requests workers have in hand."""
        return sum(core["in_request"] for worker in self.workers for core in worker["cores"])

    def workers_by_state(self) -> dict[str, int]:
        """How many workers have a request in hand, and how many have none."""
        busy = sum(any(core["in_request"] for core in worker["cores"]) for worker in self.workers)
        return {"busy": busy, "idle": len(self.workers) - busy}

    def total(self, name: str) -> int:
        """One of uWSGI's counts, of all its workers since the container's start."""
        return sum(count for (each, _), count in self.totals.items() if each == name)

    def exceptions_by_type(self) -> dict[str, int]:
        """What the app did not handle: Flask's by type; what reached uWSGI, as with other apps, has none."""
        return {**self.exceptions, "other": self.exceptions["other"] + self.total("exceptions")}

    def restarts(self) -> dict[str, int]:
        """How often nginx and uWSGI were started again."""
        return {name: max(0, self.starts[name] - 1) for name in ("nginx", "uwsgi")}


class Lines(Dispatcher):
    """The pipe that nginx writes its lines to."""

    def __init__(self, metrics: Metrics) -> None:
        path = RUN / "metrics.fifo"
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        # To write, too: it must neither end nor block while nginx is away.
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._metrics = metrics
        self._rest = b""

    def handle_read_event(self) -> None:
        """Counts what has come."""
        *lines, self._rest = (self._rest + os.read(self.fd, 1 << 16)).split(b"\n")
        self._metrics.count(lines)

    def handle_error(self) -> None:
        """Nothing but a bug gets here; what is only counted shall not end the container."""
        logs.write("error", "supervisord", traceback.format_exc())


def resident_memory(pid: int) -> int:
    """Bytes of memory that a process has; 0 if it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _bounded(name: str, known: Any) -> str:
    return name if name in known or len(known) < MOST else "other"
