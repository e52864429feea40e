"""Imports the app, run by uWSGI in each worker and in the check before a reload: exit code 22 if that fails.

uWSGI itself takes a SystemExit, or a crash in C, for the end of a worker like any other, and would start the next one.
"""

import os
import sys

import uwsgi  # type: ignore[import-untyped]

CRASHES = 3
"""After so many in a row a worker doesn't try again."""

worker = uwsgi.worker_id()  # 0 in the check
marker = f"/run/importing-{worker}"
if worker:
    with open(marker, "a") as attempts:  # noqa: PTH123 - what pathlib imports may be the app's own
        attempts.write(".")
        if attempts.tell() > CRASHES:
            sys.stderr.write(f"routes.py has crashed {CRASHES} times while it was imported\n")
            os._exit(22)
try:
    from routes import app  # type: ignore[import-not-found]  # noqa: F401
except BaseException:
    sys.excepthook(*sys.exc_info())
    os._exit(22)
if worker:
    os.unlink(marker)  # noqa: PTH108
