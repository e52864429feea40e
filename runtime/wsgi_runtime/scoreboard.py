"""Scoreboard: the state of each uWSGI worker, in shared memory.

Workers write it; PID 1 and the admin program read it. It is an anonymous file (memfd_create(2)) of a fixed size, which
programs inherit as SCOREBOARD_FD. There are no locks: a reader may get a record that is half written, and reads it
again a second later.

Each uWSGI instance has a bank of its own, because the next one loads the app while the current one serves.
"""

import contextlib
import json
import mmap
import os
import struct
from typing import Any

SCOREBOARD_FD = 48
BANKS = 8
HEADER_BYTES = 16384
BANK_BYTES = 64
WORKER_BYTES = 64
SLOT_BYTES = 256
REQUEST_BYTES = 168
"""Bytes of a slot for the request's ID and path; the endpoint follows them."""

NOT_STARTED, LOADING, SERVING, FAILED = range(4)
"""States of a worker: no process yet, importing the app, taking requests, could not import the app."""

_TWO_DOUBLES = struct.Struct("=dd")


class Field:
    """A number at a fixed offset of a record."""

    def __init__(self, offset: int, kind: str) -> None:
        self._offset = offset
        self._struct = struct.Struct("=" + kind)

    def __get__(self, record: "Record", owner: type) -> Any:
        """Return the number."""
        return self._struct.unpack_from(record.memory, record.start + self._offset)[0]

    def __set__(self, record: "Record", value: Any) -> None:
        """Store the number."""
        self._struct.pack_into(record.memory, record.start + self._offset, value)


class Record:
    """A part of the scoreboard's memory."""

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self.memory = memory
        self.start = start


class Slot(Record):
    """One core of a worker: uWSGI's term for a thread or greenlet."""

    since = Field(0, "d")
    """time.monotonic() when the app was called; negative while its response is being sent, 0 while idle."""
    started = Field(8, "d")
    """time.monotonic() at the start of the request."""
    requests = Field(16, "Q")

    def begin(self, now: float, request: bytes) -> None:
        """Record a new request. `request` is its ID, a space, and its path."""
        start = self.start + 24
        request = request[: REQUEST_BYTES - 1] + b"\n"
        self.memory[start : start + len(request)] = request
        self.memory[start + REQUEST_BYTES] = 10
        _TWO_DOUBLES.pack_into(self.memory, self.start, now, now)

    def name(self, endpoint: bytes) -> None:
        """Record the endpoint of the current request."""
        start = self.start + 24 + REQUEST_BYTES
        endpoint = endpoint[: SLOT_BYTES - REQUEST_BYTES - 25] + b"\n"
        self.memory[start : start + len(endpoint)] = endpoint

    def text(self) -> tuple[str, str, str]:
        """Return ID, path and endpoint of the current or last request."""
        start = self.start + 24
        request = self.memory[start : start + REQUEST_BYTES].partition(b"\n")[0].decode(errors="replace")
        start += REQUEST_BYTES
        endpoint = self.memory[start : self.start + SLOT_BYTES].partition(b"\n")[0].decode(errors="replace")
        request_id, _, path = request.partition(" ")
        return request_id, path, endpoint


class Worker(Record):
    """One worker of a uWSGI instance."""

    pid = Field(0, "I")
    state = Field(4, "I")
    starts = Field(8, "I")
    """Processes that have been started for this worker."""
    early_deaths = Field(12, "I")
    """Processes in a row that died before they had loaded the app, or right afterwards."""
    loads = Field(16, "I")
    """Processes that have loaded the app."""
    outgrown = Field(20, "I")
    """1 if the process has grown by more than WORKER_MEMORY."""
    loaded_at = Field(24, "d")
    exceptions = Field(32, "Q")
    served = Field(40, "Q")
    """Value of `requests` when the current process had loaded the app."""

    def __init__(self, memory: mmap.mmap, start: int, cores: int) -> None:
        super().__init__(memory, start)
        self.slots = [Slot(memory, start + WORKER_BYTES + core * SLOT_BYTES) for core in range(cores)]

    @property
    def requests(self) -> int:
        """Requests that all processes of this worker have completed."""
        return sum(slot.requests for slot in self.slots)


class Bank(Record):
    """One uWSGI instance: a master and its workers."""

    master = Field(0, "I")

    def __init__(self, memory: mmap.mmap, start: int, index: int, processes: int, cores: int) -> None:
        super().__init__(memory, start)
        self.index = index
        size = WORKER_BYTES + cores * SLOT_BYTES
        self.workers = [Worker(memory, start + BANK_BYTES + number * size, cores) for number in range(processes)]
        self._bytes = BANK_BYTES + processes * size

    def clear(self) -> None:
        """Prepare the bank for a new instance."""
        self.memory[self.start : self.start + self._bytes] = bytes(self._bytes)

    def is_serving(self) -> bool:
        """Return True if every worker has loaded the app and is alive."""
        return all(worker.state == SERVING and exists(worker.pid) for worker in self.workers)

    def is_loading(self) -> bool:
        """Return True if a worker is importing the app."""
        return any(worker.state == LOADING and exists(worker.pid) for worker in self.workers)

    def has_served(self) -> bool:
        """Return True if a worker has ever loaded the app."""
        return any(worker.loads for worker in self.workers)

    def busy(self) -> list[tuple[Worker, Slot, float]]:
        """Return each current request, with the `since` of its slot."""
        slots = ((worker, slot, slot.since) for worker in self.workers for slot in worker.slots)
        return [(worker, slot, since) for worker, slot, since in slots if since]


class Scoreboard(Record):
    """The header and all banks."""

    processes = Field(0, "I")
    cores = Field(4, "I")
    dropped_lines = Field(8, "Q")
    """Log lines dropped because the reader of the container's output was too slow."""
    _state_bytes = Field(16, "I")
    log_turns = Field(24, "Q")
    admin_turns = Field(32, "Q")
    """Turns of the main loops of the log and the admin program, at least one per second: PID 1 sees if one hangs."""

    def __init__(self, fd: int = SCOREBOARD_FD) -> None:
        """Attach to the scoreboard that PID 1 has created."""
        super().__init__(mmap.mmap(fd, 0), 0)
        processes, cores = self.processes, self.cores
        size = bank_bytes(processes, cores)
        self.banks = [Bank(self.memory, HEADER_BYTES + index * size, index, processes, cores) for index in range(BANKS)]

    @classmethod
    def create(cls, processes: int, cores: int) -> "Scoreboard":
        """Create a scoreboard at SCOREBOARD_FD, for instances of `processes` workers with `cores` cores each."""
        fd = os.memfd_create("scoreboard", os.MFD_CLOEXEC)
        os.ftruncate(fd, HEADER_BYTES + BANKS * bank_bytes(processes, cores))
        os.pwrite(fd, struct.pack("=II", processes, cores), 0)
        os.dup2(fd, SCOREBOARD_FD, inheritable=False)
        os.close(fd)
        return cls()

    def of_master(self, pid: int) -> Bank | None:
        """Return the bank of the uWSGI instance by the process ID of its master."""
        return next((bank for bank in self.banks if bank.master == pid), None)

    def publish(self, state: dict[str, Any]) -> None:
        """Store the state of the container for the admin program."""
        text = json.dumps(state).encode()[: HEADER_BYTES - 64]
        self.memory[64 : 64 + len(text)] = text
        self._state_bytes = len(text)

    def state(self) -> dict[str, Any]:
        """Return the state that PID 1 published last. Raises ValueError while it is being written."""
        state: dict[str, Any] = json.loads(self.memory[64 : 64 + self._state_bytes])
        return state


def bank_bytes(processes: int, cores: int) -> int:
    """Return the size of a bank in bytes."""
    return BANK_BYTES + processes * (WORKER_BYTES + cores * SLOT_BYTES)


def exists(pid: int) -> bool:
    """Return True if the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return pid > 0


def resident_memory(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 if it has ended."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
