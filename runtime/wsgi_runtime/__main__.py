"""The container's entry point: `python -m wsgi_runtime` starts PID 1, with COMMAND... it runs that command instead.

Startup checks everything before a program starts, so that a container with bad settings ends at once.
"""

import os
import signal
import sys
from typing import NoReturn

from wsgi_runtime import environment, logs
from wsgi_runtime.start import checks, computed, files, limits, nginx_memory, tls
from wsgi_runtime.start.load import BadSettings, load
from wsgi_runtime.start.settings import Settings

BAD_SETTINGS = 78
"""EX_CONFIG of sysexits(3)."""


def main() -> NoReturn:
    """Replace this process by the supervisor. Exits with BAD_SETTINGS if a check fails."""
    environ = dict(os.environ)
    logs.take_over()
    problems = checks.drop_privileges() + checks.folder_problems()
    try:
        settings = load()
    except BadSettings as error:
        problems += error.problems
        settings = Settings.model_construct()  # the other checks run with the defaults
    os.environ["LOG_FORMAT"] = settings.LOG_FORMAT  # for the lines that this process logs
    limit = limits.read()
    named = computed.values(settings, limit)
    app_environ = environment.for_app(environ, named)
    problems += files.unknown_placeholders(named, app_environ) + checks.ignored_settings(settings)
    problems += checks.uwsgi_variables(app_environ)
    if settings.TLS_CERT and settings.TLS_KEY:
        problems += tls.problem(settings.TLS_CERT, settings.TLS_KEY)
    problems += nginx_memory.max_body_problem(
        settings.MAX_BODY_SIZE, settings.max_body_bytes, limit.memory, nginx_memory.spool()
    )
    for name in computed.ports(named):
        problems = problems or checks.port_problem(name, int(named[name]))
    problems = problems or files.render(settings, named) or checks.nginx_problem()
    if problems:
        logs.write("critical", "supervisord", "startup failed: " + "; ".join(problems))
        sys.exit(BAD_SETTINGS)

    if settings.LOG_LEVEL in ("debug", "info"):
        each = f"{settings.GREENLETS} greenlets" if settings.GREENLETS else f"{settings.THREADS} threads"
        if named["WORKER_MEMORY"] != "0":
            each += f", each may grow by {named['WORKER_MEMORY']} MB ({settings.WORKER_MEMORY}),"
        logs.write(
            "info",
            "supervisord",
            f"profile {settings.PROFILE}, port {settings.PORT}, "
            f"{named['PROCESSES']} processes ({settings.PROCESSES}) of {each} for "
            f"{limit.cpus:g} CPUs ({limit.cpus_from}) and {limit.memory >> 20} MB ({limit.memory_from})",
        )
    # A new interpreter without the libraries of the settings: PID 1 takes half the memory.
    os.execve(sys.executable, [sys.executable, "-I", "-m", "wsgi_runtime.pid1.supervise"], environ)


def run(command: list[str]) -> NoReturn:
    """Replace this process by `command` with the app's environment, as in `docker run wsgi sh`.

    Bad settings are reported and do not stop the command: a shell helps to find their cause.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    try:
        settings = load()
    except BadSettings as error:
        print("warning: " + "; ".join(error.problems), file=sys.stderr)
        settings = Settings.model_construct()
    environ = environment.for_app({**os.environ, **settings.profile_secrets()}, settings.values())
    environment.execute(command, environ)


if __name__ == "__main__":
    if sys.argv[1:]:
        run(sys.argv[1:])
    main()
