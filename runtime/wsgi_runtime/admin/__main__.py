"""Entry point of the admin program: it counts requests, and serves the admin port.

Nginx passes requests for the admin port to this program's unix socket. It serves them one at a time, so that a client
that asks too often delays only other requests for the admin port.
"""

import os
import select
import signal
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

from wsgi_runtime import METRICS_FIFO, logs
from wsgi_runtime.admin.metrics import Metrics
from wsgi_runtime.admin.status import Status
from wsgi_runtime.scoreboard import Scoreboard

LISTENING_FD = 0
"""supervisord opens the listening socket."""

NICENESS = 10
"""Scheduling priority (nice(2)): requests to the app come first."""

CLIENT_TIMEOUT_SECONDS = 10

READ_BYTES = 1 << 18


def count(metrics: Metrics) -> None:
    """Count the lines that Nginx writes, forever."""
    fifo, rest = os.open(METRICS_FIFO, os.O_RDWR | os.O_NONBLOCK), b""
    while True:
        if select.select([fifo], [], [], 1)[0]:
            try:
                *lines, rest = (rest + os.read(fifo, READ_BYTES)).split(b"\n")
            except BlockingIOError:  # PID 1 has emptied it
                lines = []
            with metrics.lock:
                metrics.count(lines)
        metrics.tick()
        metrics.board.admin_turns += 1


class Handler(BaseHTTPRequestHandler):
    """Handles one request."""

    status: ClassVar[Status]
    timeout = CLIENT_TIMEOUT_SECONDS
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """Serve /metrics, /status and /status.json; redirect / to /status."""
        path = self.path.partition("?")[0]
        if path == "/":
            self.send_response(302)
            self.send_header("Location", "/status")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body, headers = self.status.page(path, self.headers)
        if not headers:
            self.send_error(404)
            return
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body)), "Cache-Control": "no-store"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send 405 for an unknown method, instead of 501."""
        super().send_error(405 if code == 501 else code, message, explain)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def main() -> None:
    """Run until SIGTERM."""
    logs.take_over()
    os.nice(NICENESS)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    metrics = Metrics(Scoreboard())
    metrics.tick()
    Handler.status = Status(metrics)
    threading.Thread(target=count, args=(metrics,), daemon=True).start()
    server = socketserver.UnixStreamServer("", Handler, bind_and_activate=False)
    server.socket = socket.socket(fileno=LISTENING_FD)
    server.serve_forever()


if __name__ == "__main__":
    main()
