"""Listening sockets of PID 1, where the kernel differs from that of the other tests."""

import socket
import struct

import pytest

from wsgi_runtime.pid1.listeners import Listeners


@pytest.fixture
def listening() -> Listeners:
    """Listeners of one socket, with a connection in its queue."""
    listeners = Listeners()
    listeners.open([0], backlog=1)
    return listeners


def test_a_connection_that_waits_is_seen(listening: Listeners) -> None:
    with socket.socket(fileno=listening.fds[0]) as listener:
        assert not listening.have_waiting_connections()
        with socket.create_connection(("127.0.0.1", listener.getsockname()[1])):
            assert listening.have_waiting_connections()


@pytest.mark.parametrize("answer", [OSError("Protocol not available"), struct.pack("i", 0)], ids=["none", "short"])
def test_none_is_seen_where_the_kernel_does_not_tell(
    listening: Listeners, answer: OSError | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU returns four bytes."""

    def getsockopt(*_: object) -> bytes:
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(socket.socket, "getsockopt", getsockopt)
    assert not listening.have_waiting_connections()
    listening.close()
