"""A client of the Debug Adapter Protocol, as an editor is one (https://microsoft.github.io/debug-adapter-protocol/)."""

import json
import socket
from types import TracebackType
from typing import Any, Self


class Debugger:
    """A debugger that is attached to a debug adapter."""

    def __init__(self, port: int, file: str, line: int, deadline: float) -> None:
        """Attach to a port of this machine, with a breakpoint at a line of a file in the container.

        Raises OSError if nothing answers. Each wait fails after `deadline` seconds.
        """
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=deadline)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        try:
            self._attach(file, line)
        except OSError as error:
            self.__exit__(type(error), error, None)
            raise

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the session: the app continues, without breakpoints."""
        with self._socket, self._stream:
            if kind is None:
                self.request("disconnect", terminateDebuggee=False)
                self._wait("command", "disconnect")

    def request(self, command: str, **arguments: object) -> None:
        """Send a request."""
        self._number += 1
        text = json.dumps({"seq": self._number, "type": "request", "command": command, "arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))

    def event(self, name: str) -> dict[str, Any]:
        """Wait for an event; return its body. Raises OSError if there is none in time, or the connection is closed."""
        body: dict[str, Any] = self._wait("event", name).get("body", {})
        return body

    def _attach(self, file: str, line: int) -> None:
        self.request("initialize", adapterID="test", pathFormat="path")
        self.request("attach", justMyCode=True)
        self.event("initialized")
        self.request("setBreakpoints", source={"path": file}, breakpoints=[{"line": line}])
        self.request("configurationDone")
        self._wait("command", "configurationDone")  # the response: from now on, the app stops at the breakpoint

    def _wait(self, key: str, value: str) -> dict[str, Any]:
        while True:
            message = self._message()
            assert message.get("success", True), message
            if message.get(key) == value:
                return message

    def _message(self) -> dict[str, Any]:
        length = 0
        while (header := self._stream.readline()) != b"\r\n":
            if not header:
                raise ConnectionError("the adapter has closed the connection")
            name, _, value = header.partition(b":")
            length = int(value) if name == b"Content-Length" else length
        message: dict[str, Any] = json.loads(self._stream.read(length))
        return message
