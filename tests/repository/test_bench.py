"""The benchmark runs, and the figures in the documentation are those of the committed results."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import overview, report, sizes
from conftest import REPO

OTHER = "waitress"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    """Output and results of a run with two servers and one case."""
    output = tmp_path_factory.mktemp("bench") / "results.json"
    words = ["--only", report.OURS, OTHER, "--cases", "hello", "--rounds", "1", "--starts", "0", "--output", output]
    done = subprocess.run([sys.executable, REPO / "bench/run.py", *words], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(Path(output).read_text())


def test_a_run_measures_cpu_time_throughput_latency_and_memory_of_each_server(results: tuple[str, dict]) -> None:
    printed, measured = results
    for name in (report.OURS, OTHER):
        cell = measured["cells"][name]["hello"]
        assert cell["errors"] == [0]
        for figure in ("cpu_us", "requests_per_second", "p50_ms", "p99_ms", "p99.9_ms", "memory_mb"):
            assert cell[figure][0] > 0, figure
    assert f"| {OTHER} | hello |" in printed


def test_a_run_with_errors_has_no_figures(results: tuple[str, dict]) -> None:
    measured = json.loads(json.dumps(results[1]))
    cell = measured["cells"][OTHER]["hello"]
    cell["errors"] = [1]
    assert f"{cell['cpu_us'][0]:.0f}" in report.cpu_table(results[1])
    assert f"| {OTHER} | errors |" in report.cpu_table(measured)
    assert f"| {OTHER} | hello | 1 errors |" in report.spread_table(measured)
    assert report.ratios(measured, OTHER, report.OURS, "hello") == []


def test_only_changes_beyond_the_range_of_the_rounds_are_printed(results: tuple[str, dict]) -> None:
    before, after = results[1], json.loads(json.dumps(results[1]))
    assert "nothing by more than its spread" in report.moved(before, after)
    after["cells"][OTHER]["hello"]["cpu_us"][0] *= 2
    assert f"{OTHER}, hello: " in report.moved(before, after)


def test_the_documentation_has_the_figures_of_the_committed_results() -> None:
    """`python -m bench.report`, `python -m bench.overview` and `python -m bench.sizes` write them."""
    results = json.loads((REPO / "bench/results.json").read_text())
    readme = (REPO / "bench/README.md").read_text()
    faults = json.loads(overview.FAULTS.read_text())
    assert overview.three_figures(results, faults) in (REPO / "README.md").read_text()
    assert overview.fault_tables(faults) in (REPO / "docs/operations.md").read_text()
    assert overview.server_table(results) in (REPO / "docs/servers.md").read_text()
    assert report.tables(results) in readme
    assert report.growth_tables(json.loads(report.GROWTH.read_text())) in readme
    for name, table in sizes.tables().items():
        assert f"<!-- {name} -->\n\n{table}\n\n<!-- end -->" in sizes.PAGE.read_text(), name


def test_the_closed_model_agrees_with_the_measured_rates_and_medians() -> None:
    growth = json.loads(report.GROWTH.read_text())["curves"]
    for line in sizes.comparison(growth).splitlines()[2:]:
        _, rate, measured, mean, median, _, _ = (part.strip() for part in line.strip("|").split("|"))
        assert float(rate) == pytest.approx(float(measured), rel=0.25)
        assert mean == "-" or float(mean) == pytest.approx(float(median), rel=0.35)
