"""Listening sockets of the public port, the HTTPS port and the admin port.

PID 1 holds them: while Nginx is down connections wait in their queues, and at a stop they close without losing one.
"""

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterable

MIN_INHERITED_FD = 32
"""supervisor closes the file descriptors below this in each program that it starts (minfds in supervisord.ini)."""

SO_BINDTOIFINDEX, NO_INTERFACE = 62, 0x7FFFFFFF
TCPI_UNACKED_OFFSET = 24
"""Place of the field in struct tcp_info (linux/tcp.h)."""


def above_minimum(fd: int) -> int:
    """Return a copy of a file descriptor that supervisor does not close, and that no program inherits as yet."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, MIN_INHERITED_FD)


class Listeners:
    """The sockets, by their file descriptors."""

    def __init__(self) -> None:
        self.fds: list[int] = []

    def open(self, ports: Iterable[int], backlog: int) -> None:
        """Listen on each port, on IPv4 and, where the machine has it, IPv6."""
        for port in ports:
            for family, address in (socket.AF_INET, ""), (socket.AF_INET6, "::"):
                with contextlib.suppress(OSError), socket.socket(family) as listener:
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == socket.AF_INET6:
                        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    listener.bind((address, port))
                    listener.listen(backlog)
                    # Nginx does not change this, and two of its workers may try to accept the same connection.
                    listener.setblocking(False)
                    self.fds.append(above_minimum(listener.fileno()))

    def for_nginx(self) -> str:
        """Return the value of the variable NGINX, by which Nginx inherits sockets (ngx_add_inherited_sockets)."""
        return "".join(f"{fd};" for fd in self.fds)

    def refuse_new_connections(self) -> None:
        """Refuse new connections. Those that are established, or have begun, are still accepted.

        To close the sockets would reset connections in their queues: 57 requests lost in 10 stops (docs/decisions.md).
        A socket that is bound to a network interface that does not exist gets no new connection (socket(7),
        SO_BINDTODEVICE). By the number of the interface this needs no capability since Linux 5.7. Older kernels keep on
        accepting.
        """
        for fd in self.fds:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as listener:
                listener.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, NO_INTERFACE)

    def have_waiting_connections(self) -> bool:
        """Return True if Nginx has still to accept a connection (tcp(7), TCP_INFO: tcpi_unacked of a listener).

        False where the kernel or a sandbox, such as QEMU, does not tell.
        """
        for fd in self.fds:
            with contextlib.suppress(OSError, struct.error), socket.socket(fileno=os.dup(fd)) as listener:
                info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCPI_UNACKED_OFFSET + 4)
                if struct.unpack_from("I", info, TCPI_UNACKED_OFFSET)[0]:
                    return True
        return False

    def close(self) -> None:
        """Close PID 1's file descriptors; Nginx has its own."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []
