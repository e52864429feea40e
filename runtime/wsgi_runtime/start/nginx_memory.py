"""Sizes in Nginx's configuration, computed from the memory limit so that no number of clients exhausts the memory."""

import os
from dataclasses import dataclass
from pathlib import Path

SPOOL = Path("/tmp")  # noqa: S108 - the image links /var/lib/nginx to it
"""Folder of Nginx's temporary files and of its cache."""

KB, MB = 1 << 10, 1 << 20

BASE_BYTES = 80 * MB
"""Memory that is not available to requests in Nginx."""

MIN_REQUESTS = 1024
"""Lowest bound of concurrent requests without HTTPS: 1,000 slow clients must not stop the service."""

CONNECTION_BYTES = 16 * KB
"""Memory of a request without its buffers, in Nginx and in the kernel."""

TLS_BYTES = 32 * KB
"""Memory of a TLS connection in OpenSSL."""

SOCKET_BYTES = 208 * KB
"""Data that the socket between Nginx and uWSGI holds (net.core.wmem_default)."""

MIN_TLS_REQUESTS = 64
"""Lowest bound of concurrent requests with HTTPS, for limits below 128 MB."""

MIN_CONNECTIONS = 1088
"""Lowest bound of connections: 1,000 clients that are slow to send their headers have no request yet."""

MAX_STREAMS = 128
"""Nginx's default of http2_max_concurrent_streams."""

MAX_CONCURRENT = 65535
"""Largest number that limit_conn accepts."""

MAX_CACHED_BYTES = 100_000
DISK_CACHE_BYTES = 512 * MB
MEDIUM_UPLOAD_BYTES = 1_000_000


@dataclass(frozen=True)
class Buffers:
    """Buffer sizes in KB for a range of memory limits.

    Nginx requires `response_headers` <= (`response_count` - 1) * `response_size`.
    """

    memory: int
    """Smallest memory limit that this row is for, in bytes."""
    request_headers: int
    """Size of each of two buffers."""
    body: int
    response_headers: int
    response_count: int
    response_size: int
    file: int
    gzip_window: int
    """0: Nginx does not compress the app's responses."""

    @property
    def request_bytes(self) -> int:
        """Upper bound of the memory of one request, in bytes."""
        gzip = (8 * self.gzip_window + 24) if self.gzip_window else 0
        response = self.response_headers + self.response_count * self.response_size
        return (2 * self.request_headers + self.body + response + self.file + gzip) * KB + CONNECTION_BYTES


BUFFERS = (
    Buffers(2048 * MB, 20, 64, 64, 16, 16, 32, 32),
    Buffers(512 * MB, 20, 64, 64, 9, 8, 8, 8),
    Buffers(256 * MB, 8, 10, 64, 17, 4, 4, 0),
    Buffers(0, 8, 10, 8, 3, 4, 4, 0),
)


@dataclass(frozen=True)
class Spool:
    """File system of Nginx's temporary files."""

    in_memory: bool
    size: int
    """Bytes; 0 if unknown."""


def spool(folder: Path = SPOOL, mounts: Path = Path("/proc/self/mounts")) -> Spool:
    """Return the file system of a folder (proc_pid_mounts(5)). The last of the longest mount points counts."""
    rows = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    _, kind = max(((point, kind) for point, kind in rows if folder.is_relative_to(point)), key=lambda row: len(row[0]))
    status = os.statvfs(folder)
    return Spool(kind in ("tmpfs", "ramfs"), status.f_blocks * status.f_frsize)


def below(limit: int) -> str:
    """Return a pattern of the numbers below `limit`, which is rounded down to one digit: for 25000 [0-1]?\\d{1,4}."""
    digits = str(limit)
    return f"[0-{int(digits[0]) - 1}]?\\d{{1,{len(digits) - 1}}}"


def sizes(memory: int, limited: bool, tls: bool, cpus: int, files: int, max_body: int, spool: Spool) -> dict[str, str]:
    """Return the values for Nginx's files.

    `memory` is in bytes; `limited` is False if only the machine limits it. `tls` is True with HTTPS. `max_body` is in
    bytes; 0 is any size.
    """
    row = next(row for row in BUFFERS if memory >= row.memory)
    uploads = min(memory // 8, spool.size // 2 or memory // 8) if spool.in_memory else 0
    requests = MAX_CONCURRENT
    if limited:
        # Over HTTP/2, a client that never reads needs no connection for each request.
        request_bytes = row.request_bytes + (TLS_BYTES + SOCKET_BYTES if tls else 0)
        fitting = (memory - BASE_BYTES - uploads) * 7 // 8 // request_bytes
        requests = min(requests, max(MIN_TLS_REQUESTS if tls else MIN_REQUESTS, fitting))
    # A request that waits for the app has two connections: to the client and to uWSGI.
    connections = min(files // 2, 4096, max(2 * requests + 64, MIN_CONNECTIONS))
    # One worker may hold all connections, while the others are idle.
    workers = max(1, min(cpus, memory // (256 * MB))) if limited else cpus
    # A complete upload that waits for the app holds a socket buffer of 208 KB.
    large, medium = memory >> 21, memory >> 21
    if spool.in_memory:
        large, medium = uploads * 3 // 4 // (max_body or uploads), uploads // 4 // MEDIUM_UPLOAD_BYTES
    # Each request that waits for the app holds a key of the cache.
    keys = min(requests, connections * workers // 2) + 256
    cached = min(MAX_CACHED_BYTES, (memory // 16 if spool.in_memory else DISK_CACHE_BYTES) // keys)
    return {
        "NGINX_WORKERS": str(workers),
        "NGINX_CONNECTIONS": str(connections),
        "REQUESTS_KEY": "requests" if limited else "",
        "REQUESTS_MAX": str(requests),
        # One connection takes at most an eighth of the requests.
        "HTTP2_STREAMS": str(max(1, min(MAX_STREAMS, requests // 8))),
        # A GET over HTTP/2 may have a body of unknown length, which neither limit_conn nor client_max_body_size tells
        # from one without a body.
        "HTTP2": "off" if spool.in_memory else "on",
        "UPLOADS_LARGE": str(min(MAX_CONCURRENT, max(1, large))),
        "UPLOADS_MEDIUM": str(min(MAX_CONCURRENT, max(1, medium))),
        "UPLOADS_MEDIUM_LENGTH": below(MEDIUM_UPLOAD_BYTES),
        "REQUEST_HEADER_BUFFERS": f"2 {row.request_headers}k",
        "REQUEST_BODY_BUFFER": f"{row.body}k",
        "REQUEST_BODY_LENGTH": below(row.body * KB),
        "RESPONSE_HEADER_BUFFER": f"{row.response_headers}k",
        "RESPONSE_BUFFERS": f"{row.response_count} {row.response_size}k",
        "RESPONSE_FILE": "0" if spool.in_memory else "1024m",
        "FILE_BUFFERS": f"1 {row.file}k",
        "GZIP": "on" if row.gzip_window else "off",
        "GZIP_WINDOW": f"{row.gzip_window or 32}k",
        "GZIP_BUFFERS": f"{row.gzip_window or 32} 4k",
        "CACHE_PATH": str(SPOOL / "nginx-cache"),
        "CACHE_LENGTH": below(cached),
        "CACHE_ZONE": f"{keys // 8 + 32}k",
        "CACHE_SIZE": f"{max(1, keys * cached >> 20)}m",
    }


def max_body_problem(given: str, max_body: int, memory: int, spool: Spool) -> list[str]:
    """Return the problem if one request body could exhaust the memory limit."""
    room = memory // 4
    if not spool.in_memory or (spool.size and spool.size <= room) or 0 < max_body <= room:
        return []
    return [
        f"MAX_BODY_SIZE is {given}, but {SPOOL} is in memory and a body may take at most {room >> 20}m of it: "
        f"mount a volume at {SPOOL}, raise the memory limit, or lower MAX_BODY_SIZE"
    ]
