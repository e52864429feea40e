"""Listening sockets of the public ports. PID 1 holds them, so that they outlive nginx and close without a loss."""

import contextlib
import fcntl
import os
import socket
import struct

MIN_INHERITED_FD = 32
"""supervisor closes the file descriptors below in each program that it starts (minfds in supervisord.ini)."""


def out_of_the_way(fd: int) -> int:
    """Return a copy of a file descriptor that supervisor doesn't close, and that no program inherits as yet."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, MIN_INHERITED_FD)


def listen(port: int, backlog: int) -> list[int]:
    """Listen on a port, on IPv4 and, if there is any, IPv6; return the file descriptors.

    While nginx is down, connections wait in their queue. nginx takes over the sockets that its environment variable
    NGINX lists (ngx_add_inherited_sockets, made for its upgrade of a running binary).
    """
    fds = []
    for family, address in (socket.AF_INET, ""), (socket.AF_INET6, "::"):
        with contextlib.suppress(OSError), socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, port))
            listener.listen(backlog)
            # nginx takes it as it is, and two of its workers may go for the same connection.
            listener.setblocking(False)
            fds.append(out_of_the_way(listener.fileno()))
    return fds


def refuse_new_connections(fd: int) -> None:
    """Make a listening socket refuse new connections; those that it has, or has begun, go on.

    It is bound to a network interface that does not exist (socket(7), SO_BINDTODEVICE; by number, and without a
    capability, since Linux 5.7), so the kernel finds no listener for a SYN. Where it may not, nothing is refused.
    """
    bind_to_ifindex, none = 62, 0x7FFFFFFF
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, bind_to_ifindex, none)


def queue_length(fd: int) -> int | None:
    """Return how many connections wait in the queue of a listening unix socket; None where the kernel won't tell.

    uWSGI's own figure is dead there. The kernel's is that of `ss -xl` (sock_diag(7), UDIAG_SHOW_RQLEN).
    """
    netlink_sock_diag, sock_diag_by_family, nlm_f_request, udiag_show_rqlen, any_cookie = 4, 20, 1, 0x10, 0xFFFFFFFF
    header = struct.pack("=IHHII", 40, sock_diag_by_family, nlm_f_request, 0, 0)
    inode = os.fstat(fd).st_ino & 0xFFFFFFFF
    question = struct.pack("=BxxxIIIII", socket.AF_UNIX, 0xFFFFFFFF, inode, udiag_show_rqlen, any_cookie, any_cookie)
    with (
        contextlib.suppress(OSError, struct.error),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_sock_diag) as kernel,
    ):
        kernel.settimeout(0.1)
        kernel.send(header + question)
        answer = kernel.recv(4096)
        if struct.unpack_from("=H", answer, 4)[0] == sock_diag_by_family:
            return int(struct.unpack_from("=I", answer, 36)[0])
    return None


def connections_to_accept(fd: int) -> int:
    """Return how many connections to a listening TCP socket wait to be accepted (tcp(7), TCP_INFO: tcpi_unacked)."""
    with socket.socket(fileno=os.dup(fd)) as listener:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int(struct.unpack_from("I", info, 24)[0])
