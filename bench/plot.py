"""Draws what `bench/report.py` hands over on standard input; an SVG on standard output."""

import json
import sys
from statistics import median

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update(
    {"svg.hashsalt": "bench", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
)
from matplotlib import pyplot  # noqa: E402

data = json.load(sys.stdin)
figure, panels = pyplot.subplots(1, len(data), figsize=(2.2 * len(data), 4), sharey=True, layout="constrained")
for panel, (case, contestants) in zip(panels, data.items(), strict=True):
    names = list(reversed(contestants))
    middles = [median(contestants[name] or [0]) for name in names]
    reach = [
        [middle - min(contestants[name] or [0]), max(contestants[name] or [0]) - middle]
        for name, middle in zip(names, middles, strict=True)
    ]
    colours = ["tab:green" if name == names[-1] else "tab:gray" for name in names]
    panel.barh(names, middles, xerr=list(zip(*reach, strict=True)), color=colours, ecolor="black")
    panel.set_title(case)
    panel.set_xlabel("CPU us a request")
    panel.spines[["top", "right"]].set_visible(False)
figure.savefig(sys.stdout, metadata={"Date": None})
