"""Measure the template with more and more processes, threads, connections, bytes and files: `make bench-full`.

The measurements are those of bench/run.py. One value differs in each row. The results are written to bench/growth.json.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import report, run
from bench.servers import CASES, OURS, ours

ROUNDS = 3
PROCESSES = [1, 2, 4, 8]
THREADS = [1, 2, 4, 8, 16]
CONNECTIONS = [1, 10, 100, 1000, 10_000]
BODY_KILOBYTES = [1, 16, 256, 4096]
FILES = [10, 100, 1000, 10_000, 100_000]

HELLO = CASES["hello"]


def measure(servers: dict[int, run.Server], cases: dict[int, Any]) -> dict[int, dict[str, Any]]:
    """Measure each value's case on its server, in turns; return the figures of all rounds by value."""

    def load(value: int) -> dict[str, float]:
        figures = servers[value].load(cases[value])
        # Requests that the clients left in the queue are still being answered.
        servers[value].wait()
        return figures

    for value in cases:
        load(value)  # warm up
    rounds = [{value: load(value) for value in cases} for _ in range(ROUNDS)]
    return {value: {figure: [each[value][figure] for each in rounds] for figure in rounds[0][value]} for value in cases}


def write_files(folder: Path) -> None:
    """Write the static files: one of each size, and many of 1 KB."""
    for size in BODY_KILOBYTES:
        (folder / f"{size}k.bin").write_bytes(bytes(size << 10))
    for number in range(1, max(FILES) + 1):
        (folder / str(number)).write_bytes(b"0123456789abcdef" * 64)


def main() -> None:
    """Measure, write the results, print them as tables."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        images = run.images(tree)
        files = tree / "files"
        files.mkdir()
        tree.chmod(0o755)  # the container's user reads it
        write_files(files)
        curves: dict[str, dict[int, Any]] = {}
        for what, setting, numbers, case in (
            ("processes", "PROCESSES", PROCESSES, HELLO),
            ("threads, each request computes", "THREADS", THREADS, HELLO),
            ("threads, each request waits", "THREADS", THREADS, CASES["wait"]),
        ):
            run.progress(what)
            curves[what] = {}
            for number in numbers:  # one at a time: idle servers would take memory
                with run.serving({OURS: ours(f"--env={setting}={number}")}, images) as (each,):
                    curves[what] |= measure({number: each}, {number: case})
        with run.serving({OURS: ours(f"--volume={files}:/app/static/grown:ro")}, images) as (one,):
            for what, cases in (
                ("connections", {number: replace(HELLO, connections=number) for number in CONNECTIONS}),
                (
                    "KB of a static file",
                    {size: replace(HELLO, path=f"/static/grown/{size}k.bin") for size in BODY_KILOBYTES},
                ),
                ("static files", {count: replace(HELLO, path="/static/grown/", files=count) for count in FILES}),
            ):
                run.progress(what)
                curves[what] = measure(dict.fromkeys(cases, one), cases)
    results = report.rounded({"machine": run.machine(), "rounds": ROUNDS, "curves": curves})
    report.GROWTH.write_text(json.dumps(results, indent=1) + "\n")
    print(report.growth_tables(json.loads(report.GROWTH.read_text())))


if __name__ == "__main__":
    main()
