"""The benchmark runs, and what its README says of it is what its committed results say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import report
from conftest import REPO

OTHER = "waitress"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    """What a run of two contestants in one case prints, and its results."""
    output = tmp_path_factory.mktemp("bench") / "results.json"
    words = ["--only", report.OURS, OTHER, "--cases", "hello", "--rounds", "1", "--starts", "0", "--output", output]
    done = subprocess.run([sys.executable, REPO / "bench/run.py", *words], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(Path(output).read_text())


def test_a_run_measures_each_contestant(results: tuple[str, dict]) -> None:
    """CPU time, throughput, latency, memory; and no errors."""
    printed, measured = results
    for name in (report.OURS, OTHER):
        cell = measured["cells"][name]["hello"]
        assert cell["errors"] == [0]
        for figure in ("cpu_us", "requests_per_second", "p50_ms", "p99_ms", "p99.9_ms", "memory_mb"):
            assert cell[figure][0] > 0, figure
    assert f"| {OTHER} | hello |" in printed


def test_no_figure_is_printed_of_a_run_with_errors(results: tuple[str, dict]) -> None:
    """They would be figures of something else."""
    measured = json.loads(json.dumps(results[1]))
    cell = measured["cells"][OTHER]["hello"]
    cell["errors"] = [1]
    assert f"{cell['cpu_us'][0]:.0f}" in report.cpu_table(results[1])
    assert f"| {OTHER} | errors |" in report.cpu_table(measured)
    assert f"| {OTHER} | hello | 1 errors |" in report.spread_table(measured)
    assert report.ratios(measured, OTHER, report.OURS, "hello") == []


def test_what_moved_since_the_last_results_is_said(results: tuple[str, dict]) -> None:
    """By more than its spread, not else."""
    before, after = results[1], json.loads(json.dumps(results[1]))
    assert "nothing by more than its spread" in report.moved(before, after)
    after["cells"][OTHER]["hello"]["cpu_us"][0] *= 2
    assert f"{OTHER}, hello: " in report.moved(before, after)


def test_its_readme_has_the_committed_results() -> None:
    """`python -m bench.report` writes them."""
    results = json.loads((REPO / "bench/results.json").read_text())
    readme = (REPO / "bench/README.md").read_text()
    assert report.short_tables(results) in (REPO / "README.md").read_text()
    assert report.tables(results) in readme
    assert report.growth_tables(json.loads(report.GROWTH.read_text())) in readme
