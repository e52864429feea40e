"""supervisord's options: the pace of its main loop, the environment of its programs, and its log."""

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, ClassVar

from supervisor import loggers
from supervisor.options import ServerOptions
from supervisor.poller import Poller

from wsgi_runtime import environment, logs

APP_PROGRAMS = "uwsgi", "prestart"
"""Programs that run the app's code get the app's environment."""

OOM_SCORES = {"uwsgi-next": 700, "uwsgi": 500, "prestart": 500, "admin": 400, "nginx": 100, "log": 0}
"""oom_score_adj (proc(5)) by process name: out of memory, the kernel kills the highest score first. PID 1 has 0."""

PROCESS_TYPE_OOM_SCORE = 600
"""oom_score_adj of the other processes: those of the Procfile."""


class PacedPoller(Poller):  # type: ignore[misc]
    """The poll of supervisor's main loop, which otherwise turns once a second, even if a signal comes."""

    seconds = 0.0
    """Longest wait. The first turn does not wait: uWSGI's workers wait for its tick."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        # Since PEP 475 a signal does not end a poll. Python writes a byte to this pipe at each signal.
        self._wakeup, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self.register_readable(self._wakeup)

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        """Wait for at most `timeout` or `self.seconds`, and at most until the next signal."""
        readable, writable = super().poll(min(timeout, self.seconds))
        if self._wakeup in readable:
            os.read(self._wakeup, 4096)
            readable.remove(self._wakeup)
        return readable, writable


class Options(ServerOptions):  # type: ignore[misc]
    """supervisord's options, with our log, pipes and environment."""

    first = True
    test = False

    child_stdout = child_stderr = -1
    """Standard output and standard error of the next program."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__()
        self.values = values
        self.environ_expansions = {f"ENV_{name}": value for name, value in values.items()}
        self.poller = PacedPoller(self)

    def make_logger(self) -> None:
        """Send supervisord's own messages to the container's log."""
        level = self.values["LOG_LEVEL"]
        self.logger = loggers.Logger(loggers.getLevelNumByDescription({"warning": "warn"}.get(level, level)), [Log()])

    def usage(self, msg: str) -> None:
        """End the container: supervisord.ini is wrong."""
        logs.write("critical", "supervisord", f"startup failed: supervisord.ini: {msg}")
        sys.exit(os.EX_CONFIG)

    def make_pipes(self, stderr: bool = True) -> dict[str, int | None]:
        """Give a program ends of our own pipes, which supervisor will close. Its standard input is empty."""
        return {
            "child_stdin": os.open(os.devnull, os.O_RDONLY),
            "child_stdout": os.dup(self.child_stdout),
            "child_stderr": os.dup(self.child_stderr) if stderr else None,
            "stdin": None,
            "stdout": None,
            "stderr": None,
        }

    def execve(self, filename: str, argv: list[str], env: dict[str, str]) -> None:
        """Replace the child process by a program."""
        name = env["SUPERVISOR_PROCESS_NAME"]
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORES.get(name, PROCESS_TYPE_OOM_SCORE)))
        if name.partition("-")[0] in APP_PROGRAMS:
            env = environment.for_app(os.environ, self.values)
        os.execve(filename, argv, {name: value for name, value in env.items() if not name.startswith("SUPERVISOR_")})


class Log(loggers.Handler):  # type: ignore[misc]
    """Writes supervisord's messages as lines of the container's log."""

    level = loggers.LevelsByName.DEBG
    levels: ClassVar = {"CRIT": "critical", "ERRO": "error", "WARN": "warning", "INFO": "info"}

    def emit(self, record: Any) -> None:
        """Log one message. It is formatted already, unless the record has values beside it."""
        message = record.msg % record.kw if record.kw else record.msg
        if "without any HTTP authentication" in message:  # file permissions protect the socket
            return
        logs.write(self.levels.get(record.asdict()["levelname"], "debug"), "supervisord", message)
