"""Reasons to replace uWSGI that its workers give: requests that are overdue, memory that grows, their number."""

import time

from wsgi_runtime import logs
from wsgi_runtime.scoreboard import Bank, resident_memory

SLACK_SECONDS = 1
"""nginx answers the client first."""

MAX_MEMORY_SHARE = 0.8
"""Part of the memory limit that workers may take."""


def memory_warning(bank: Bank, limit: int) -> str:
    """Return a warning if two uWSGI instances, as at a reload, don't fit into the memory limit; `limit` is in bytes."""
    size = sum(resident_memory(worker.pid) for worker in bank.workers)
    if not limit or 2 * size < limit * MAX_MEMORY_SHARE:
        return ""
    return (
        f"the workers take {size >> 20} MB after they have loaded the app, and a reload needs twice that: "
        f"more than the memory limit of {limit >> 20} MB allows; lower PROCESSES, or raise the limit"
    )


class Workers:
    """Looks at the workers of the instance that serves."""

    def __init__(self, values: dict[str, str]) -> None:
        self._request_timeout = int(values["REQUEST_TIMEOUT"])
        self._max_requests = int(values["MAX_REQUESTS"])
        self._max_growth = values["WORKER_MEMORY"]
        self._overdue: set[tuple[int, int, float]] = set()
        self.given_up = 0
        """Workers that are, or were, to be replaced for requests that exceeded REQUEST_TIMEOUT."""

    def tick(self, bank: Bank) -> str:
        """Log each request that is overdue for the first time; return a reason to replace uWSGI, or ""."""
        now = time.monotonic()
        reason = ""
        overdue = {
            (worker.pid, slot.start, slot.started): (bank.workers.index(worker) + 1, slot)
            for worker, slot, since in bank.busy()
            if since > 0 and now - since > self._request_timeout + SLACK_SECONDS
        }
        known_workers = {pid for pid, _, _ in self._overdue}
        for key, (number, slot) in overdue.items():
            reason = "requests are overdue"
            if key not in self._overdue:
                request_id, path, _ = slot.text()
                message = (
                    f"request {path} exceeded REQUEST_TIMEOUT ({self._request_timeout} s); replacing worker {number}"
                )
                logs.write("error", "supervisord", message, request_id=request_id)
        self.given_up += len({pid for pid, _, _ in overdue} - known_workers)
        self._overdue = set(overdue)
        for number, worker in enumerate(bank.workers, 1):
            if worker.outgrown:
                reason = f"worker {number} has grown by more than WORKER_MEMORY ({self._max_growth} MB)"
            elif self._max_requests and worker.requests - worker.served >= self._max_requests:
                reason = f"worker {number} has served MAX_REQUESTS ({self._max_requests})"
        return reason
