"""Workers of the current uWSGI instance. It is recycled for overdue requests, memory growth, or MAX_REQUESTS."""

import time
from typing import Any

from wsgi_runtime import logs
from wsgi_runtime.pid1.banks import Banks
from wsgi_runtime.pid1.replacement import Replacement
from wsgi_runtime.scoreboard import Bank, resident_memory

SLACK_SECONDS = 1
"""Time after REQUEST_TIMEOUT in which Nginx answers the client first."""

MAX_MEMORY_SHARE = 0.8
"""Part of the memory limit that workers may take."""


class Workers:
    """Watches the workers."""

    def __init__(self, banks: Banks, replacement: Replacement, logger: Any, values: dict[str, str]) -> None:
        self.overdue_workers = 0
        """Workers that had a request which exceeded REQUEST_TIMEOUT, since the container's start."""
        self._banks = banks
        self._replacement = replacement
        self._logger = logger
        self._request_timeout = int(values["REQUEST_TIMEOUT"])
        self._max_requests = int(values["MAX_REQUESTS"])
        self._max_growth = values["WORKER_MEMORY"]
        # Preloaded workers share memory, so the sum of their sizes says too much.
        self._memory_limit = int(values["MEMORY_LIMIT"]) if values["PRELOAD"] == "0" else 0
        self._overdue: set[tuple[int, int, float]] = set()

    def tick(self) -> None:
        """Recycle the instance if there is a reason. Once all workers serve, compare their memory with the limit."""
        bank = self._banks.current
        if not bank:
            return
        if reason := self._overdue_reason(bank) or self._worker_reason(bank):
            self._replacement.recycle(reason)
        if self._memory_limit and bank.is_serving():
            if warning := memory_warning(bank, self._memory_limit):
                self._logger.warn(warning)
            self._memory_limit = 0

    def _overdue_reason(self, bank: Bank) -> str:
        """Log each request that is overdue for the first time."""
        now = time.monotonic()
        overdue = {
            (worker.pid, slot.start, slot.started): slot
            for worker, slot, since in bank.busy()
            if since > 0 and now - since > self._request_timeout + SLACK_SECONDS
        }
        for key in overdue.keys() - self._overdue:
            request_id, path, _ = overdue[key].text()
            message = f"request {path} exceeded REQUEST_TIMEOUT ({self._request_timeout} s); uWSGI will be replaced"
            logs.write("error", "supervisord", message, request_id=request_id)
        self.overdue_workers += len({pid for pid, _, _ in overdue} - {pid for pid, _, _ in self._overdue})
        self._overdue = set(overdue)
        return "requests are overdue" if overdue else ""

    def _worker_reason(self, bank: Bank) -> str:
        for number, worker in enumerate(bank.workers, 1):
            if worker.outgrown:
                return f"worker {number} has grown by more than WORKER_MEMORY ({self._max_growth} MB)"
            if self._max_requests and worker.requests - worker.served >= self._max_requests:
                return f"worker {number} has served MAX_REQUESTS ({self._max_requests})"
        return ""


def memory_warning(bank: Bank, limit: int) -> str:
    """Return a warning if two uWSGI instances, as at a reload, do not fit into the memory limit, in bytes."""
    size = sum(resident_memory(worker.pid) for worker in bank.workers)
    if 2 * size < limit * MAX_MEMORY_SHARE:
        return ""
    return (
        f"the workers take {size >> 20} MB after they have loaded the app, and a reload needs twice that: "
        f"more than the memory limit of {limit >> 20} MB allows; lower PROCESSES, or raise the limit"
    )
