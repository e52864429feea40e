"""Hooks into libraries that the app may import: Flask's endpoints, and prometheus_client's counts over processes.

A library is hooked into when the app imports it. An app that has no Flask, or no metrics, pays for none.
"""

import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

from wsgi_runtime import METRICS


class AfterImport:
    """A finder of modules (sys.meta_path) that calls a function with a module once that has been imported."""

    def __init__(self, functions: dict[str, Callable[[Any], None]]) -> None:
        self.functions = functions

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a module that has a function; None for all others."""
        spec = PathFinder.find_spec(name, path) if name in self.functions else None
        if spec and spec.loader:
            load: Any = spec.loader
            execute = load.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                self.functions[name](module)

            load.exec_module = exec_module
        return spec


def record_endpoints(module: Any, cores: Callable[[], list[Any]]) -> None:
    """Record the endpoint of each Flask request, and the type of an exception that it does not handle.

    `cores` returns the cores of this worker (wsgi_runtime.worker.serve). The method is wrapped, because a signal for
    each request would cost ten times as much.
    """
    from contextlib import suppress

    from flask.globals import request as current
    from flask.signals import got_request_exception

    preprocess = module.Flask.preprocess_request

    def core_of(environ: dict[str, Any]) -> Any:
        number, known = environ.get("uwsgi.core", 0), cores()
        return known[number] if known else None

    def preprocess_request(app: Any, *context: Any) -> Any:
        request = current._get_current_object()  # type: ignore[attr-defined]
        core = core_of(request.environ)
        if core and request.endpoint:
            core.endpoint = request.endpoint
            core.slot.name(core.endpoint.encode())
        return preprocess(app, *context)

    def failed(_: Any, exception: BaseException, **__: Any) -> None:
        core = core_of(current.environ)
        if core and core.endpoint:
            core.endpoint += f" {type(exception).__name__}"

    module.Flask.preprocess_request = preprocess_request
    with suppress(RuntimeError):  # Flask before 2.3, without blinker: exceptions are not told apart
        got_request_exception.connect(failed, weak=False)


def count_by_worker(module: Any, name: Callable[[], str]) -> None:
    """Make prometheus_client count per worker, for the sum over all of them.

    `name` returns the worker's name, which stays the same when its process is replaced: each process with files of its
    own would fill the memory in time.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS)
    module.ValueClass = module.MultiProcessValue(name)


def install(cores: Callable[[], list[Any]], worker_name: Callable[[], str]) -> None:
    """Install both hooks. An app that sets PROMETHEUS_MULTIPROC_DIR itself counts in its own way."""
    functions: dict[str, Callable[[Any], None]] = {"flask.app": lambda module: record_endpoints(module, cores)}
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        functions["prometheus_client.values"] = lambda module: count_by_worker(module, worker_name)
    sys.meta_path.insert(0, AfterImport(functions))
