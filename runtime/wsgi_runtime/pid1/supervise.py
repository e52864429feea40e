"""PID 1: supervisor's own Supervisor class, whose end is the container's end and has a reason.

This file only wires the parts of this folder together.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.states import SupervisorStates, getProcessStateDescription
from supervisor.supervisord import Supervisor

from wsgi_runtime import APP, CONFIG, logs, prestart, values
from wsgi_runtime.pid1 import listeners
from wsgi_runtime.pid1.crashes import CrashLimit, Orphans, Restart
from wsgi_runtime.pid1.options import Options
from wsgi_runtime.pid1.pipes import Pipes
from wsgi_runtime.pid1.replacement import CURRENT, Replacement
from wsgi_runtime.pid1.shutdown import Shutdown
from wsgi_runtime.pid1.wakeup import Wakeup
from wsgi_runtime.pid1.watcher import Watcher
from wsgi_runtime.pid1.workers import Workers, memory_warning
from wsgi_runtime.scoreboard import SCOREBOARD_FD, Bank, Scoreboard

NO_APP = 22
"""uWSGI's exit code when the app can't be loaded."""

FAST_TICK_SECONDS = 0.1
"""A turn of the main loop while somebody waits for something."""


class Container(Supervisor):  # type: ignore[misc]
    """supervisord with the container's exit code."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.exit_code = 0
        self._values = options.values
        processes = max(1, int(options.values["PROCESSES"]))
        self._board = Scoreboard.create(processes, int(options.values["GREENLETS"]) or int(options.values["THREADS"]))
        self._has_admin = options.values["ADMIN_PORT"] != "0"
        self.pipes = Pipes(self._has_admin)
        logs.output_fd, logs.text_format = self.pipes.own_end, False
        certificate = [self._values[name] for name in ("TLS_CERT", "TLS_KEY") if name in self._values]
        self._watcher = Watcher(self._values["DEBUG"] == "1", certificate)
        self._workers = Workers(self._values)
        self._shutdown = Shutdown(self._values, self._processes)
        self._crashes = CrashLimit()
        self._orphans = Orphans(int(self._values["GRACE_PERIOD"]))
        self._restart = Restart()
        self._starts: Counter[str] = Counter()
        self._has_served = False
        self._next_look = 0.0
        self._memory_limit = int(self._values["MEMORY_LIMIT"])
        self._wakeup = Wakeup()

    # --- supervisor's own hooks ---

    def runforever(self) -> None:
        """The main loop."""
        events.subscribe(events.SupervisorRunningEvent, self._start)
        events.subscribe(events.SupervisorStoppingEvent, lambda _: self._shutdown.stop())
        events.subscribe(events.ProcessStateStartingEvent, self._program_starts)
        events.subscribe(events.ProcessStateStoppedEvent, self._program_stopped)
        events.subscribe(events.ProcessStateExitedEvent, self._program_exited)
        events.subscribe(events.ProcessStateFatalEvent, self._program_failed)
        super().runforever()

    def get_process_map(self) -> dict[int, Any]:
        """Return what the poll of the main loop waits for."""
        return {**super().get_process_map(), self._wakeup.fd: self._wakeup}

    def handle_signal(self) -> None:
        """SIGHUP reloads the app; SIGINT, SIGQUIT and SIGTERM stop the container."""
        received = self.options.get_signal()
        if received == signal.SIGHUP:
            self.reload("SIGHUP")
        elif received in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            delay = self._shutdown.ask()
            self.options.logger.info(f"{signal.Signals(received).name}: stopping" + (f" in {delay} s" if delay else ""))

    def tick(self, now: float | None = None) -> None:
        """Let each part go on; nothing here waits."""
        super().tick(now)
        self._orphans.tick()
        if self._shutdown.active and self._shutdown.has_closed():
            self.options.mood = SupervisorStates.SHUTDOWN
        if self.stopping:
            self._shutdown.repeat_stop_signals()
        elif self._is_serving_begun:
            self.replacement.assign_banks()
            self._restart.tick(self._process(CURRENT))
            if self._watcher.code_has_changed():
                self.reload("the code has changed")
            self.replacement.tick()
            self._note_first_worker(self.replacement.bank(self._process(CURRENT).pid))
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + 1
            self._look()
        waited_for = self._shutdown.active or self.stopping or self._values["DEBUG"] == "1"
        waited_for = waited_for or not self._has_served or self.replacement.active
        self.options.poller.seconds = FAST_TICK_SECONDS if waited_for else 1.0

    def _note_first_worker(self, bank: Bank | None) -> None:
        """Remember that a worker of this container has loaded the app; the admin program starts then."""
        if not self._has_served and bank and bank.has_served():
            self._has_served = True
            self._publish()
            if self._has_admin:
                self._autostart(admin=True)

    def _look(self) -> None:
        """What has to be looked at once a second."""
        self.pipes.tick(self._board)
        if not self._is_serving_begun:
            return
        bank = self.replacement.bank(self._process(CURRENT).pid)
        if bank and not self.stopping:
            if reason := self._workers.tick(bank):
                self.replacement.suggest(reason)
            if bank.is_serving():
                self._restart.succeeded()
                self._warn_once(bank)
        self._publish()

    def _warn_once(self, bank: Bank) -> None:
        limit, self._memory_limit = self._memory_limit, 0
        if warning := memory_warning(bank, limit):
            self.options.logger.warn(warning)

    # --- start ---

    @property
    def _is_serving_begun(self) -> bool:
        return hasattr(self, "replacement")

    def _start(self, event: Any) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        # The admin program takes no time from the app, which loads first.
        self._autostart(log=True, admin=False, uwsgi=False, nginx=False)
        self._process("log").spawn()
        if prestart.is_wanted(self._values):
            self._process("prestart").spawn()
        else:
            self._serve()

    def _serve(self) -> None:
        group = self.process_groups["uwsgi"]
        # One reference more than supervisor's own keeps a listening socket open while its program is down.
        self._socket = group.socket_manager.get_socket()
        self._admin_socket = self.process_groups["admin"].socket_manager.get_socket()
        for port in self._values["PORTS"].split():
            self._shutdown.listening += listeners.listen(int(port), int(self._values["LISTEN_BACKLOG"]))
        listening = "".join(f"{fd};" for fd in self._shutdown.listening)
        self._process("nginx").config.environment = {"NGINX": listening}
        self.replacement = Replacement(group, self._board, self.options.logger, self._values)
        self._autostart(uwsgi=True, nginx=True)
        for each in sorted(self.process_groups.values()):
            each.transition()
        self.replacement.assign_banks()

    def _autostart(self, **programs: bool) -> None:
        for name, automatic in programs.items():
            self._process(name).config.autostart = automatic

    def _process(self, name: str) -> Any:
        return self.process_groups[name].processes[name]

    def _processes(self) -> Iterator[Any]:
        for group in self.process_groups.values():
            yield from group.processes.values()

    def _program_starts(self, event: Any) -> None:
        """Give a program its pipes, and the file descriptors that it inherits."""
        name = event.process.group.config.name
        self._starts[event.process.config.name] += 1
        self.options.child_stdout, self.options.child_stderr = self.pipes.of_program(name)
        if name == "log":
            event.process.config.environment = {"LOG_PIPES": json.dumps(self.pipes.read_ends)}
        for fd in self._shutdown.listening:
            os.set_inheritable(fd, name == "nginx")
        for fd in self.pipes.read_ends.values():
            os.set_inheritable(fd, name == "log")
        os.set_inheritable(SCOREBOARD_FD, name in ("uwsgi", "admin", "log"))

    # --- stop ---

    def end(self, exit_code: int, reason: str) -> None:
        """Stop the container, which returns `exit_code`."""
        if self.options.mood > SupervisorStates.SHUTDOWN:
            self.options.logger.critical(f"{reason}: the container ends with exit code {exit_code}")
            self.exit_code = exit_code
            # Clients wait for uWSGI in vain: without the socket nginx can tell them so and exit.
            self._socket = None
            self.options.mood = SupervisorStates.SHUTDOWN

    def _program_stopped(self, event: Any) -> None:
        self._uwsgi_ended(event.process)
        if self.stopping:
            self._shutdown.share_what_is_left()

    # --- death ---

    def _program_exited(self, event: Any) -> None:
        process = event.process
        name, exit_code = process.config.name, process.exitstatus
        if process.group.config.name in ("nginx", "uwsgi"):
            # What a dead master leaves finishes its requests, as at a stop.
            self._orphans.add(process.pid, process.config.stopsignal)
        if name == "prestart":
            if exit_code != 0:
                self.end(exit_code if exit_code > 0 else 1, "prestart.sh failed")
            elif problem := prestart.static_problem(self._values):
                self.end(os.EX_CONFIG, problem)
            else:
                self._serve()
        elif name == "uwsgi" and exit_code == NO_APP:
            self._app_not_loaded(process)
        elif name in ("nginx", "uwsgi"):
            process.config.autorestart = True
            if name == "nginx" and exit_code == 1 and self._starts[name] == 1 and not self._has_served:
                self.end(os.EX_CONFIG, "nginx refuses its configuration, see its message")
            elif self._crashes.exceeded_by(name):
                self.end(1, f"{name} died again and again")
        self._uwsgi_ended(process)

    def _app_not_loaded(self, process: Any) -> None:
        self._note_first_worker(self.replacement.bank(process.pid))
        if not self._has_served:
            self.end(NO_APP, f"the app in {APP} could not be loaded: see the traceback above")
            return
        process.config.autorestart = False
        pause = self._restart.schedule()
        self.options.logger.error(f"the app can't be loaded any more: uWSGI starts again in {pause} s")

    def _uwsgi_ended(self, process: Any) -> None:
        if process.group.config.name == "uwsgi" and self._is_serving_begun:
            self._note_first_worker(self.replacement.bank(process.pid))
            self.replacement.ended(process)
            self.replacement.release_bank(process.pid)

    def _program_failed(self, event: Any) -> None:
        self.end(1, f"{event.process.config.name} can't be started: {event.process.spawnerr}")

    # --- reload ---

    def reload(self, reason: str) -> None:
        """Replace uWSGI, which loads the app's code again; nginx takes up a renewed certificate."""
        if self.options.mood <= SupervisorStates.SHUTDOWN or not self._is_serving_begun:
            return
        if self._watcher.certificate_has_changed():
            self.options.logger.info("reload: the certificate has changed")
            self._process("nginx").signal(signal.SIGHUP)
        self.replacement.start(reason)

    # --- what the admin program shows ---

    def _publish(self) -> None:
        states = {name: self._process(name).state for name in ("nginx", "uwsgi")}
        self._board.publish(
            {
                "programs": {name: getProcessStateDescription(state).lower() for name, state in states.items()},
                "restarts": {name: max(0, self._starts[name] - 1) for name in states},
                "reloads": self.replacement.results,
                "bank": bank.index if (bank := self.replacement.bank(self._process(CURRENT).pid)) else 0,
                "kills": self._workers.given_up,
                "queue": listeners.queue_length(self._socket.fileno()) if self._socket else None,
            }
        )


def main() -> int:
    """Run the programs of supervisord.ini until a signal or a fault ends them; return the container's exit code."""
    logs.take_over()
    options = Options(values.read())
    options.realize(["--configuration", str(CONFIG / "supervisord.ini")])
    container = Container(options)
    with contextlib.suppress(ExitNow):
        container.main()
    container.pipes.finish(options.values["LOG_FORMAT"] == "text")
    return container.exit_code


if __name__ == "__main__":
    sys.exit(main())
