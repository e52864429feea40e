"""Run a container for a while with everything on, and compare it with its beginning: tools/soak.py MINUTES.

Prints file descriptors and memory of each kind of process, and the files in /run and /tmp, before and after. The exit
code is 1 if file descriptors or files were left, or a process has grown.
"""

import itertools
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

REPO = Path(__file__).parent.parent
sys.path[:0] = [str(REPO / "tests"), str(REPO / "tests/helpers")]

from admin_port import admin_get, ip  # noqa: E402
from conftest import Container, build, certificate, docker, until  # noqa: E402
from load_client import Outcomes, client, connect_to  # noqa: E402
from processes import FAULTY, NAMES, counts, kill  # noqa: E402

WARM_UP_SECONDS = 90
"""Everything happens once before the first look."""

SETTLE_SECONDS = 65
"""Pause before a look: Nginx's cache loader runs for the first 60 s after a start."""

UPLOAD = bytes(5_000_000)
STREAM_BYTES = 1000
MAX_GROWTH_KILOBYTES = 16384
"""The app reads bodies of 5 MB as a whole, sometimes several at once."""

LOOK = """
for process in /proc/[0-9]*; do
    memory=$(sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' $process/status)
    [ -r $process/fd ] && echo "$(ls $process/fd | wc -l) $memory $(tr '\\0' ' ' < $process/cmdline)"
done
find /run /tmp ! -type d
"""

PROGRAMS = NAMES | {
    "PID 1": r"wsgi_runtime\.pid1",
    "log": r"wsgi_runtime\.log",
    "admin": r"wsgi_runtime\.admin",
}


class Soak:
    """A container of the app in tests/apps/faulty, and what happens to it."""

    def __init__(self, container: Container, folder: Path) -> None:
        self.container = container
        self.done: Counter[str] = Counter()
        self.outcomes: Outcomes = []
        self._folder = folder
        self._victims = itertools.cycle(NAMES)
        self._stopped = threading.Event()

    def run(self, seconds: float) -> None:
        """Do everything for a time."""
        self._stopped.clear()
        events: list[tuple[float, Callable[[], object]]] = [
            *((1, self.upload), (3, self.stream), (5, self.scrape)),
            *((60, self.reload), (45, self.kill), (75, self.renew)),
        ]
        threads = [threading.Thread(target=self._repeat, args=event) for event in events]
        url = f"https://{ip(self.container)}"
        threads += [
            threading.Thread(target=client, args=(url, "/quick", number % 2 == 0, 0.05, self._stopped, self.outcomes))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        self._stopped.wait(seconds)
        self._stopped.set()
        for thread in threads:
            thread.join()

    def _repeat(self, pause: float, event: Callable[[], object]) -> None:
        while not self._stopped.wait(pause):
            try:
                event()
                self.done[event.__name__] += 1
            except (OSError, HTTPException, AssertionError):  # It was in flight in a process that was killed.
                self.done[f"{event.__name__}, failed"] += 1

    def _request(self, method: str, path: str, body: bytes | None = None) -> None:
        connection = connect_to(f"https://{ip(self.container)}")
        try:
            connection.request(method, path, body)
            connection.getresponse().read(STREAM_BYTES)
        finally:
            connection.close()

    def upload(self) -> None:
        """Send a body that Nginx writes to a file."""
        self._request("POST", "/quick", UPLOAD)

    def stream(self) -> None:
        """Read the beginning of a response without end."""
        self._request("GET", "/stream?live")

    def scrape(self) -> None:
        """Read the metrics."""
        admin_get(self.container, "/metrics")

    def reload(self) -> None:
        """Replace uWSGI."""
        docker("kill", "--signal=HUP", self.container.id)

    def kill(self) -> None:
        """Kill the next kind of process."""
        kill(self.container, next(self._victims))

    def renew(self) -> None:
        """Replace the certificate."""
        certificate(self._folder)

    def look(self) -> tuple[dict[str, tuple[int, int, int]], set[str]]:
        """Return number, most file descriptors and most KB of each kind of process; and the files."""
        until(lambda: counts(self.container)["uWSGI master"] == 1, "one uWSGI is left", 120)
        time.sleep(SETTLE_SECONDS)
        lines = self.container.exec("sh", "-c", LOOK).splitlines()
        rows = [match.groups() for line in lines if (match := re.match(r"(\d+) (\d+) (.*)", line))]
        found = {}
        for name, pattern in PROGRAMS.items():
            own = [(int(files), int(memory)) for files, memory, command in rows if re.search(pattern, command)]
            found[name] = len(own), max(files for files, _ in own), max(memory for _, memory in own)
        return found, {line for line in lines if line.startswith("/")}


def table(before: dict[str, tuple[int, int, int]], after: dict[str, tuple[int, int, int]]) -> str:
    """Return the comparison as a Markdown table."""
    rows = ["| process | number | file descriptors | memory |", "| --- | --- | --- | --- |"]
    for name, (number, files, memory) in before.items():
        then = after[name]
        rows.append(
            f"| {name} | {number}, {then[0]} | {files}, {then[1]} | {memory / 1024:.1f} MB, {then[2] / 1024:.1f} MB |"
        )
    return "\n".join(rows)


def main(minutes: float) -> int:
    """Run the soak and print its result; return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        certificate(folder)
        tls = f"--volume={folder}:/tls:ro", "--env=TLS_CERT=/tls/tls.crt", "--env=TLS_KEY=/tls/tls.key"
        hardened = "--read-only", "--volume=/tmp", "--tmpfs=/run", "--cap-drop=ALL", "--memory=512m"
        options = (*tls, *hardened, FAULTY, "--env=PROCESSES=2", "--env=CACHE=on", "--env=ACCESS_LOG=off")
        container = Container(build(), options, (), publish=True).wait()
        try:
            soak = Soak(container, folder)
            soak.run(WARM_UP_SECONDS)
            before, files = soak.look()
            soak.run(minutes * 60)
            after, files_after = soak.look()
        finally:
            docker("rm", "--force", "--volumes", container.id)
    outcomes = Counter(outcome for _, _, outcome in soak.outcomes)
    print(f"{minutes:g} minutes, {datetime.now(UTC).date().isoformat()}. First value: before; second value: after.\n")
    print(table(before, after))
    print(f"\nrequests: {dict(outcomes)}\nevents: {dict(soak.done)}")
    print(
        f"files left in /run and /tmp: {sorted(files_after - files) or 'none'}; removed: {sorted(files - files_after)}"
    )
    grown = [
        name
        for name, (number, descriptors, memory) in before.items()
        if after[name][:2] > (number, descriptors) or after[name][2] > memory + MAX_GROWTH_KILOBYTES
    ]
    print(f"grown: {', '.join(grown) or 'none'}")
    return 1 if grown or files_after - files else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
