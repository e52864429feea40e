"""Speed, memory and faults as a picture and three figures for README, and tables for two pages of docs/.

`python -m bench.overview` writes them from bench/results.json (make bench) and bench/faults.json (make faults).
"""

import json
from statistics import median
from typing import Any

from bench.report import BENCH, GRANIAN, GTHREAD, Results, draw, figures, markdown, ratios, write_into
from bench.servers import GREENLETS, OURS

FAULTS = BENCH / "faults.json"
DOCS = BENCH.parent / "docs"

COMPARED = {
    OURS: OURS,
    GREENLETS: "this template, `GREENLETS=1000`",
    GTHREAD: GTHREAD,
    GRANIAN: GRANIAN,
    **{name: name for name in ("gunicorn sync", "gunicorn gthread", "gunicorn gevent", "uWSGI's own HTTP")},
    **{name: name for name in ("waitress", "granian", "Flask's development server")},
}
"""Setups in the table of docs/servers.md, and their names there."""


def three_figures(results: Results, faults: Results) -> str:
    """Return the table of README."""
    speed = median(ratios(results, OURS, GTHREAD, "hello"))
    lost = max(max(cell["lost"]) for cell in faults["faults"].values())
    silence = max(max(cell["seconds"]) for name, cell in faults["faults"].items() if "kill" in name)
    kind, cells = next(iter(faults["slow clients"].items()))
    slow = [f"{name} {median(cell['ratios']):,.1f} times" for name, cell in cells.items()]
    rows = [
        ["CPU time of `GET /hello`, compared with Nginx + gunicorn gthread", f"{speed:.2f} times"],
        [
            "requests lost by a killed process, `docker stop` or a reload, at most",
            f"{lost}, after {silence:.2f} s of silence",
        ],
        [f"p99 beside slow connections, {kind}", "; ".join(slow)],
    ]
    dates = f"Speed measured {results['when'][:10]}, faults {faults['when']}."
    return f"{markdown(['what', 'measured'], rows)}\n\n{dates}"


def fault_tables(faults: Results) -> str:
    """Return the tables of docs/operations.md."""
    rows = [
        [name, f"{median(cell['seconds']):.2f} s", f"{max(cell['lost'])}"] for name, cell in faults["faults"].items()
    ]
    slow = faults["slow clients"]
    servers = list(next(iter(slow.values())))
    return "\n\n".join([
        f"Measured {faults['when']}.",
        markdown(["under load", "longest silence, or time until done", "requests lost"], rows),
        markdown(
            ["beside slow connections, p99 of 4 clients", *servers],
            [[kind, *map(_slow_cell, cells.values())] for kind, cells in slow.items()],
        ),
    ])  # fmt: skip


def server_table(results: Results) -> str:
    """Return the table of docs/servers.md: a row for each server, medians of the rounds."""
    rows = []
    for name, shown in COMPARED.items():
        figure = {case: _median(figures(results, name, case)) for case in ("hello", "static-1k")}
        waiting = _median(figures(results, name, "wait", "requests_per_second"))
        starts = results["starts"].get(name, {})
        memory, seconds = _median(starts.get("memory_mb", [])), _median(starts.get("seconds", []), ".1f")
        rows.append([shown, figure["hello"], figure["static-1k"], waiting, memory, seconds])
    head = ["one core", "`/hello`, CPU us", "static 1 KB, CPU us", "waiting requests/s", "idle MB", "seconds to start"]
    return f"Measured {results['when'][:10]}.\n\n{markdown(head, rows)}"


def _median(values: list[float], form: str = ",.0f") -> str:
    return f"{median(values):{form}}" if values else ""


def _slow_cell(cell: dict[str, Any]) -> str:
    return f"{median(cell['ratios']):,.1f} times, {cell['lost']} lost" if cell["ratios"] else "no response"


def picture(results: Results, faults: Results) -> dict[str, Any]:
    """Return the data of the picture, for bench/plot.py."""
    slow = faults["slow clients"]
    return {
        "cpu_us": {name: figures(results, name, "hello") for name in results["starts"]},
        "memory_mb": {name: cell["memory_mb"] for name, cell in results["starts"].items()},
        "servers": list(next(iter(slow.values()))),
        "slow": {kind: {name: cell["ratios"] for name, cell in cells.items()} for kind, cells in slow.items()},
    }


def main() -> None:
    """Write the picture and all tables."""
    results, faults = (json.loads(path.read_text()) for path in (BENCH / "results.json", FAULTS))
    write_into(BENCH.parent / "README.md", "figures", three_figures(results, faults))
    write_into(DOCS / "operations.md", "faults", fault_tables(faults))
    write_into(DOCS / "servers.md", "servers", server_table(results))
    draw("overview", picture(results, faults), DOCS / "images/speed-and-faults.svg")


if __name__ == "__main__":
    main()
