"""State of the container, for the admin program."""

from typing import Any

from supervisor.states import getProcessStateDescription

from wsgi_runtime.pid1.banks import Banks
from wsgi_runtime.pid1.programs import Programs
from wsgi_runtime.pid1.replacement import Replacement
from wsgi_runtime.pid1.workers import Workers
from wsgi_runtime.scoreboard import Scoreboard


class Publisher:
    """Publishes the state on the scoreboard."""

    def __init__(
        self, board: Scoreboard, programs: Programs, banks: Banks, replacement: Replacement, workers: Workers
    ) -> None:
        self._board = board
        self._programs = programs
        self._banks = banks
        self._replacement = replacement
        self._workers = workers

    def tick(self) -> None:
        """Publish."""
        states: dict[str, Any] = {name: self._programs.process(name).state for name in ("nginx", "uwsgi")}
        bank = self._banks.current
        self._board.publish(
            {
                "programs": {name: getProcessStateDescription(state).lower() for name, state in states.items()},
                "restarts": {name: max(0, self._programs.starts[name] - 1) for name in states},
                "reloads": self._replacement.results,
                "bank": bank.index if bank else 0,
                "kills": self._workers.overdue_workers,
            }
        )
