"""Draws what bench/report.py hands over on standard input, as `bars` or as `curves`: SVG on standard output."""

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


def reach(values: list[float]) -> tuple[float, float, float]:
    """The median, and how far the least and the most are from it."""
    middle = median(values or [0])
    return middle, middle - min(values or [0]), max(values or [0]) - middle


def bars(data: dict[str, Any]) -> Any:
    """CPU time by contestant, a panel for each case; the first contestant is ours."""
    figure, panels = pyplot.subplots(1, len(data), figsize=(2.2 * len(data), 4), sharey=True, layout="constrained")
    for panel, (case, contestants) in zip(panels, data.items(), strict=True):
        names = list(reversed(contestants))
        middles, below, above = zip(*(reach(contestants[name]) for name in names), strict=True)
        colours = ["tab:green" if name == names[-1] else "tab:gray" for name in names]
        panel.barh(names, middles, xerr=[below, above], color=colours, ecolor="black")
        panel.set_title(case)
        panel.set_xlabel("CPU us a request")
    return figure


def curves(data: dict[str, Any]) -> Any:
    """Throughput above, memory below, a column for each thing that grows; what had errors is left out."""
    figure, panels = pyplot.subplots(2, len(data), figsize=(2.6 * len(data), 5), layout="constrained", squeeze=False)
    for column, (what, cells) in zip(panels.T, data.items(), strict=True):
        sound = {int(value): cell for value, cell in cells.items() if not any(cell["errors"])}
        for panel, name, unit in zip(column, ("requests_per_second", "memory_mb"), ("requests/s", "MB"), strict=True):
            middles, below, above = zip(*(reach(cell[name]) for cell in sound.values()), strict=True)
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
