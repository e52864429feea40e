"""State of the container, for the admin program."""

from typing import Any

from supervisor.states import getProcessStateDescription

from wsgi_runtime.pid1.banks import Banks
from wsgi_runtime.pid1.process_types import ProcessTypes
from wsgi_runtime.pid1.programs import Programs
from wsgi_runtime.pid1.replacement import Replacement
from wsgi_runtime.pid1.workers import Workers
from wsgi_runtime.scoreboard import Scoreboard


def publish(
    board: Scoreboard,
    programs: Programs,
    banks: Banks,
    replacement: Replacement,
    workers: Workers,
    process_types: ProcessTypes,
) -> None:
    """Store the state on the scoreboard."""
    states: dict[str, Any] = {name: programs.process(name).state for name in ("nginx", "uwsgi")}
    types = process_types.states()
    board.publish(
        {
            "programs": {name: getProcessStateDescription(state).lower() for name, state in states.items()} | types,
            "restarts": {name: max(0, programs.starts[name] - 1) for name in states}
            | {name: process_types.restarts[name] for name in types},
            "reloads": replacement.results,
            "bank": banks.current.index if banks.current else 0,
            "kills": workers.overdue_workers,
        }
    )
