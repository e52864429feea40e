"""Compute how many processes, containers and machines a rate of requests takes: `python -m bench.sizes`.

Two queueing models, from the measured CPU time and memory of a request (results.json, growth.json):

- Closed, as in `bench.growth`: N clients, each of which sends its next request once it has the response. The slowest
  resource decides the rate X. A client waits for those of all others, so its response time is the sum of N service
  times: N / X on average (Little's law), and Erlang-distributed if service times are exponential.
- Open, as on the internet: requests arrive at random, whether or not others are done. One core is an M/M/1 queue, whose
  response times are exponential with the mean D / (1 - load), where D is the CPU time of a request.

The tables are written to docs/scaling.md, between its markers.
"""

import json
import math
import re
from pathlib import Path
from statistics import NormalDist, median
from typing import Any

from bench import report

PAGE = Path(__file__).parent.parent / "docs/scaling.md"

LOAD = 0.6
"""Share of its CPU that a container should use at the peak: p99 is then 2.5 times that of an idle one."""

RATES = (100, 10_000, 1_000_000)
THREADS = 8
"""Threads of each process, by default."""

MACHINE_CORES = 16
WAIT_CLIENTS, WAIT_SECONDS = 200, 0.1
"""Of the case `wait` (bench/servers.py)."""

MEASURED_SECONDS = 2
"""Duration of a measurement: longer response times are cut off."""

POSTGRES_CONNECTIONS = 100
"""max_connections of PostgreSQL, by default."""


def middle(cell: dict[str, Any], figure: str) -> float:
    """Return the median of a figure."""
    return median(cell[figure])


def erlang_p99(mean: float, stages: int) -> float:
    """Return the 99th percentile of a sum of `stages` exponential times (Wilson and Hilferty's approximation)."""
    z = NormalDist().inv_cdf(0.99)
    return mean * (1 - 1 / (9 * stages) + z / math.sqrt(9 * stages)) ** 3


def open_p99(service: float, load: float) -> float:
    """Return the 99th percentile of the response time of an M/M/1 queue."""
    return service * math.log(100) / (1 - load)


def comparison(growth: dict[str, Any]) -> str:
    """Return the table that holds the closed model against the measurements."""
    rows = []
    for text, cell in growth["connections"].items():
        clients = int(text)
        if middle(cell, "requests_per_second"):
            seconds = clients * middle(cell, "cpu_us") / 1e6
            rows.append(
                (f"{clients} clients, one core", 1 / (seconds / clients), seconds, erlang_p99(seconds, clients), cell)
            )
    for text, cell in growth["threads, each request waits"].items():
        slots = int(text)  # one process, as on one CPU by default
        seconds = WAIT_CLIENTS * WAIT_SECONDS / slots
        rows.append(
            (f"{WAIT_CLIENTS} clients, {slots} threads that wait 0.1 s", slots / WAIT_SECONDS, seconds, seconds, cell)
        )
    table = []
    for name, rate, mean, p99, cell in rows:
        cut = mean > MEASURED_SECONDS
        figures = [middle(cell, figure) for figure in ("requests_per_second", "p50_ms", "p99_ms")]
        times = (
            ["-"] * 4 if cut else [f"{mean * 1e3:.1f}", f"{figures[1]:.1f}", f"{p99 * 1e3:.1f}", f"{figures[2]:.1f}"]
        )
        table.append([name, f"{rate:.0f}", f"{figures[0]:.0f}", *times])
    return report.markdown(
        ["closed model", "requests/s", "measured", "mean ms", "p50 measured", "p99 ms", "measured"], table
    )


def turn(cpu: float) -> str:
    """Return the table of p99 by load, of one core, for a CPU time in seconds."""
    loads = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    factors = [f"{1 / (1 - load):.1f}" for load in loads]
    times = [f"{open_p99(cpu, load) * 1e3:.1f}" for load in loads]
    head = ["load of the core", *(f"{load:.0%}" for load in loads)]
    return report.markdown(
        head, [["p99 against an idle core", *factors], [f"p99 ms at {cpu * 1e3:.1f} ms of CPU", *times]]
    )


def sizes(results: dict[str, Any], growth: dict[str, Any]) -> str:
    """Return the table of processes, containers and machines by rate and kind of request."""
    ours = results["cells"]["this template"]
    processes = growth["processes"]
    each = (middle(processes["8"], "memory_mb") - middle(processes["2"], "memory_mb")) / 6
    base = middle(processes["1"], "memory_mb") - each
    rows = []
    for rate in RATES:
        for case, name in (("static-1k", "static file, 1 KB"), ("hello", "small JSON"), ("page", "page of 100 KB")):
            cpu = middle(ours[case], "cpu_us") / 1e6
            cores = rate * cpu / LOAD
            containers = max(2, math.ceil(cores))
            gigabytes = containers * (base + each) / 1024
            machines = max(2, math.ceil(containers / MACHINE_CORES) + 1)
            connections = containers * THREADS if case != "static-1k" else 0
            rows.append(
                [
                    f"{rate:,}",
                    name,
                    f"{rate * cpu:,.1f}",
                    f"{containers:,}",
                    f"{gigabytes:,.1f}",
                    f"{machines:,}",
                    f"{connections:,}",
                ]
            )
    return report.markdown(
        ["requests/s", "kind", "cores busy", "containers of 1 CPU", "GB", "machines", "database connections"], rows
    )


def waiting() -> str:
    """Return the table of threads and processes by rate, for requests that wait for 50 ms."""
    rows = []
    for rate in RATES:
        threads = rate * 0.05 / LOAD
        rows.append(
            [f"{rate:,}", f"{rate * 0.05:,.0f}", f"{threads:,.0f}", f"{max(2, math.ceil(threads / THREADS)):,}"]
        )
    return report.markdown(["requests/s", "in flight", "threads", "processes of 8"], rows)


def tables() -> dict[str, str]:
    """Return each generated part of docs/scaling.md by the name of its marker."""
    results = json.loads((report.BENCH / "results.json").read_text())
    growth = json.loads(report.GROWTH.read_text())["curves"]
    page = middle(results["cells"]["this template"]["page"], "cpu_us") / 1e6
    return {"comparison": comparison(growth), "turn": turn(page), "sizes": sizes(results, growth), "waiting": waiting()}


def main() -> None:
    """Write the tables to docs/scaling.md."""
    text = PAGE.read_text()
    for name, table in tables().items():
        text = re.sub(
            f"(?s)(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}",
            text,
        )
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
