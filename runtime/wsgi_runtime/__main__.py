"""The container's entry point: it starts PID 1, or runs COMMAND instead if there is one (docker run IMAGE COMMAND).

`run TYPE` runs a process type of the Procfile instead of PID 1's programs.

All checks run before any program starts, so that a container with bad settings exits at once.
"""

import os
import signal
import sys
from typing import NoReturn

from wsgi_runtime import APP, CONFIG, HEALTH, __version__, environment, logs, procfile
from wsgi_runtime.start import checks, computed, files, limits, nginx_memory, other_servers, tls
from wsgi_runtime.start.load import BadSettings, load
from wsgi_runtime.start.settings import Settings
from wsgi_runtime.worker import find

BAD_SETTINGS = 78
"""EX_CONFIG of sysexits(3)."""


def main() -> NoReturn:
    """Run the checks, write the configuration files, and become PID 1. Exit with BAD_SETTINGS if a check fails."""
    environ = dict(os.environ)
    settings, problems = check_settings()
    limit = limits.read()
    named = computed.values(settings, limit)
    app_environ = environment.for_app(environ, named)
    problems += files.unknown_placeholders(named, app_environ) + checks.ignored_settings(settings)
    problems += checks.uwsgi_variables(app_environ) + checks.tiangolo_problems(environ, settings)
    problems += checks.preload_problems(app_environ, settings)
    if settings.TLS_CERT and settings.TLS_KEY:
        problems += tls.problem(settings.TLS_CERT, settings.TLS_KEY)
    problems += nginx_memory.max_body_problem(
        settings.MAX_BODY_SIZE, settings.max_body_bytes, limit.memory, nginx_memory.spool()
    )
    for name in computed.ports(named):
        problems = problems or checks.port_problem(name, int(named[name]))
    problems = problems or files.render(settings, named) or checks.nginx_problem()
    exit_with(problems)

    if settings.LOG_LEVEL in ("debug", "info"):
        each = f"{settings.GREENLETS} greenlets" if settings.GREENLETS else f"{settings.THREADS} threads"
        growth = f", WORKER_MEMORY {named['WORKER_MEMORY']} MB" if named["WORKER_MEMORY"] != "0" else ""
        logs.write(
            "info",
            "supervisord",
            f"template {__version__}, profile {settings.PROFILE}, port {settings.PORT}, "
            f"{named['WEB_PROCESSES']} processes ({settings.PROCESSES}) of {each}{growth}, "
            f"{limit.cpus:g} CPUs ({limit.cpus_from}), {limit.memory >> 20} MB ({limit.memory_from})",
        )
    if settings.LOG_LEVEL in ("debug", "info", "warning"):
        for warning in other_servers.warnings(environ):
            logs.write("warning", "supervisord", warning)
    # A new interpreter, without the libraries of the settings, halves the memory of PID 1.
    os.execve(sys.executable, [sys.executable, "-I", "-m", "wsgi_runtime.pid1.supervise"], environ)


def check_settings() -> tuple[Settings, list[str]]:
    """Drop privileges, and return the settings with the problems that any container can have."""
    logs.take_over()
    problems = checks.drop_privileges() + checks.folder_problems()
    try:
        settings = load()
    except BadSettings as error:
        problems += error.problems
        settings = error.settings
    logs.text_format = settings.LOG_FORMAT == "text"
    return settings, [*problems, *environment.from_files(os.environ)[1].values()]


def exit_with(problems: list[str]) -> None:
    """Log the problems, if there are any, and exit with BAD_SETTINGS."""
    if problems:
        logs.write("critical", "supervisord", "startup failed: " + "; ".join(dict.fromkeys(problems)))
        sys.exit(BAD_SETTINGS)


def run_process_type(name: str) -> NoReturn:
    """Run a process type of the Procfile alone, as in `docker run wsgi run worker`.

    Exit with BAD_SETTINGS if a check fails. PID 1 is tini, because the kernel drops signals that PID 1 does not handle.
    If SIGTERM ends the process, the exit code is 0, otherwise that of the process.
    """
    settings, problems = check_settings()
    if name == procfile.WEB:
        problems.append(f"{name} is served by uWSGI: run the image without a command")
    exit_with(problems)
    HEALTH.write_text(str(os.getpid()))
    environ = environment.for_app({**os.environ, **settings.profile_secrets()}, settings.values())
    environment.execute(["/usr/bin/tini", "-s", "-e", "143", "--", str(CONFIG / "runtime/bin/run"), name], environ)


def run(command: list[str]) -> NoReturn:
    """Become `command`, with the app's environment, as in `docker run wsgi sh`.

    Bad settings are reported but do not stop the command: a shell helps to find their cause.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    try:
        settings = load()
    except BadSettings as error:
        print("warning: " + "; ".join(error.problems), file=sys.stderr)
        settings = error.settings
    for problem in environment.from_files(os.environ)[1].values():
        print(f"warning: {problem}", file=sys.stderr)
    environ = environment.for_app({**os.environ, **settings.profile_secrets()}, settings.values())
    environment.execute(command, find.for_flask(command, settings.APP, APP) | environ)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["run", name] if name == procfile.WEB or name in procfile.read():
            run_process_type(name)
        case [_, *_] as command:
            run(command)
    main()
