"""Compare the template with variants of itself: python -m bench.pairs CASE ROUNDS NAME=OPTIONS...

OPTIONS are options of docker run, e.g. `"no metrics=--env=ADMIN_PORT=0"`. A name without options is another server of
bench/servers.py. Each variant runs in COPIES containers, because the layout of memory makes one container slower than
the next. They take turns, and each ratio is of two measurements of the same round.
"""

import shlex
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench import report, run
from bench.servers import CASES, OURS, SETUPS, ours

COPIES = 3
PROGRAMS = "nginx", "uwsgi", "python3"
"""Names of the processes whose share is printed; python3 is PID 1, log and admin."""


def main(case: str, rounds: int, variants: list[str]) -> None:
    """Measure, and print a table."""
    named = {
        name: ours(*shlex.split(options)) if options else SETUPS[name]
        for name, _, options in (each.partition("=") for each in variants)
    }
    with tempfile.TemporaryDirectory() as folder:
        images = run.images(Path(folder))
    # The template itself as a variant shows the noise.
    setups = {OURS: ours(), "the same once more": ours(), **named}
    copies = {f"{name} {copy}": setup for copy in range(COPIES) for name, setup in setups.items()}
    with run.serving(copies, images) as servers:
        measured = run.take_turns(servers, [case], rounds, run.right_answers(images["ours"]))
    cells = {
        name: {case: {figure: [] for figure in measured[f"{name} 0"][case]}} for name in setups
    }  # fmt: skip
    for copy in range(COPIES):
        for name in setups:
            for figure, values in measured[f"{name} {copy}"][case].items():
                cells[name][case][figure] += values
    results = {"cells": cells}
    rows = []
    for name in setups:
        programs = cells[name][case]["programs_us"]
        rows.append([
            name,
            report.spread(report.figures(results, name, case), ".1f"),
            report.spread(report.ratios(results, name, OURS, case), ".3f"),
            *(f"{median(used.get(program, 0) for used in programs):.1f}" for program in PROGRAMS),
        ])  # fmt: skip
    head = [f"{CASES[case].what}, {rounds} rounds of {COPIES} copies", "CPU us (from to)", "ratio", *PROGRAMS]
    print(report.markdown(head, rows))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
