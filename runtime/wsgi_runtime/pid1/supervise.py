"""supervisord as process 1: its own Supervisor class, with an exit code that is true.

What is added: programs start at once instead of after its first poll, signals are seen at once, a program that
dies again and again ends the container, HUP reloads the app's code, and in development so does an edit.
"""

import contextlib
import math
import os
import signal
import sys
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import Any, ClassVar

from supervisor import events, loggers
from supervisor.http import LogWrapper
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates, SupervisorStates, getProcessStateDescription
from supervisor.supervisord import Supervisor

from wsgi_runtime import APP, CONFIG, RUN, logs
from wsgi_runtime.pid1 import sockets
from wsgi_runtime.admin.server import Admin
from wsgi_runtime.pid1.deadline import Deadline, read_stats
from wsgi_runtime.pid1.dispatcher import Dispatcher
from wsgi_runtime.admin.metrics import Lines, Metrics

NO_APP = 22
"""uWSGI's exit code when the app does not import."""

DEATHS, WINDOW = 4, 20
"""A program that dies this often within so many seconds ends the container."""

FIRST_REQUEST = 0.5
"""Seconds that a client may take from its connection to its request at a stop."""

REPEAT = 0.5
"""Seconds between a stop signal and its repetition."""

FAST = 0.1
"""Seconds a turn of the main loop while something is waited for."""


class Options(ServerOptions):  # type: ignore[misc]
    """supervisord's options, with our log."""

    first = True
    test = False

    child_stdout = child_stderr = -1
    """What the next program gets."""

    def make_logger(self) -> None:
        """supervisord's own lines go where everyone's go."""
        level = os.environ["LOG_LEVEL"]
        self.logger = loggers.Logger(loggers.getLevelNumByDescription({"warning": "warn"}.get(level, level)), [Log()])

    def usage(self, msg: str) -> None:
        """Ends the container: supervisord.ini is wrong."""
        logs.write("critical", "supervisord", f"not started: supervisord.ini: {msg}")
        sys.exit(os.EX_CONFIG)

    def make_pipes(self, stderr: bool = True) -> dict[str, int | None]:
        """Gives a program ends of our own pipes, which supervisor will close; there is nothing for it to read."""
        return {
            "child_stdin": os.open(os.devnull, os.O_RDONLY),
            "child_stdout": os.dup(self.child_stdout),
            "child_stderr": os.dup(self.child_stderr) if stderr else None,
            "stdin": None,
            "stdout": None,
            "stderr": None,
        }


class Log(loggers.Handler):  # type: ignore[misc]
    """What supervisord says, as lines of the container's log."""

    level = loggers.LevelsByName.DEBG
    levels: ClassVar = {"CRIT": "critical", "ERRO": "error", "WARN": "warning", "INFO": "info"}

    def emit(self, record: Any) -> None:
        """Logs one of its messages, which are formatted by then or have values beside them."""
        message = record.msg % record.kw if record.kw else record.msg
        if "without any HTTP authentication" in message:  # its socket's mode is what keeps others out
            return
        logs.write(self.levels.get(record.asdict()["levelname"], "debug"), "supervisord", message)

    def close(self) -> None:
        """There is nothing of its own to close."""


class Container(Supervisor):  # type: ignore[misc]
    """supervisord, but its end is the container's end and has a reason."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.exit_code = 0
        self._grace_period = int(os.environ["GRACE_PERIOD"])
        self._stop_delay = int(os.environ["STOP_DELAY"])
        self._stop_at = math.inf
        self._closing_since = self._last_arrival = math.inf
        self._kill_at = math.inf
        self._repeat_at = math.inf
        self._listening: list[int] = []
        self._deadline = Deadline(int(os.environ["REQUEST_TIMEOUT"]), self._grace_period)
        self._metrics = Metrics()
        self._counted: dict[int, Lines] = {}
        self._look_at = 0.0
        self._wakeup = Wakeup()
        app, uwsgi = logs.Pipe(logs.app), logs.Pipe(self._uwsgi_said)
        self._outputs = {
            "nginx": (logs.Pipe(logs.access), logs.Pipe(logs.nginx_error)),
            "uwsgi": (app, uwsgi),
            "check": (app, uwsgi),
            "prestart": (app, app),
        }
        self._deaths: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=DEATHS))
        self._orphans: dict[int, tuple[float, int]] = {}
        self._reloading = False
        self._replacing = False
        self._reload_again = False
        self._watched = _edited() if os.environ["DEBUG"] == "1" else None
        self._certificate = _changed(os.environ.get("TLS_CERT"), os.environ.get("TLS_KEY"))

    # --- supervisor's own hooks ---

    def runforever(self) -> None:
        """The main loop."""
        events.subscribe(events.SupervisorRunningEvent, self._start)
        events.subscribe(events.SupervisorStoppingEvent, self._stop)
        events.subscribe(events.ProcessStateStartingEvent, self._program_starts)
        events.subscribe(events.ProcessStateStoppedEvent, self._program_stopped)
        events.subscribe(events.ProcessStateExitedEvent, self._program_exited)
        events.subscribe(events.ProcessStateFatalEvent, self._program_failed)
        super().runforever()

    def get_process_map(self) -> dict[int, Any]:
        """What the poll of the main loop waits for."""
        outputs = {pipe.fd: pipe for pipes in self._outputs.values() for pipe in pipes}
        return {**super().get_process_map(), **outputs, **self._counted, self._wakeup.fd: self._wakeup}

    def handle_signal(self) -> None:
        """HUP reloads the app; INT, QUIT and TERM stop the container."""
        received = self.options.get_signal()
        if received == signal.SIGHUP:
            self.reload()
        elif received in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            self._asked_to_stop(signal.Signals(received).name)

    def tick(self, now: float | None = None) -> None:
        """What has to be looked at about once a second."""
        super().tick(now)
        if time.monotonic() >= self._stop_at:
            self._close()
        for group, (deadline, stopsignal) in list(self._orphans.items()):
            late = time.monotonic() > deadline
            # Again, as who was still starting forgot the first.
            if not _signal_group(group, signal.SIGKILL if late else stopsignal) or late:
                del self._orphans[group]
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + 1
            self._look_at_workers()
        if self.stopping:
            self._repeat_stop_signals()
        if self._watched is not None:
            before, self._watched = self._watched, _edited()
            if before != self._watched:
                self.reload()
        if self._replacing:
            self._tell_uwsgi("\n")
        if self._reload_again and not self._reloading:
            self._reload_again = False
            self.reload()

    def _look_at_workers(self) -> None:
        stats = read_stats()
        late = self._deadline.enforce(stats)
        self._metrics.kills += len({pid for pid, _, _ in late})
        for _, said, request_id in late:
            logs.write("error", "supervisord", said, request_id=request_id)
        self._metrics.look(stats)

    # --- start ---

    def _start(self, event: Any) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        if os.environ["ADMIN_PORT"] != "0":
            lines = Lines(self._metrics)
            self._counted = {lines.fd: lines}
            Admin(self._metrics, self._deadline, self.state, LogWrapper(self.options.logger))
        if (APP / "prestart.sh").exists():
            self._hold(True)
            self._process("prestart").spawn()
        else:
            self._serve()

    def _serve(self) -> None:
        # One reference more than supervisor's own keeps uWSGI's listening socket open while uWSGI is away.
        self._socket = self.process_groups["uwsgi"].socket_manager.get_socket()
        backlog = int(os.environ["LISTEN_BACKLOG"])
        for port in os.environ["PORTS"].split():
            self._listening += sockets.listen(int(port), backlog)
        self._process("nginx").config.environment = {"NGINX": "".join(f"{fd};" for fd in self._listening)}
        self._hold(False)
        for group in sorted(self.process_groups.values()):
            group.transition()
        self._set_pace()

    def _hold(self, held: bool) -> None:
        for name in "uwsgi", "nginx":
            self._process(name).config.autostart = not held

    def _process(self, name: str) -> Any:
        return self.process_groups[name].processes[name]

    def _program_starts(self, event: Any) -> None:
        """A program gets its pipes, nginx alone the listening sockets; uWSGI begins to count (runtime/load.py)."""
        name = event.process.config.name
        output, error = self._outputs[name]
        self.options.child_stdout, self.options.child_stderr = output.write_end, error.write_end
        self._metrics.starts[name] += 1
        for fd in self._listening:
            os.set_inheritable(fd, name == "nginx")
        if name == "uwsgi":
            for left_over in [RUN / "serving", *RUN.glob("importing-*")]:
                left_over.unlink(missing_ok=True)

    # --- stop ---

    def end(self, exit_code: int, reason: str) -> None:
        """Stops the container, which returns `exit_code`."""
        if self.options.mood > SupervisorStates.SHUTDOWN:
            self.options.logger.critical(f"{reason}: the container ends with exit code {exit_code}")
            self.exit_code = exit_code
            # Who waits for uWSGI waits in vain: without the socket nginx can tell them so and go.
            self._socket = None
            self.options.mood = SupervisorStates.SHUTDOWN

    def _asked_to_stop(self, asked_by: str) -> None:
        """Health says 503 from now on; the stop itself begins after STOP_DELAY, or at once when asked again."""
        (RUN / "stopping").touch()
        delay = self._stop_delay if self._stop_at == math.inf else 0
        self.options.logger.info(f"{asked_by}: stopping" + (f" in {delay} s" if delay else ""))
        self._stop_at = time.monotonic() + delay
        self._set_pace()

    def _close(self) -> None:
        """Lets in no new connection, but waits until nginx has a request from each that there is; then all stops.

        nginx resets what it has not accepted, or got no request from yet, although the client has been let in.
        """
        now = time.monotonic()
        if self._closing_since == math.inf:
            self._closing_since = now
            self._kill_at = now + self._grace_period
            for fd in self._listening:
                sockets.refuse_new_connections(fd)
            self._set_pace()
            self._last_arrival = now
        if any(map(sockets.connections_to_accept, self._listening)):
            self._last_arrival = now
        if now - self._last_arrival >= FIRST_REQUEST or now - self._closing_since >= self._grace_period / 2:
            self.options.mood = SupervisorStates.SHUTDOWN

    def _stop(self, event: Any) -> None:
        self._kill_at = min(self._kill_at, time.monotonic() + self._grace_period)
        self._share_what_is_left()
        self._repeat_at = time.monotonic() + REPEAT
        for fd in self._listening:
            os.close(fd)
        self._listening = []
        self._set_pace()

    def _repeat_stop_signals(self) -> None:
        """nginx, and a uWSGI worker that still imports the app, forget a stop signal that comes while they start."""
        if time.monotonic() < self._repeat_at:
            return
        self._repeat_at = time.monotonic() + REPEAT
        for group in self.process_groups.values():
            for process in group.processes.values():
                if process.state == ProcessStates.STOPPING:
                    with contextlib.suppress(OSError):
                        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                        for pid in (process.pid, *map(int, children)):
                            os.kill(pid, process.config.stopsignal)

    def _program_stopped(self, event: Any) -> None:
        self._log_what_is_left(event.process.config.name)
        self._share_what_is_left()

    def _share_what_is_left(self) -> None:
        """Whoever stops next has what is left of the grace period."""
        for group in self.process_groups.values():
            for process in group.processes.values():
                process.config.stopwaitsecs = max(FAST, min(self._kill_at - time.monotonic(), self._grace_period))

    # --- death ---

    def _program_exited(self, event: Any) -> None:
        process = event.process
        name, exit_code = process.config.name, process.exitstatus
        if name in ("nginx", "uwsgi"):
            # What a dead master leaves finishes its requests and goes, as at a stop.
            _signal_group(process.pid, process.config.stopsignal)
        self._log_what_is_left(name)
        if name == "check":
            self._checked(exit_code)
        elif name == "prestart":
            self._prestarted(exit_code)
        else:
            self._orphans[process.pid] = time.monotonic() + self._grace_period, process.config.stopsignal
            self._count_death(name, exit_code)

    def _count_death(self, name: str, exit_code: int) -> None:
        if name == "uwsgi" and self._reloading:
            self._reloaded()
        deaths = self._deaths[name]
        deaths.append(time.monotonic())
        if name == "uwsgi" and exit_code == NO_APP:
            self.end(NO_APP, f"routes.py in {APP} could not be imported, or binds no app")
        elif len(deaths) == DEATHS and deaths[-1] - deaths[0] < WINDOW:
            self.end(1, f"{name} died {DEATHS} times within {WINDOW} s")

    def _program_failed(self, event: Any) -> None:
        self.end(1, f"{event.process.config.name} can't be started: {event.process.spawnerr}")

    def _prestarted(self, exit_code: int) -> None:
        if exit_code == 0:
            self._serve()
        else:
            self.end(exit_code if exit_code > 0 else 1, "prestart.sh failed")

    # --- reload ---

    def reload(self) -> None:
        """Tries the new code in a process of its own; if it imports, uWSGI replaces its workers one by one."""
        if self.options.mood <= SupervisorStates.SHUTDOWN or not self._process("uwsgi").pid:
            return
        self._renew_certificate()
        if self._reloading:
            self._reload_again = True
            return
        self._reloading = True
        self.options.logger.info("reload: importing the new code")
        self._set_pace()
        self._process("check").spawn()

    def _renew_certificate(self) -> None:
        """nginx reads its files anew, with the certificate; if that doesn't fit, it says so and keeps what it has."""
        before, self._certificate = self._certificate, _changed(os.environ.get("TLS_CERT"), os.environ.get("TLS_KEY"))
        if before != self._certificate:
            self.options.logger.info("reload: the certificate has changed")
            self._process("nginx").signal(signal.SIGHUP)

    def _checked(self, exit_code: int) -> None:
        self._metrics.reloads["failure" if exit_code else "success"] += 1
        if exit_code == 0:
            self.options.logger.info("reload: the new code imports, workers are replaced one by one")
            # Nothing is told before: after each word uWSGI makes its fifo anew, and another one just then is lost.
            self._replacing = True
            self._tell_uwsgi("c")
        else:
            self.options.logger.error("reload: the new code does not import, the old code keeps serving")
            self._reloaded()

    def _reloaded(self) -> None:
        self._reloading = self._replacing = False
        self._set_pace()

    def _tell_uwsgi(self, command: str) -> None:
        """Writes to uWSGI's master-fifo; a line's end is no command, but lets the master look after its workers."""
        with contextlib.suppress(OSError):  # it is away, and will start with the new code
            fifo = os.open(RUN / "uwsgi.fifo", os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(fifo, command.encode())
            finally:
                os.close(fifo)

    def _set_pace(self) -> None:
        """The main loop, and uWSGI's, turn once a second: too slow for a reload, for a stop and for who edits."""
        closing = self.stopping or self._stop_at < math.inf
        reloading = self._reloading or self._reload_again
        pace = FAST if reloading or closing or self._watched is not None else 0
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, pace, pace)

    # --- what others want to know ---

    def state(self) -> dict[str, Any]:
        """How the programs are, and how many requests wait for a worker."""
        states = {name: self._process(name).state for name in ("nginx", "uwsgi")}
        return {
            "programs": {name: getProcessStateDescription(state).lower() for name, state in states.items()},
            "queue": sockets.requests_to_take(self._socket.fileno()) if self._socket else None,
        }

    # --- what programs print ---

    def _uwsgi_said(self, said: bytes) -> bytes:
        if self._replacing and said.endswith(b"chain reloading complete"):
            self._reloaded()
        return logs.uwsgi(said)

    def _log_what_is_left(self, name: str) -> None:
        for pipe in self._outputs[name]:
            pipe.drain()

    def finish_logs(self) -> None:
        """Logs what has no end of a line, too."""
        for pipes in self._outputs.values():
            for pipe in pipes:
                pipe.finish()


class Wakeup(Dispatcher):
    """A pipe that Python writes to at each signal, so that a poll ends at once (signal.set_wakeup_fd).

    Since PEP 475 a signal alone doesn't end it.
    """

    def __init__(self) -> None:
        self.fd, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)

    def handle_read_event(self) -> None:
        """Empties the pipe; what the signals meant is known elsewhere."""
        os.read(self.fd, 4096)


def _signal_group(group: int, number: int) -> bool:
    """Whether there is anyone left who got it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
        return True
    return False


def _changed(*files: str | None) -> list[int]:
    """When each of these was last changed."""
    return [os.stat(file).st_mtime_ns for file in files if file and os.path.exists(file)]  # noqa: PTH110, PTH116


def _edited() -> dict[Path, int]:
    """When each .py file of the app was last changed; hidden folders are not the app's code."""
    changed = {}
    for folder, folders, files in APP.walk():
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (folder / name for name in files if name.endswith(".py")):
            with contextlib.suppress(OSError):  # an editor replaces files
                changed[path] = path.stat().st_mtime_ns
    return changed


def main() -> int:
    """Runs the programs of supervisord.ini until a signal or a fault ends them; returns the container's exit code."""
    logs.take_over()
    options = Options()
    options.realize(["--configuration", str(CONFIG / "supervisord.ini")])
    container = Container(options)
    with contextlib.suppress(ExitNow):
        container.main()
    container.finish_logs()
    return container.exit_code


if __name__ == "__main__":
    sys.exit(main())
