"""Draw a plot: plot.py overview|bars|curves reads the data of bench/report.py as JSON and writes SVG."""

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


def overview(data: dict[str, Any]) -> Any:
    """Draw CPU time of a request and idle memory of all servers, and the p99 of ordinary clients beside slow ones."""
    figure, panels = pyplot.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    titles = "Speed: CPU time of GET /hello, in microseconds", "Memory when idle, in MB"
    for panel, figures, title in zip(panels, (data["cpu_us"], data["memory_mb"]), titles, strict=False):
        names = list(reversed(figures))
        middles, below, above = zip(*(median_and_range(figures[name]) for name in names), strict=True)
        colors = ["tab:gray"] * (len(names) - 1) + ["tab:green"]
        panel.barh(names, middles, xerr=[below, above], color=colors, ecolor="black")
        panel.set_title(title, fontsize=9)
    panels[1].set_yticklabels([])
    right = panels[2]
    for offset, (server, color) in enumerate(zip(data["servers"], ("tab:green", "tab:gray"), strict=True)):
        ratios = [median(cells[server] or [0]) for cells in data["slow"].values()]
        places = [-place - 0.4 * offset for place in range(len(ratios))]
        bars = right.barh(places, ratios, height=0.38, color=color, label=server)
        right.bar_label(bars, [f" {ratio:,.1f}" for ratio in ratios])
    right.set_yticks([-place - 0.2 for place in range(len(data["slow"]))], list(data["slow"]))
    right.set_xscale("log")
    right.set_xlim(0.5, 50_000)
    right.legend(loc="upper center", bbox_to_anchor=(0.4, -0.1), ncols=2, frameon=False)
    right.set_title("Faults: p99 beside slow clients, times normal", fontsize=9)
    return figure


drawn = {"overview": overview, "bars": bars, "curves": curves}[sys.argv[1]](json.load(sys.stdin))
for panel in drawn.axes:
    panel.spines[["top", "right"]].set_visible(False)
drawn.savefig(sys.stdout, facecolor="white", metadata={"Date": None})
