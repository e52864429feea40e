"""Imports the app, run by uWSGI in each worker and in the check before a reload: exit code 22 if that fails.

uWSGI calls the `app` of this file, which is the app's own with its requests known to the log (runtime/app_logs.py).

uWSGI itself takes a SystemExit, or a crash in C, for the end of a worker like any other, and would start the next one.
"""

import os
import sys
import time

import uwsgi  # type: ignore[import-untyped]

ATTEMPTS = 3
"""After so many in a row a worker doesn't try again."""

SERVING = "/run/serving"
"""There is one since a worker of this uWSGI has imported the app."""


def set_up_logs():  # type: ignore[no-untyped-def]
    """Imports our module for it, and nothing of the app's that has the name of what that needs; returns both."""
    before, path, app = set(sys.modules), sys.path[:], os.getcwd()  # noqa: PTH109
    sys.path[:] = [folder for folder in path if os.path.abspath(folder) != app]  # noqa: PTH100
    sys.path.insert(0, "/opt/wsgi/runtime")
    from wsgi_runtime import values
    from wsgi_runtime.worker import app_logs

    settings = values.read()
    app_logs.set_up(settings["LOG_LEVEL"])
    sys.path[:] = path
    # The app gets its own, whatever they are called.
    names = {file.partition(".")[0] for file in os.listdir(app)}  # noqa: PTH208
    for imported in set(sys.modules) - before:
        if imported.partition(".")[0] in names:
            del sys.modules[imported]
    return app_logs, settings


worker = uwsgi.worker_id()  # 0 in the check
# Workers of a killed master may import, too.
marker = f"/run/importing-{uwsgi.masterpid()}-{worker}"
if worker:
    with open(marker, "a") as attempts:  # noqa: PTH123 - what pathlib imports may be the app's own
        attempts.write(".")
        if attempts.tell() > ATTEMPTS:
            sys.stderr.write(f"routes.py could not be imported {ATTEMPTS} times in a row\n")
            os._exit(22)
app_logs, settings = set_up_logs()  # type: ignore[no-untyped-call]
try:
    from routes import app  # type: ignore[import-not-found]

    if hasattr(app, "url_defaults") and settings["DEBUG"] == "0":
        from wsgi_runtime.build import assets

        assets.name_by_content(app)
    app = app_logs.serve(app)
except BaseException:
    sys.excepthook(*sys.exc_info())
    if worker and os.path.exists(SERVING):  # noqa: PTH110
        # Others serve. What has been imported may be half of a change, which is whole at the next attempt.
        time.sleep(1)
        os._exit(1)
    os._exit(22)
if worker and os.path.exists(marker):  # noqa: PTH110 - else another uWSGI has begun
    os.rename(marker, SERVING)  # noqa: PTH104
