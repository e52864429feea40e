"""State of the container, for the admin program."""

from typing import Any

from supervisor.states import getProcessStateDescription

from wsgi_runtime.pid1.banks import Banks
from wsgi_runtime.pid1.programs import Programs
from wsgi_runtime.pid1.replacement import Replacement
from wsgi_runtime.pid1.workers import Workers
from wsgi_runtime.scoreboard import Scoreboard


def publish(board: Scoreboard, programs: Programs, banks: Banks, replacement: Replacement, workers: Workers) -> None:
    """Store the state on the scoreboard."""
    states: dict[str, Any] = {name: programs.process(name).state for name in ("nginx", "uwsgi")}
    board.publish(
        {
            "programs": {name: getProcessStateDescription(state).lower() for name, state in states.items()},
            "restarts": {name: max(0, programs.starts[name] - 1) for name in states},
            "reloads": replacement.results,
            "bank": banks.current.index if banks.current else 0,
            "kills": workers.overdue_workers,
        }
    )
