"""Process 1: `python -m runtime` checks, prepares and serves; `python -m runtime COMMAND...` becomes that command."""

import os
import sys

from runtime import limits, logs, prepare
from runtime.settings import BadSettings, Settings, load

BAD_SETTINGS = 78
"""EX_CONFIG of sysexits(3)."""


def main() -> int:
    """Becomes the supervisor if all is well; returns the container's exit code if not."""
    problems = prepare.leave_root()
    try:
        settings = load()
    except BadSettings as error:
        problems += error.problems
        settings = Settings.model_construct()  # the defaults stand in, so that the rest can be checked too
    limit = limits.read()
    named = prepare.values(settings, limit)
    problems += prepare.unknown_placeholders(named) + prepare.uwsgi_variables()
    problems = problems or prepare.port_problem(settings.PORT)
    if problems:
        logs.write("critical", "supervisord", "not started, because " + "; ".join(problems))
        return BAD_SETTINGS

    os.environ.update(named)
    prepare.render(named)
    logs.write(
        "info",
        "supervisord",
        f"profile {settings.PROFILE}, port {settings.PORT}, "
        f"{named['WEB_CONCURRENCY']} processes ({settings.WEB_CONCURRENCY}) of {settings.THREADS} threads for "
        f"{limit.cpus:g} CPUs ({limit.cpus_from}) and {limit.memory >> 20} MB ({limit.memory_from})",
    )
    # A fresh interpreter: without the settings' libraries process 1 takes half the memory.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "runtime.supervise"])


if __name__ == "__main__":
    if sys.argv[1:]:
        try:
            os.execvp(sys.argv[1], sys.argv[1:])
        except OSError as error:
            sys.exit(f"{sys.argv[1]}: {error.strerror}")
    sys.exit(main())
