"""Results as tables and plots, and their comparison with earlier results.

`python -m bench.report` writes those of bench/results.json and bench/growth.json into bench/README.md and its plots.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from bench.servers import BARE, CACHE, CASES, GREENLETS, OURS, SENDFILE, SETUPS

BENCH = Path(__file__).parent
GROWTH = BENCH / "growth.json"
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
TIANGOLO, GTHREAD, GRANIAN = "Nginx + uWSGI, tiangolo's", "Nginx + gunicorn gthread", "Nginx + granian"

Results = dict[str, Any]


def rounded(value: Any) -> Any:
    """Return the value with all numbers in it rounded to four significant digits."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def figures(results: Results, name: str, case: str, figure: str = "cpu_us") -> list[float]:
    """Return the figure of each round; nothing if a round had errors."""
    cell = results["cells"].get(name, {}).get(case, {})
    return [] if any(cell.get("errors", [])) else cell.get(figure, [])


def ratios(results: Results, one: str, other: str, case: str, figure: str = "cpu_us") -> list[float]:
    """Return the ratios of one server's figure to another's, round by round."""
    pairs = zip(figures(results, one, case, figure), figures(results, other, case, figure), strict=False)
    return [mine / theirs for mine, theirs in pairs]


def spread(values: list[float], form: str) -> str:
    """Return median, minimum and maximum as text."""
    if not values:
        return "-"
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


# --- Goals ---


def goals(results: Results) -> list[tuple[str, str, list[float], bool]]:
    """Return the goals: text, limit, measured values, and True if the limit is a minimum."""

    def against(other: str, case: str, figure: str = "cpu_us") -> list[float]:
        return ratios(results, OURS, other, case, figure)

    cached = zip(figures(results, CACHE, "cacheable"), figures(results, OURS, "static-1k"), strict=False)
    waiting = figures(results, GREENLETS, "wait", "requests_per_second")
    ideal = CASES["wait"].connections / 0.1
    return [
        ("`/hello`: CPU time against the bare Nginx + uWSGI", "1.10", against(BARE, "hello"), False),
        ("... against tiangolo's", "0.75", against(TIANGOLO, "hello"), False),
        ("... against Nginx + gunicorn gthread", "0.45", against(GTHREAD, "hello"), False),
        ("... against waitress", "0.75", against("waitress", "hello"), False),
        ("... against Nginx + granian", "1.0", against(GRANIAN, "hello"), False),
        ("... against granian with nothing in front", "1.6", against("granian", "hello"), False),
        ("static 1 KB: CPU time against nothing but sendfile", "1.15", against(SENDFILE, "static-1k"), False),
        ("... against tiangolo's", "0.6", against(TIANGOLO, "static-1k"), False),
        ("cacheable, with `CACHE=on`: CPU time against static 1 KB", "1.15", [a / b for a, b in cached], False),
        ("wait: requests a second against gunicorn's sync workers", "5",
         against("gunicorn sync", "wait", "requests_per_second"), True),
        ("wait with `GREENLETS`: requests a second against the ideal", "0.9", [rate / ideal for rate in waiting], True),
        ("p99 of `/hello` at half of the peak against the best with Nginx in front", "1.1",
         lowest(results["half of peak"], "p99_ms", behind_nginx), False),
        ("idle memory against tiangolo's", "1", lowest(results["starts"], "memory_mb", TIANGOLO.__eq__), False),
    ]  # fmt: skip


def behind_nginx(name: str) -> bool:
    """Return True if the server runs behind Nginx."""
    return SETUPS[name].behind_nginx


def lowest(measured: dict[str, dict[str, list[float]]], figure: str, compared: Callable[[str], bool]) -> list[float]:
    """Return the ratios of our figure to that of the best other server without errors, round by round."""
    sound = {name: cell for name, cell in measured.items() if cell[figure] and not any(cell.get("errors", []))}
    others = [cell for name, cell in sound.items() if name != OURS and compared(name)]
    if OURS not in sound or not others:
        return []
    best = min(others, key=lambda cell: median(cell[figure]))
    return [mine / theirs for mine, theirs in zip(sound[OURS][figure], best[figure], strict=True)]


def goal_table(results: Results) -> str:
    """Return the table of goals."""
    rows = []
    for what, limit, values, at_least in goals(results):
        if values:
            met = median(values) >= float(limit) if at_least else median(values) <= float(limit)
            rows.append(
                [what, f"at {'least' if at_least else 'most'} {limit}", spread(values, ".2f"), "yes" if met else "no"]
            )
    return markdown(["what", "goal", "median (from to)", "met"], rows)


# --- All results ---


def cpu_table(results: Results, names: Iterable[str] = (), cases: Iterable[str] = CASES) -> str:
    """Return the table of CPU time by request, absolute and relative to ours; of all servers unless some are named."""
    rows = []
    for name in names or results["cells"]:
        row, cells = [name], results["cells"][name]
        for case in cases:
            if any(cells.get(case, {}).get("errors", [])):
                row.append("errors")
            elif values := figures(results, name, case):
                times = ratios(results, name, OURS, case)
                row.append(f"{median(values):.0f}" + (f" ({median(times):.2f})" if times and name != OURS else ""))
            else:
                row.append("")
        rows.append(row)
    return markdown(["CPU us a request (times ours)", *cases], rows)


def spread_table(results: Results) -> str:
    """Return the table of all figures, with a row for each server and case."""
    rows = []
    for name, cells in results["cells"].items():
        for case, cell in cells.items():
            if any(cell["errors"]):
                rows.append([name, case, f"{sum(cell['errors']):.0f} errors", *[""] * 5])
            elif "p50_ms" in cell:
                rows.append([
                    name, case,
                    spread(cell["cpu_us"], ".0f"),
                    f"{median(cell['requests_per_second']):.0f}",
                    *(f"{median(cell[f'{percentile}_ms']):.1f}" for percentile in PERCENTILES),
                    f"{max(cell['memory_mb']):.0f}",
                ])  # fmt: skip
    return markdown(["server", "case", "CPU us (from to)", "requests/s", "p50 ms", "p99", "p99.9", "peak MB"], rows)


def rate_table(results: Results) -> str:
    """Return the table of latency at half of each server's peak rate."""
    rows = []
    for name, cell in results["half of peak"].items():
        if any(cell["errors"]):
            rows.append([name, "errors", *[""] * 4])
        else:
            columns = [f"{median(cell[f'{percentile}_ms']):.2f}" for percentile in PERCENTILES]
            rows.append([name, f"{cell['rate'][0]:.0f}", f"{median(cell['sent_per_second']):.0f}", *columns])
    return markdown(["`/hello` at half of the peak", "due a second", "sent", "p50 ms", "p99", "p99.9"], rows)


def start_table(results: Results) -> str:
    """Return the table of seconds to the first 200 and of idle memory."""
    rows = [
        [name, spread(cell["seconds"], ".2f"), spread(cell["memory_mb"], ".0f")]
        for name, cell in results["starts"].items()
    ]
    return markdown(["server", "seconds to the first 200", "idle MB"], rows)


def tables(results: Results) -> str:
    """Return all tables, after date, machine and cases."""
    machine = results["machine"]
    return "\n\n".join([
        f"Measured {results['when'][:10]}, {results['rounds']} rounds, on {machine['cpu']}, {machine['kernel']}, "
        f"engine {machine['engine']}.",
        "\n".join(f"- {name}: {case.what}" for name, case in CASES.items()),
        goal_table(results), cpu_table(results), rate_table(results), start_table(results), spread_table(results),
    ])  # fmt: skip


def growth_tables(results: Results) -> str:
    """Return a table for each curve of bench/growth.py."""
    tables = []
    for what, cells in results["curves"].items():
        rows = []
        for value, cell in cells.items():
            if any(cell["errors"]):
                rows.append([value, f"{sum(cell['errors']):.0f} errors", *[""] * 3])
            else:
                rows.append([
                    value,
                    spread(cell["cpu_us"], ".0f"),
                    f"{median(cell['requests_per_second']):.0f}",
                    f"{median(cell['p99_ms']):.1f}",
                    f"{max(cell['memory_mb']):.0f}",
                ])  # fmt: skip
        tables.append(markdown([what, "CPU us (from to)", "requests/s", "p99 ms", "peak MB"], rows))
    return "\n\n".join(tables)


def moved(before: Results, after: Results) -> str:
    """Return the ratios to ours whose ranges before and after do not overlap, as text."""
    lines = []
    for name, cells in after["cells"].items():
        for case in cells:
            if name == OURS:
                continue
            old, new = ratios(before, name, OURS, case), ratios(after, name, OURS, case)
            if old and new and (min(new) > max(old) or max(new) < min(old)):
                lines.append(f"{name}, {case}: {median(old):.2f} times ours, now {median(new):.2f}")
    return "Moved since the last commit of the results:\n" + ("\n".join(lines) or "nothing by more than its spread")


# --- Files ---


def write_into(path: Path, mark: str, text: str) -> None:
    """Replace the text between the marks <!-- MARK --> and <!-- end -->."""
    before, start, rest = path.read_text().partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition("<!-- end -->")
    assert start and end, f"{path} has no place for {mark}"
    path.write_text(f"{before}{start}\n{text}\n\n{end}{after}")


def draw(kind: str, data: dict[str, Any], path: Path) -> None:
    """Draw a plot in a container that has matplotlib, and write it."""
    with tempfile.TemporaryDirectory() as tree:
        for name in ("Dockerfile", "plot.py"):
            (Path(tree) / name).write_text((BENCH / name).read_text())
        words = [BENCH.parent / "tools/build", "--quiet", "--target=plot", tree]
        image = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    words = ["docker", "run", "--rm", "--interactive", image, kind]
    path.write_text(subprocess.run(words, input=json.dumps(data), text=True, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    """Write all tables and plots."""
    results, growth = (json.loads(path.read_text()) for path in (BENCH / "results.json", GROWTH))
    write_into(BENCH / "README.md", "bench", tables(results))
    write_into(BENCH / "README.md", "growth", growth_tables(growth))
    names = [name for name, cells in results["cells"].items() if set(cells) == set(CASES)]
    draw(
        "bars",
        {case: {name: figures(results, name, case) for name in names} for case in CASES},
        BENCH / "plot.svg",
    )
    draw("curves", growth["curves"], BENCH / "growth.svg")
    sys.stdout.write(goal_table(results) + "\n")


if __name__ == "__main__":
    main()
