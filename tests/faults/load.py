"""Clients that keep asking while something goes wrong, and what they saw."""

import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from conftest import DEADLINE, Container


@dataclass
class Load:
    """What a number of clients saw, each request with its start, its end and its outcome."""

    outcomes: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Requests that were answered with 200."""
        return sum(outcome == "200" for _, _, outcome in self.outcomes)

    @property
    def lost(self) -> list[str]:
        """The outcomes of all others."""
        return [outcome for _, _, outcome in self.outcomes if outcome != "200"]

    @property
    def silence(self) -> float:
        """The longest time in which no request was answered, in seconds."""
        ends = sorted(end for _, end, outcome in self.outcomes if outcome == "200")
        return max(after - before for before, after in itertools.pairwise(ends))

    def percentile(self, share: float) -> float:
        """The duration that `share` of the answered requests did not exceed, in seconds."""
        durations = sorted(end - start for start, end, outcome in self.outcomes if outcome == "200")
        return durations[min(int(len(durations) * share), len(durations) - 1)]


@contextmanager
def load(
    container: Container, clients: int = 16, path: str = "/quick", keep_alive: bool = True, limit: float = 60
) -> Iterator[Load]:
    """Runs clients in the background, each asking again and again; at most for `limit` seconds.

    A client stops for good when it can't connect: nobody is there any more.
    """
    seen, over = Load(), threading.Event()
    host, port = container.address.split(":")
    end = time.monotonic() + limit

    def client() -> None:
        connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE)
        while not over.is_set() and time.monotonic() < end:
            start = time.monotonic()
            try:
                connection.connect() if connection.sock is None else None
            except ConnectionRefusedError:
                return
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                outcome = str(response.status)
            except http.client.RemoteDisconnected:
                # The server may close an idle connection at any time (RFC 9112, 9.5): then the request is sent again.
                outcome = "again" if reused(connection) else "disconnected"
            except (OSError, http.client.HTTPException) as error:
                outcome = repr(error)
            if outcome != "again":
                seen.outcomes.append((start, time.monotonic(), outcome))
            connection.uses = getattr(connection, "uses", 0) + 1
            if not keep_alive or outcome != "200":
                connection.close()
                connection.uses = 0

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def reused(connection: http.client.HTTPConnection) -> bool:
    """Whether an answer came on this connection before."""
    return getattr(connection, "uses", 0) > 0
