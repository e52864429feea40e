"""Run by uWSGI in a process of its own before a reload: exit code 0 if the app imports, else 22, as uWSGI has it."""

import os
import traceback

try:
    from routes import app  # type: ignore[import-not-found]  # noqa: F401
except BaseException:  # an app may raise SystemExit, too
    traceback.print_exc()
    os._exit(22)
os._exit(0)
