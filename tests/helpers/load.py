"""Load on a container: clients that send requests while a test does something else, and the outcome of each request.

The clients run in a container of their own, in the network of the tested one: no proxy of the engine lies between.
"""

import itertools
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from conftest import DEADLINE, Container, until

SLOW = {
    "1,000 that drip headers": "-c 1000 -H -i 5 -r 500",
    "200 that drip bodies": "-c 200 -B -i 5 -r 200 -s 8192",
    "200 that read slowly": "-c 200 -X -r 200 -w 10 -y 20 -n 5 -z 32 -k 3",
}
"""Options of slowhttptest for each kind of slow client."""


@dataclass
class Load:
    """Running clients; and once they have stopped start, end (in seconds) and outcome of each request."""

    program: subprocess.Popen[str]
    outcomes: list[tuple[float, float, str]] = field(default_factory=list)

    def until_answered(self, count: int, deadline: float = DEADLINE) -> None:
        """Wait until `count` more requests are answered with 200."""
        target = self._answered_so_far() + count
        until(lambda: self._answered_so_far() >= target, f"{count} more requests are answered", deadline)

    def _answered_so_far(self) -> int:
        self.program.stdin.write("answered\n")
        self.program.stdin.flush()
        return int(self.program.stdout.readline())

    @property
    def answered(self) -> int:
        """Requests that were answered with 200."""
        return sum(outcome == "200" for _, _, outcome in self.outcomes)

    @property
    def lost(self) -> list[str]:
        """Outcomes of all other requests, except of those whose connection was refused: these were never sent."""
        return [outcome for _, _, outcome in self.outcomes if outcome not in ("200", "refused")]

    @property
    def failed(self) -> list[tuple[float, float, str]]:
        """Start, end and outcome of all requests that were not answered with 200, refused connections included."""
        return [each for each in self.outcomes if each[2] != "200"]

    @property
    def silence(self) -> float:
        """Longest time in which no request was answered, in seconds."""
        ends = sorted(end for _, end, outcome in self.outcomes if outcome == "200")
        return max(after - before for before, after in itertools.pairwise(ends))

    def percentile(self, share: float) -> float:
        """Duration that `share` of the answered requests did not exceed, in seconds."""
        durations = sorted(end - start for start, end, outcome in self.outcomes if outcome == "200")
        return durations[min(int(len(durations) * share), len(durations) - 1)]


@contextmanager
def load(container: Container, clients: int = 16, path: str = "/quick", keep_alive: bool = True) -> Iterator[Load]:
    """Run clients until the block ends; each sends one request after another."""
    words = ["docker", "run", "--rm", "--interactive", f"--network=container:{container.id}"]
    words += [f"--volume={Path(__file__).parent}:/load:ro", container.image, "python3", "-I", "/load/load_client.py"]
    with run([*words, str(clients), path, str(int(keep_alive))]) as running:
        yield running


@contextmanager
def run(command: list[str]) -> Iterator[Load]:
    """Run a command that starts load_client.py, until the block ends."""
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "started\n"
    running = Load(program)
    try:
        yield running
    finally:
        output, _ = program.communicate("stop\n")
        running.outcomes = [tuple(outcome) for outcome in json.loads(output)]
