"""The part of a WSGI server that uWSGI lacks: it calls the app and checks its responses (PEP 3333)."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from wsgi_runtime.scoreboard import Slot, Worker, resident_memory
from wsgi_runtime.worker import logging, traceback_page
from wsgi_runtime.worker.body import Body
from wsgi_runtime.worker.request import Request, current

App = Callable[..., Iterable[bytes]]

OUTGROWN_PAUSE_SECONDS = 1
"""Pause after each request of a worker that has outgrown WORKER_MEMORY, until it is replaced."""

UNBLOCKED_SIGNALS = signal.SIGTERM, signal.SIGINT, signal.SIGCHLD
"""Signals that child processes need. uWSGI blocks all signals in its threads, and child processes inherit the mask."""

CSP = "content-security-policy"

FAILED = [("Content-Type", "text/plain; charset=utf-8"), ("X-Accel-Redirect", "@app_failed")]
"""Headers of the response if the app raises an exception: Nginx replaces it by its error page."""


class Core:
    """One core (uWSGI's word for a thread or greenlet) of this worker."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.signals_unblocked = False


class Server:
    """The WSGI callable that uWSGI calls for each request."""

    def __init__(self, app: App, worker: Worker, max_growth_bytes: int, debug: bool) -> None:
        """`max_growth_bytes`: bytes that the worker may grow by, or 0. `debug`: send tracebacks to clients."""
        self._app = app
        self._worker = worker
        self._max_memory = resident_memory(os.getpid()) + max_growth_bytes if max_growth_bytes else 0
        self.debug = debug
        self.cores = [Core(slot) for slot in worker.slots]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> "Response":
        """Serve one request."""
        core = self.cores[environ.get("uwsgi.core", 0)]  # uWSGI omits it if there is only one
        if not core.signals_unblocked:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, UNBLOCKED_SIGNALS)
            core.signals_unblocked = True
        request = Request(environ.get("HTTP_X_REQUEST_ID", ""), environ.get("HTTP_TRACEPARENT", ""), core.slot)
        current.set(request)
        core.slot.begin(time.monotonic(), f"{request.id} {environ['PATH_INFO']}".encode("latin-1", "replace"))
        environ["wsgi.errors"] = sys.stderr
        response = Response(self, request, environ, start_response)
        response.run(self._app, environ)
        return response

    def failed(self, message: str) -> None:
        """Log the exception that is being handled."""
        self._worker.exceptions += 1
        kind, error, trace = sys.exc_info()
        logging.log_exception(kind, error, trace, message)

    def end(self, slot: Slot) -> None:
        """End a request."""
        slot.requests += 1
        slot.since = 0
        limit = self._max_memory
        if limit and peak_memory() > limit and resident_memory(os.getpid()) > limit:
            self._worker.outgrown = 1
            time.sleep(OUTGROWN_PAUSE_SECONDS)


class Response:
    """The response to one request, as an iterable for uWSGI.

    Status and headers are sent with the first bytes of the body. Until then the app can replace them, and an exception
    becomes a 500.
    """

    # Without a dictionary for each response, a request takes 3 % less CPU time.
    __slots__ = (
        *("_body", "_chunks", "_first", "_headers", "_input", "_not_found_page", "_report_endpoint", "_request"),
        *("_send", "_sent_bytes", "_server", "_start_response", "_status"),
    )

    def __init__(
        self, server: Server, request: Request, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> None:
        self._server = server
        self._request = request
        self._start_response = start_response
        self._report_endpoint = environ.pop("WSGI_ENDPOINT_HEADER", "")
        self._not_found_page = environ.pop("WSGI_NOT_FOUND_PAGE", "")
        has_body = environ.get("CONTENT_LENGTH") not in ("", "0", None)
        self._input = Body(environ["wsgi.input"]) if has_body else None
        if self._input:
            environ["wsgi.input"] = self._input
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._send: Callable[[bytes], Any] | None = None
        self._body: Iterable[bytes] = ()
        self._chunks: Iterator[bytes] = iter(())
        self._first = b""
        self._sent_bytes = 0

    def run(self, app: App, environ: dict[str, Any]) -> None:
        """Call the app until it returns the first bytes of its body."""
        try:
            self._body = app(environ, self.start)
            self._chunks = iter(self._body)
            self._first = self._next()
            if not self._send:
                self._send_headers()
        except BaseException as error:
            self._fail(error)

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """Handle start_response of PEP 3333. Raises ValueError for a header that contains a line break."""
        if exc_info:
            if self._send:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self._status:
            raise AssertionError("start_response was called twice, without exc_info")
        text = status + "".join([name + value for name, value in headers])
        if "\n" in text or "\r" in text or "\0" in text:
            raise ValueError(f"a response header contains a line break: {headers!r}")
        if not text.isascii():
            text.encode("latin-1")
        self._status, self._headers = status, headers
        return self.write

    def write(self, data: bytes) -> None:
        """Handle write of PEP 3333, for old apps."""
        send = self._send or self._send_headers()
        self._sent_bytes += len(data)
        send(data)

    def _send_headers(self) -> Callable[[bytes], Any]:
        if not self._status:
            raise AssertionError("the app did not call start_response")
        headers = self._headers
        if self._not_found_page and self._status.startswith("404"):
            headers, self._first, self._chunks = [("X-Accel-Redirect", self._not_found_page)], b"", iter(())
        if "" in [value for _, value in headers]:
            # To Nginx an empty policy is no policy, so that it would add its own.
            headers = [(name, value or ";" if name.lower() == CSP else value) for name, value in headers]
        request = self._request
        if self._report_endpoint and (request.endpoint or request.exception):
            headers = [*headers, endpoint_header(request.endpoint, request.exception)]
        if self._input:
            self._input.settle(keep=not isinstance(self._body, list))
        send: Callable[[bytes], Any] = self._start_response(self._status, headers)
        self._send = send
        return send

    def _next(self) -> bytes:
        """Return the next chunk that is not empty, b"" at the end. Raises TypeError for a chunk that is not bytes."""
        for chunk in self._chunks:
            if not isinstance(chunk, bytes):
                raise TypeError(f"the response body must be bytes, not {type(chunk).__name__}")
            if chunk:
                return chunk
        return b""

    def _fail(self, error: BaseException) -> None:
        """Log the exception that is being handled; send a 500 if nothing was sent yet."""
        self._chunks = iter(())
        if self._send:
            # The uwsgi protocol has no end mark: without a Content-Length, the client takes the response for complete.
            self._server.failed(f"; the response broke off after {self._sent_bytes} bytes")
            return
        self._server.failed("")
        self._status, self._headers, self._first = "500 Internal Server Error", FAILED, b"Internal Server Error\n"
        if self._server.debug:
            self._headers, self._first = traceback_page.response(error)
        self._send_headers()

    def __iter__(self) -> "Response":
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next chunk; uWSGI sends it before it asks again."""
        chunk, self._first = self._first, b""
        if not chunk and self._sent_bytes:
            self._request.slot.since = time.monotonic()
            try:
                chunk = self._next()
            except BaseException as error:
                self._fail(error)
        if not chunk:
            raise StopIteration
        self._request.slot.since = -time.monotonic()
        self._sent_bytes += len(chunk)
        return chunk

    def close(self) -> None:
        """End the request."""
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        except BaseException:
            self._server.failed(" when the response was closed")
        self._server.end(self._request.slot)


@lru_cache(1024)
def endpoint_header(endpoint: str, exception: str) -> tuple[str, str]:
    """Return the header that tells Nginx the endpoint, and the type of an exception, for the metrics."""
    # WSGI takes bytes as latin-1 (PEP 3333, "Unicode Issues"); names in Python are Unicode.
    return "X-Wsgi-Endpoint", f"{endpoint or '-'} {exception}".rstrip().encode().decode("latin-1")


def peak_memory() -> int:
    """Return the peak of this process's resident memory, in bytes (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
