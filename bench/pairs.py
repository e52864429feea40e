"""Compare the template with variants of itself: python -m bench.pairs CASE ROUNDS NAME=OPTIONS...

OPTIONS are options of docker run, e.g. `"no metrics=--env=ADMIN_PORT=0"`. A name without options is another server of
bench/servers.py. The variants take turns, and each ratio is of two measurements of the same round.
"""

import shlex
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench import report, run
from bench.servers import CASES, OURS, SETUPS, ours


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
    with run.serving(setups, images) as servers:
        cells = run.take_turns(servers, [case], rounds, run.right_answers(images["ours"]))
    results = {"cells": cells}
    rows = [
        [
            name,
            report.spread(report.figures(results, name, case), ".1f"),
            report.spread(report.ratios(results, name, OURS, case), ".3f"),
            f"{median(cells[name][case]['requests_per_second']):.0f}",
        ]
        for name in setups
    ]
    print(report.markdown([f"{CASES[case].what}, {rounds} rounds", "CPU us (from to)", "ratio", "requests/s"], rows))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
