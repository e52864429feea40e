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


WIDTH = 256
"""Bytes of a place in the worker's file of endpoints, which has one for each of its threads, or greenlets."""


def endpoints_file() -> Any:
    """The file, to write to as to memory: it must cost next to nothing. The app may have an mmap.py of its own."""
    path = f"/run/endpoints-{uwsgi.worker_id()}"
    if os.path.exists(path):  # noqa: PTH110 - a killed master's worker may still write to it
        os.unlink(path)  # noqa: PTH108
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.posix_fallocate(file, 0, uwsgi.cores * WIDTH)
    spec: Any = PathFinder.find_spec("mmap", [folder for folder in sys.path if folder.endswith("/lib-dynload")])
    mmap = spec.loader.create_module(spec)
    spec.loader.exec_module(mmap)
    return mmap.mmap(file, 0)


def name_endpoints(module: Any) -> None:
    """Has Flask tell nginx, in a header, which endpoint answered, and which exception it met; nginx takes it out.

    The WSGI callable is wrapped, as a signal for each request would cost ten times as much. For the status page a file
    has the id and the endpoint of what each thread has begun last.
    """
    from contextlib import suppress

    from flask.globals import request as current
    from flask.signals import got_request_exception

    begun = endpoints_file()
    answer, preprocess = module.Flask.wsgi_app, module.Flask.preprocess_request

    def preprocess_request(app: Any, *context: Any) -> Any:
        request = current._get_current_object()  # type: ignore[attr-defined]
        environ = request.environ
        line = f"{environ.get('HTTP_X_REQUEST_ID')} {request.endpoint or ''}\n".encode()[:WIDTH]
        start = environ.get("uwsgi.core", 0) * WIDTH
        begun[start : start + len(line)] = line
        return preprocess(app, *context)

    def wsgi_app(app: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            request = environ.get("werkzeug.request")
            if request is not None and (endpoint := request.endpoint):
                if "wsgi.exception" in environ:
                    endpoint += " " + environ["wsgi.exception"]
                # As WSGI has it, a string of bytes (PEP 3333, "Unicode Issues"); a name in Python may be any.
                endpoint = endpoint.encode().decode("latin-1")
                headers.append(("X-Wsgi-Endpoint", endpoint))
            return start_response(status, headers, *exc_info)

        return answer(app, environ, start)

    def failed(_: Any, exception: BaseException, **__: Any) -> None:
        current.environ["wsgi.exception"] = type(exception).__name__

    module.Flask.wsgi_app, module.Flask.preprocess_request = wsgi_app, preprocess_request
    with suppress(RuntimeError):  # Flask before 2.3, without blinker: exceptions are not told apart
        got_request_exception.connect(failed, weak=False)


def keep_by_worker(values: Any) -> None:
    """Has prometheus_client keep a worker's values for the worker after it: else each would leave files for ever.

    uWSGI's master is in the name too, as workers of one that was killed may still be counting.
    """
    worker = uwsgi.worker_id()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = "/run/metrics"
    values.ValueClass = values.MultiProcessValue(lambda: f"{uwsgi.masterpid()}-{worker}" if worker else "check")


# uWSGI sets these for itself.
for name in "UWSGI_ORIGINAL_PROC_NAME", "UWSGI_RELOADS":
    os.environ.pop(name, None)
with open("/run/values.json") as file:  # noqa: PTH123 - pathlib and json may be the app's own
    admin = '"ADMIN_PORT": "0"' not in file.read()
if admin:
    sys.meta_path.insert(0, AfterImport({"flask.app": name_endpoints, "prometheus_client.values": keep_by_worker}))
