"""Start of the programs, in this order: log, prestart.sh if the app has one, uWSGI and Nginx, admin, process types."""

import json
import os
from collections import Counter
from typing import Any

from supervisor.states import SupervisorStates

from wsgi_runtime import prestart
from wsgi_runtime.pid1.banks import Banks
from wsgi_runtime.pid1.listeners import Listeners
from wsgi_runtime.pid1.options import Options
from wsgi_runtime.pid1.pipes import Pipes
from wsgi_runtime.pid1.process_types import ProcessTypes
from wsgi_runtime.pid1.shutdown import Shutdown
from wsgi_runtime.scoreboard import SCOREBOARD_FD


class Programs:
    """Starts each program with the sockets, pipes and file descriptors that it inherits."""

    def __init__(
        self, options: Options, groups: dict[str, Any], pipes: Pipes, listeners: Listeners, shutdown: Shutdown
    ) -> None:
        """`groups` are supervisor's process groups by name."""
        self.starts: Counter[str] = Counter()
        """Starts of each program, by its name."""
        self._options = options
        self._groups = groups
        self._pipes = pipes
        self._listeners = listeners
        self._shutdown = shutdown
        self._waits_for_first_worker = True

    def process(self, name: str) -> Any:
        """Return supervisor's process of a program."""
        return self._groups[name].processes[name]

    def start(self) -> None:
        """Start the log program, and then prestart.sh or, without one, the servers."""
        self.process("log").spawn()
        if prestart.is_wanted(self._options.values):
            self.process("prestart").spawn()
        else:
            self._start_servers()

    def prestart_exited(self, exit_code: int) -> None:
        """Start the servers if prestart.sh has succeeded, otherwise end the container; -1 stands for a signal."""
        if self.starts["uwsgi"]:  # someone has run it again: supervisorctl start all
            return
        if exit_code != 0:
            self._shutdown.end(exit_code if exit_code > 0 else 1, "prestart.sh failed")
        elif problem := prestart.static_problem(self._options.values):
            self._shutdown.end(os.EX_CONFIG, problem)
        elif self._options.mood > SupervisorStates.SHUTDOWN:
            self._start_servers()

    def tick(self, banks: Banks, process_types: ProcessTypes) -> None:
        """Start the other programs after the first worker has loaded the app, so that they do not delay the app."""
        if self._waits_for_first_worker and banks.has_served:
            self._waits_for_first_worker = False
            if self._options.values["ADMIN_PORT"] != "0":
                self.process("admin").spawn()
            process_types.start()

    def prepare(self, event: Any) -> None:
        """Handle supervisor's event before it starts a program: set what the program inherits."""
        name, process = event.process.group.config.name, event.process
        self.starts[process.config.name] += 1
        self._options.child_stdout, self._options.child_stderr = self._pipes.of_program(name, process.config.name)
        if name == "nginx":
            process.config.environment = {"NGINX": self._listeners.for_nginx()}
        elif name == "log":
            process.config.environment = {"LOG_PIPES": json.dumps(self._pipes.read_ends)}
        for fd in self._listeners.fds:
            os.set_inheritable(fd, name == "nginx")
        for fd in self._pipes.read_ends.values():
            os.set_inheritable(fd, name == "log")
        os.set_inheritable(SCOREBOARD_FD, name in ("uwsgi", "admin", "log"))

    def _start_servers(self) -> None:
        values = self._options.values
        # One reference more than supervisor's own keeps the socket of a program open while the program is down.
        self._shutdown.sockets = [self._groups[name].socket_manager.get_socket() for name in ("uwsgi", "admin")]
        self._listeners.open(map(int, values["PORTS"].split()), int(values["LISTEN_BACKLOG"]))
        self.process("uwsgi").spawn()
        self.process("nginx").spawn()
