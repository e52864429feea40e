"""Run by uWSGI in each worker before the app is imported: prepares libraries for metrics, if the app uses them.

Nothing is imported that the app doesn't import: who has no Flask, or no metrics, pays for none.
"""

import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

import uwsgi  # type: ignore[import-untyped]


class AfterImport:
    """A finder of modules (sys.meta_path) that calls a function with a module once that has been imported."""

    def __init__(self, functions: dict[str, Callable[[Any], None]]) -> None:
        self.functions = functions

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """What the import system asks; None: not mine."""
        spec = PathFinder.find_spec(name, path) if name in self.functions else None
        if spec and spec.loader:
            load: Any = spec.loader
            execute = load.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                self.functions[name](module)

            load.exec_module = exec_module
        return spec


def name_endpoints(_: Any) -> None:
    """Has Flask tell nginx, in a header, which endpoint answered, and which exception it met; nginx takes it out."""
    from flask.globals import request
    from flask.signals import got_request_exception, request_finished

    def failed(_: Any, exception: BaseException, **__: Any) -> None:
        request.environ["wsgi.exception"] = type(exception).__name__

    def finished(_: Any, response: Any, **__: Any) -> None:
        if endpoint := request.endpoint:
            if exception := request.environ.get("wsgi.exception"):
                endpoint += f" {exception}"
            response.headers["X-Wsgi-Endpoint"] = endpoint

    got_request_exception.connect(failed, weak=False)
    request_finished.connect(finished, weak=False)


def keep_by_worker(values: Any) -> None:
    """Has prometheus_client keep a worker's values for the worker after it: else each would leave files for ever.

    uWSGI's master is in the name too, as workers of one that was killed may still be counting.
    """
    worker = uwsgi.worker_id()
    values.ValueClass = values.MultiProcessValue(lambda: f"{uwsgi.masterpid()}-{worker}" if worker else "check")


if os.environ["ADMIN_PORT"] != "0":
    sys.meta_path.insert(0, AfterImport({"flask.app": name_endpoints, "prometheus_client.values": keep_by_worker}))
