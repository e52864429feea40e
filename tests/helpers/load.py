"""Clients that keep asking while something goes wrong, and what they saw.

They run in a container of their own, in the network of the one that they ask: no proxy of the engine's stands between.
This file is the tests' module for it, and the program that runs there.
"""

import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 15
"""Seconds that a client waits for an answer."""


SLOW = {
    "1,000 that drip headers": "-c 1000 -H -i 5 -r 500",
    "200 that drip bodies": "-c 200 -B -i 5 -r 200 -s 8192",
    "200 that read slowly": "-c 200 -X -r 200 -w 10 -y 20 -n 5 -z 32 -k 3",
}
"""Options of slowhttptest for each kind of slow client."""


@dataclass
class Load:
    """What a number of clients saw: start and end of each request, in seconds, and its outcome."""

    outcomes: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Requests that were answered with 200."""
        return sum(outcome == "200" for _, _, outcome in self.outcomes)

    @property
    def lost(self) -> list[str]:
        """The outcomes of all others. Where nobody listens no request was sent, so none was lost."""
        return [outcome for _, _, outcome in self.outcomes if outcome not in ("200", "refused")]

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
def load(container: Any, clients: int = 16, path: str = "/quick", keep_alive: bool = True) -> Iterator[Load]:
    """Runs clients in the background, each asking again and again until the block ends."""
    words = ["docker", "run", "--rm", "--interactive", f"--network=container:{container.id}"]
    words += [f"--volume={Path(__file__).parent}:/load:ro", container.image, "python3", "-I", "/load/load.py"]
    program = subprocess.Popen(
        [*words, str(clients), path, str(int(keep_alive))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    seen = Load()
    assert program.stdout.readline() == "asking\n"
    try:
        yield seen
    finally:
        output, _ = program.communicate("enough\n")
        seen.outcomes = [tuple(outcome) for outcome in json.loads(output)]


def client(path: str, keep_alive: bool, over: threading.Event, outcomes: list[tuple[float, float, str]]) -> None:
    """Asks until it is over, and notes what came of it."""
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=PATIENCE)
    used = False
    while not over.is_set():
        start = time.monotonic()
        try:
            if connection.sock is None:
                connection.connect()
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            outcome = str(response.status)
        except ConnectionRefusedError:
            outcome = "refused"
            time.sleep(0.01)
        except ConnectionError as error:
            # A server may close an idle connection just when the next request comes; then clients send it again, on
            # a new one (RFC 9112, section 9.3.1). A request on a new connection that is closed is lost.
            outcome = "again" if used else type(error).__name__
        except (OSError, http.client.HTTPException) as error:
            outcome = type(error).__name__
        if outcome != "again":
            outcomes.append((start, time.monotonic(), outcome))
        used = outcome == "200" and keep_alive
        if not used:
            connection.close()


def main(clients: int, path: str, keep_alive: bool, limit: float = 120) -> None:
    """Runs the clients until a line comes on standard input; prints the outcomes as JSON."""
    over = threading.Event()
    outcomes: list[tuple[float, float, str]] = []
    threads = [threading.Thread(target=client, args=(path, keep_alive, over, outcomes)) for _ in range(clients)]
    alarm = threading.Timer(limit, over.set)
    alarm.start()
    for thread in threads:
        thread.start()
    print("asking", flush=True)
    sys.stdin.readline()
    over.set()
    alarm.cancel()
    for thread in threads:
        thread.join()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3] == "1")
