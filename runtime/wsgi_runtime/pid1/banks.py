"""Banks of the scoreboard: one for each uWSGI instance, by the process ID of its master."""

from typing import Any

from wsgi_runtime.scoreboard import Bank, Scoreboard

CURRENT, NEXT = "uwsgi", "uwsgi-next"
"""Names of the instance that serves and of the one that loads the app, in supervisor's process group of uWSGI."""


class Banks:
    """Assigns the banks, and records when the first worker of this container has loaded the app."""

    def __init__(self, board: Scoreboard, group: Any) -> None:
        """`group` is supervisor's process group of uWSGI."""
        self.has_served = False
        """True once a worker of this container has loaded the app."""
        self._board = board
        self._group = group
        self._banks: dict[int, Bank] = {}
        self._last_index = -1

    def of(self, process: Any) -> Bank | None:
        """Return the bank of an instance."""
        return self._banks.get(process.pid)

    @property
    def current(self) -> Bank | None:
        """Bank of the instance that serves; None while it is down."""
        return self.of(self._group.processes[CURRENT])

    def tick(self) -> None:
        """Assign a bank to each instance that has just started: its workers wait for the bank."""
        for process in self._group.processes.values():
            if process.pid and process.pid not in self._banks:
                self._banks[process.pid] = self._unused()
                self._banks[process.pid].master = process.pid
        self.has_served = self.has_served or any(bank.has_served() for bank in self._banks.values())

    def release(self, process: Any) -> None:
        """Take the bank back from an instance that has ended."""
        self.tick()
        if bank := self._banks.pop(process.pid, None):
            bank.master = 0

    def _unused(self) -> Bank:
        """Return an empty bank. Workers of a killed master may still write to theirs, so it is reused last."""
        banks, following = self._board.banks, self._last_index + 1
        bank = next(each for each in banks[following:] + banks[:following] if each not in self._banks.values())
        self._last_index = bank.index
        bank.clear()
        return bank
