"""Hooks into libraries that the app imports: Flask reports endpoints, prometheus_client counts over all processes."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

from wsgi_runtime import METRICS
from wsgi_runtime.worker import request

VALUES_MODULE = "prometheus_client.values"


def record_endpoints(app: Any) -> None:
    """Record the endpoint of each request to a Flask app, and the type of an exception that Flask handles.

    A Flask app inside another WSGI callable has no endpoints: the hook is on the app itself.
    """
    flask: Any = sys.modules.get("flask")
    if not hasattr(flask, "Flask"):  # the app may have a module of this name
        return
    with suppress(RuntimeError):  # Flask before 2.3 without blinker has no signals
        flask.got_request_exception.connect(_record_exception, weak=False)
    if isinstance(app, flask.Flask):
        with suppress(AssertionError):  # an app that has served a request already, to warm up, takes no hook
            app.url_value_preprocessor(_record_endpoint)


def _record_endpoint(endpoint: str | None, _: Any) -> None:
    current = request.current.get()
    if current and endpoint:
        current.endpoint = endpoint
        current.slot.name(endpoint.encode())


def _record_exception(_: Any, exception: BaseException, **__: Any) -> None:
    if current := request.current.get():
        current.exception = type(exception).__name__


class CountByWorker:
    """Finder of modules (sys.meta_path) that makes prometheus_client count per worker.

    By default it has files for each process ID, so that its memory would grow with each process that is replaced. The
    name of a worker stays the same.
    """

    def __init__(self, worker_name: Callable[[], str]) -> None:
        self._worker_name = worker_name

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of the module that chooses how to count, with a loader that changes its choice."""
        spec = PathFinder.find_spec(name, path) if name == VALUES_MODULE else None
        if spec and spec.loader:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS)
                module.ValueClass = module.MultiProcessValue(self._worker_name)

            loader.exec_module = exec_module
        return spec


def install(worker_name: Callable[[], str]) -> None:
    """Install CountByWorker. An app that sets PROMETHEUS_MULTIPROC_DIR itself counts in its own way."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        sys.meta_path.insert(0, CountByWorker(worker_name))
