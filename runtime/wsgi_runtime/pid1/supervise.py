"""PID 1: supervisor's own Supervisor class, with an exit code and the parts in this folder.

This file connects the parts. Each has its own state and a tick(), which takes its next step without waiting.
"""

import contextlib
import os
import signal
import sys
import time
from typing import Any

from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.supervisord import Supervisor

from wsgi_runtime import CONFIG, logs, values
from wsgi_runtime.pid1.banks import Banks
from wsgi_runtime.pid1.certificate import Certificate
from wsgi_runtime.pid1.deaths import Deaths
from wsgi_runtime.pid1.listeners import Listeners
from wsgi_runtime.pid1.options import Options
from wsgi_runtime.pid1.orphans import Orphans
from wsgi_runtime.pid1.pipes import Pipes
from wsgi_runtime.pid1.process_types import ProcessTypes
from wsgi_runtime.pid1.programs import Programs
from wsgi_runtime.pid1.publisher import publish
from wsgi_runtime.pid1.reload import Reload
from wsgi_runtime.pid1.replacement import Replacement
from wsgi_runtime.pid1.shutdown import Shutdown
from wsgi_runtime.pid1.workers import Workers
from wsgi_runtime.scoreboard import Scoreboard

FAST_TICK_SECONDS, SLOW_TICK_SECONDS = 0.05, 1.0
"""Time between two turns of the main loop: fast while a client or an operator waits for the next step."""


class Container(Supervisor):  # type: ignore[misc]
    """supervisord as PID 1 of a container."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        cores = int(options.values["GREENLETS"]) or int(options.values["THREADS"])
        self._board = Scoreboard.create(int(options.values["WEB_PROCESSES"]), cores)
        self.pipes = Pipes(self._board, options)
        logs.output_fd, logs.text_format = self.pipes.own_end, False
        self._next_slow_tick = 0.0

    def runforever(self) -> None:
        """Create the parts, which need supervisor's process groups, start the programs, and run the main loop."""
        options, groups, uwsgi = self.options, self.process_groups, self.process_groups["uwsgi"]
        listeners = Listeners()
        self.shutdown = Shutdown(options, groups, listeners)
        self.programs = Programs(options, groups, self.pipes, listeners, self.shutdown)
        self.banks = Banks(self._board, uwsgi)
        self.deaths = Deaths(self.programs, self.banks, self.shutdown, options.logger)
        self.orphans = Orphans(int(options.values["GRACE_PERIOD"]))
        self.replacement = Replacement(uwsgi, self.banks, options.logger, options.values)
        self.workers = Workers(self.banks, self.replacement, options.logger, options.values)
        self.certificate = Certificate(options, self.programs)
        self.process_types = ProcessTypes(groups, self.replacement, options.values)
        self.reload = Reload(options, self.certificate, self.replacement, self.process_types)

        events.subscribe(events.ProcessStateStartingEvent, self.programs.prepare)
        events.subscribe(events.ProcessStateStartingEvent, self.process_types.starting)
        events.subscribe(events.ProcessStateExitedEvent, self._exited)
        events.subscribe(events.ProcessStateStoppedEvent, self._stopped)
        events.subscribe(events.ProcessStateFatalEvent, self._failed)
        events.subscribe(events.SupervisorStoppingEvent, self.shutdown.programs_stop)
        events.subscribe(events.SupervisorStoppingEvent, self.process_types.stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        self.programs.start()
        super().runforever()

    def tick(self, now: float | None = None) -> None:
        """Take the next step of each part."""
        super().tick(now)
        self.shutdown.tick()
        self.orphans.tick()
        self.banks.tick()
        if not self.stopping:
            self.programs.tick(self.banks, self.process_types)
            self.deaths.tick()
            self.reload.tick()
            self.replacement.tick()
            self.process_types.tick()
        if time.monotonic() >= self._next_slow_tick:
            self._next_slow_tick = time.monotonic() + SLOW_TICK_SECONDS
            self.pipes.tick()
            if not self.stopping:
                self.workers.tick()
                self.certificate.tick()
        publish(self._board, self.programs, self.banks, self.replacement, self.workers, self.process_types)
        quiet = self.banks.has_served and not (self.shutdown.requested or self.replacement.active)
        self.options.poller.seconds = SLOW_TICK_SECONDS if quiet and not self.reload.watches_code else FAST_TICK_SECONDS

    def handle_signal(self) -> None:
        """SIGHUP reloads the app; SIGINT, SIGQUIT and SIGTERM stop the container."""
        received = self.options.get_signal()
        if received == signal.SIGHUP:
            self.reload.start("SIGHUP")
        elif received in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            delay = self.shutdown.request()
            self.options.logger.info(f"{signal.Signals(received).name}: stopping" + (f" in {delay} s" if delay else ""))

    def _exited(self, event: Any) -> None:
        process = event.process
        self.banks.tick()
        if process.config.name == "prestart":
            self.programs.prestart_exited(process.exitstatus)
        elif process.group.config.name in ("nginx", "uwsgi", *self.process_types.names):
            self.orphans.add(process.pid, process.config.stopsignal)
            self.deaths.exited(process)
        if process.group.config.name == "uwsgi":
            self.replacement.ended(process)

    def _stopped(self, event: Any) -> None:
        process = event.process
        if process.group.config.name == "uwsgi":
            self.replacement.ended(process)
        elif process.group.config.name in self.process_types.names and process.pid:
            self.orphans.add(process.pid, process.config.stopsignal)
        if self.stopping:
            self.shutdown.share_remaining_time()

    def _failed(self, event: Any) -> None:
        self.shutdown.end(1, f"{event.process.config.name} cannot be started: {event.process.spawnerr}")


def main() -> int:
    """Run the programs of supervisord.ini until a signal or a fault ends them; return the container's exit code."""
    logs.take_over()
    options = Options(values.read())
    options.realize(["--configuration", str(CONFIG / "supervisord.ini")])
    with contextlib.suppress(OSError):  # a sandbox may lack it
        # All programs inherit it: when one wakes up, it does not interrupt another (sched(7)). This saves CPU time.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    container = Container(options)
    with contextlib.suppress(ExitNow):
        container.main()
    container.pipes.finish()
    return container.shutdown.exit_code


if __name__ == "__main__":
    sys.exit(main())
