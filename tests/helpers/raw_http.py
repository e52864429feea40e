"""Requests as raw bytes, where a client library would correct them."""

import functools
import socket

from conftest import DEADLINE, Container


@functools.cache
def address(container: Container) -> tuple[str, int]:
    """Return host and port of the public port, which stay the same unless the container is restarted."""
    host, _, port = container.address.rpartition(":")
    return host, int(port)


def exchange(container: Container, request: bytes, half_close: bool = False) -> bytes:
    """Send bytes; return everything that the server sends until it closes the connection.

    With `half_close` the client closes its sending side after the request. Raises TimeoutError when the server neither
    sends nor closes for DEADLINE seconds.
    """
    with socket.create_connection(address(container), timeout=DEADLINE) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass  # The server closed the connection without reading the whole request.
        return received
