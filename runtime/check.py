"""Run by uWSGI in a process of its own before a reload: exit code 0 if the app imports, else 22, as uWSGI has it."""

import os
import sys

try:
    from routes import app  # type: ignore[import-not-found]  # noqa: F401
except BaseException:  # an app may raise SystemExit, too
    # Not the traceback module: what that imports may be the app's own by now.
    sys.excepthook(*sys.exc_info())
    os._exit(22)
os._exit(0)
