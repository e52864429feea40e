"""The container's log: one JSON object a line on standard output, whoever spoke."""

import json
import os
from collections import defaultdict
from datetime import UTC, datetime


def write(level: str, source: str, message: str) -> None:
    """Writes one line. `source` is who speaks: nginx, uwsgi, app or supervisord."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "source": source,
        "message": message,
    }
    _write(json.dumps(line, ensure_ascii=False).encode(errors="replace") + b"\n")


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


class Programs:
    """Turns what the programs print, in chunks, into whole lines of the log."""

    def __init__(self) -> None:
        self._rest: defaultdict[str, bytes] = defaultdict(bytes)

    def feed(self, source: str, chunk: bytes) -> list[bytes]:
        """Logs the lines that `chunk` completes, and returns them; nginx's access lines are JSON already."""
        *lines, self._rest[source] = (self._rest[source] + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b'{"time":'):
                _write(line + b"\n")
            elif line:
                write("info", source, line.decode(errors="replace"))
        return lines

    def finish(self, source: str) -> None:
        """Logs what a program that has ended left without a line's end."""
        if self._rest[source]:
            self.feed(source, b"\n")
