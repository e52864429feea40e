"""The request's body, which is read before the response's headers are sent.

Nginx stops sending the body once it has the response's headers. If uWSGI then closes the connection with a part of the
body unread, the kernel resets it and the response is lost. The app may read the body later, or never.
"""

import tempfile
from collections.abc import Iterator
from typing import Any

READ_BYTES = 1 << 16


class Body:
    """wsgi.input of PEP 3333."""

    def __init__(self, stream: Any) -> None:
        """`stream` is uWSGI's wsgi.input."""
        self._stream = stream
        self.read = stream.read
        self.readline = stream.readline
        self.readlines = stream.readlines

    def __iter__(self) -> Iterator[bytes]:
        """Return the lines."""
        return iter(self._stream)

    def settle(self, keep: bool) -> None:
        """Read the rest of the body. `keep`: store it for the app in a temporary file, unless the disk is full."""
        if not (chunk := self._receive()):
            return
        rest = tempfile.SpooledTemporaryFile(READ_BYTES)  # noqa: SIM115 - closed with the request
        while chunk:
            try:
                if keep:
                    rest.write(chunk)
            except OSError:  # the disk is full
                keep = False
            chunk = self._receive()
        rest.seek(0)
        if not keep:
            rest.close()
        self._stream = rest
        self.read, self.readline, self.readlines = rest.read, rest.readline, rest.readlines

    def _receive(self) -> bytes:
        try:
            return bytes(self._stream.read(READ_BYTES))
        except OSError:  # the client has closed its connection
            return b""
