"""What a change is worth: the template as it is, and with options of docker run, in turns; ratios pair by pair.

`python -m bench.pairs hello 10 "no metrics=--env=ADMIN_PORT=0"`: a case, how many rounds, and NAME=OPTIONS for each.
"""

import shlex
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench import report, run
from bench.contestants import CASES, OURS, ours


def main(case: str, rounds: int, variants: list[str]) -> None:
    """Prints a table; `variants` are NAME=OPTIONS."""
    named = {name: ours(*shlex.split(options)) for name, _, options in (each.partition("=") for each in variants)}
    with tempfile.TemporaryDirectory() as folder:
        images = run.images(Path(folder))
    # The same once more shows what is noise.
    contestants = {OURS: ours(), "the same once more": ours(), **named}
    with run.serving(contestants, images) as servers:
        cells = run.take_turns(servers, [case], rounds, run.right_answers(images["ours"]))
    results = {"cells": cells}
    rows = [
        [
            name,
            report.spread(report.figures(results, name, case), ".1f"),
            report.spread(report.ratios(results, name, OURS, case), ".3f"),
            f"{median(cells[name][case]['requests_per_second']):.0f}",
        ]
        for name in contestants
    ]
    print(report.markdown([f"{CASES[case].what}, {rounds} rounds", "CPU us (from to)", "ratio", "requests/s"], rows))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
