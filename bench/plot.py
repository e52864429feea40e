"""Draw a plot: plot.py bars|curves reads the data of bench/report.py as JSON and writes SVG."""

import json
import sys
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update(
    {"svg.hashsalt": "bench", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
)
from matplotlib import pyplot  # noqa: E402


def median_and_range(values: list[float]) -> tuple[float, float, float]:
    """Return the median, and the distances of minimum and maximum from it."""
    middle = median(values or [0])
    return middle, middle - min(values or [0]), max(values or [0]) - middle


def bars(data: dict[str, Any]) -> Any:
    """Draw the CPU time by server, with a panel for each case. The first server is the template."""
    figure, panels = pyplot.subplots(1, len(data), figsize=(2.2 * len(data), 4), sharey=True, layout="constrained")
    for panel, (case, servers) in zip(panels, data.items(), strict=True):
        names = list(reversed(servers))
        middles, below, above = zip(*(median_and_range(servers[name]) for name in names), strict=True)
        colours = ["tab:green" if name == names[-1] else "tab:gray" for name in names]
        panel.barh(names, middles, xerr=[below, above], color=colours, ecolor="black")
        panel.set_title(case)
        panel.set_xlabel("CPU us a request")
    return figure


def curves(data: dict[str, Any]) -> Any:
    """Draw throughput above memory, with a column for each growing quantity, without runs that had errors."""
    figure, panels = pyplot.subplots(2, len(data), figsize=(2.6 * len(data), 5), layout="constrained", squeeze=False)
    for column, (what, cells) in zip(panels.T, data.items(), strict=True):
        sound = {int(value): cell for value, cell in cells.items() if not any(cell["errors"])}
        for panel, name, unit in zip(column, ("requests_per_second", "memory_mb"), ("requests/s", "MB"), strict=True):
            middles, below, above = zip(*(median_and_range(cell[name]) for cell in sound.values()), strict=True)
            panel.errorbar(list(sound), middles, yerr=[below, above], color="tab:green", ecolor="black", marker="o")
            panel.set_xscale("log")
            panel.set_xticks(list(sound), [f"{value:,}" for value in sound], rotation=45)
            panel.minorticks_off()
            panel.set_ylim(0, 1.1 * max(map(sum, zip(middles, above, strict=True))))
            panel.set_ylabel(unit)
        column[0].set_title(what.replace(", ", ",\n"))
    return figure


drawn = {"bars": bars, "curves": curves}[sys.argv[1]](json.load(sys.stdin))
for panel in drawn.axes:
    panel.spines[["top", "right"]].set_visible(False)
drawn.savefig(sys.stdout, metadata={"Date": None})
