"""Imports the app, run by uWSGI in each worker and in the check before a reload: exit code 22 if that fails.

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

worker = uwsgi.worker_id()  # 0 in the check
marker = f"/run/importing-{worker}"
if worker:
    with open(marker, "a") as attempts:  # noqa: PTH123 - what pathlib imports may be the app's own
        attempts.write(".")
        if attempts.tell() > ATTEMPTS:
            sys.stderr.write(f"routes.py could not be imported {ATTEMPTS} times in a row\n")
            os._exit(22)
try:
    from routes import app  # type: ignore[import-not-found]

    if hasattr(app, "url_defaults") and os.environ["DEBUG"] == "0":
        from runtime import assets

        assets.name_by_content(app)
except BaseException:
    sys.excepthook(*sys.exc_info())
    if worker and os.path.exists(SERVING):  # noqa: PTH110
        # Others serve. What has been imported may be half of a change, which is whole at the next attempt.
        time.sleep(1)
        os._exit(1)
    os._exit(22)
if worker:
    os.rename(marker, SERVING)  # noqa: PTH104
