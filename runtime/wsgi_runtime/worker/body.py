"""The request's body, which has to be read before the response begins.

nginx sends no more of it once it has passed on the response's headers, and an unread rest would reset the connection
and lose the response. An app may read it later, or never.
"""

import tempfile
from collections.abc import Iterator
from typing import Any

READ_BYTES = 1 << 16


class Body:
    """The wsgi.input of PEP 3333."""

    def __init__(self, stream: Any) -> None:
        """`stream` is uWSGI's."""
        self._stream = stream
        self.read = stream.read
        self.readline = stream.readline
        self.readlines = stream.readlines

    def __iter__(self) -> Iterator[bytes]:
        """Return the lines."""
        return iter(self._stream)

    def settle(self, keep: bool) -> None:
        """Read what nginx still has to send; keep it for the app in a temporary file, if that has room."""
        if not (chunk := self._receive()):
            return
        rest = tempfile.SpooledTemporaryFile(READ_BYTES)  # noqa: SIM115 - closed with the request
        while chunk:
            try:
                if keep:
                    rest.write(chunk)
            except OSError:  # no room
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
        except OSError:  # the client has left
            return b""
