"""Process 1: `python -m wsgi_runtime` checks, prepares and serves; `python -m wsgi_runtime COMMAND...` becomes that command."""

import os
import signal
import sys
from typing import NoReturn

from wsgi_runtime import logs
from wsgi_runtime.start import limits, nginx_memory, prepare, tls
from wsgi_runtime.start.settings import BadSettings, Settings, load

BAD_SETTINGS = 78
"""EX_CONFIG of sysexits(3)."""


def main() -> NoReturn:
    """Becomes the supervisor if all is well, and ends with BAD_SETTINGS if not."""
    logs.take_over()
    problems = prepare.leave_root()
    try:
        settings = load()
    except BadSettings as error:
        problems += error.problems
        settings = Settings.model_construct()  # the defaults stand in, so that the rest can be checked too
    limit = limits.read()
    named = prepare.values(settings, limit)
    problems += prepare.unknown_placeholders(named) + prepare.unheeded(settings) + prepare.uwsgi_variables()
    if settings.TLS_CERT and settings.TLS_KEY:
        problems += tls.problem(settings.TLS_CERT, settings.TLS_KEY)
    problems += nginx_memory.max_body_problem(
        settings.MAX_BODY_SIZE, settings.max_body_bytes, limit.memory, nginx_memory.spool()
    )
    for name in prepare.ports(named):
        problems = problems or prepare.port_problem(name, int(named[name]))
    if not problems:
        prepare.render(settings, named)  # looks where the settings come from
        os.environ.update(named)
        problems = prepare.nginx_problem()
    if problems:
        logs.write("critical", "supervisord", "not started: " + "; ".join(problems))
        sys.exit(BAD_SETTINGS)

    if settings.LOG_LEVEL in ("debug", "info"):
        each = f"{settings.ASYNC} greenlets" if settings.ASYNC else f"{settings.THREADS} threads"
        if named["WORKER_MEMORY"] != "0":
            each += f", replaced at {named['WORKER_MEMORY']} MB ({settings.WORKER_MEMORY}),"
        logs.write(
            "info",
            "supervisord",
            f"profile {settings.PROFILE}, port {settings.PORT}, "
            f"{named['WEB_CONCURRENCY']} processes ({settings.WEB_CONCURRENCY}) of {each} for "
            f"{limit.cpus:g} CPUs ({limit.cpus_from}) and {limit.memory >> 20} MB ({limit.memory_from})",
        )
    # A fresh interpreter: without the settings' libraries process 1 takes half the memory.
    os.execv(sys.executable, [sys.executable, "-I", "-m", "wsgi_runtime.pid1.supervise"])


def become(command: list[str]) -> NoReturn:
    """Runs a command of the user's instead, as in `docker run wsgi sh`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    if sys.argv[1:]:
        become(sys.argv[1:])
    main()
