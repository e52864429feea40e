"""How the template grows with processes, connections, bodies and files: `make bench-full`.

Figures as bench/run.py takes them, of this template alone, into bench/growth.json; one value differs in each row.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from bench import report, run
from bench.contestants import CASES, CONTESTANTS, OURS

ROUNDS = 3
PROCESSES = [1, 2, 4, 8]
CONNECTIONS = [1, 10, 100, 1000, 4000]
BODIES = [1, 16, 256, 4096]
"""KB."""


def measure(images: dict[str, str], options: tuple[str, ...], cases: dict[int, Any]) -> dict[int, dict[str, Any]]:
    """Each case of one container, in rounds."""
    server = run.Server(OURS, replace(CONTESTANTS[OURS], options=options), images)
    try:
        rounds = [{value: server.load(case) for value, case in cases.items()} for _ in range(ROUNDS)]
    finally:
        server.remove()
    return {value: {figure: [each[value][figure] for each in rounds] for figure in rounds[0][value]} for value in cases}


def table(what: str, rows: dict[Any, dict[str, Any]]) -> str:
    """One curve."""
    return report.markdown(
        [what, "CPU us (from to)", "requests/s", "p99 ms", "MB"],
        [
            [str(value), "errors", "", "", ""]
            if any(cell["errors"])
            else [
                str(value),
                report.spread(cell["cpu_us"], ".0f"),
                f"{median(cell['requests_per_second']):.0f}",
                f"{median(cell['p99_ms']):.1f}",
                f"{max(cell['memory_mb']):.0f}",
            ]
            for value, cell in rows.items()
        ],
    )


def main() -> None:
    """Measures, writes and prints."""
    hello = CASES["hello"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        run.lay_out(tree)
        for size in BODIES:
            (tree / f"ours/src/src/static/{size}k.bin").write_bytes(bytes(size << 10))
        images = {"ours": run.build(tree / "ours"), "client": run.build(tree / "others", "--target=client")}
    curves = {
        "processes": {
            number: measure(images, (f"--env=WEB_CONCURRENCY={number}",), {number: hello})[number]
            for number in PROCESSES
        },
        "connections": measure(images, (), {number: replace(hello, connections=number) for number in CONNECTIONS}),
        "KB of a static file": measure(
            images, (), {size: replace(hello, path=f"/static/{size}k.bin") for size in BODIES}
        ),
    }
    results = {"machine": run.machine(), "rounds": ROUNDS, "curves": curves}
    (run.BENCH / "growth.json").write_text(json.dumps(report.rounded(results), indent=1) + "\n")
    print("\n\n".join(table(what, rows) for what, rows in curves.items()))


if __name__ == "__main__":
    main()
