"""Measure the template and the servers that people would use instead: `make bench`, or parts: bench/run.py --help.

Each server is a container on the first core. Its clients are another one on the second core, in the same network
namespace. The servers take turns of a second, in rounds, and each ratio is of two measurements of the same round. CPU
time is the kernel's account of the container, so other work on the machine hardly affects it.
"""

import argparse
import hashlib
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

BENCH = Path(__file__).parent
REPO = BENCH.parent
sys.path[:0] = [str(REPO), str(REPO / "tests")]

from bench import report  # noqa: E402
from bench.servers import CASES, FLASK, SETUPS, Case, Setup  # noqa: E402
from conftest import CONTEXT, SESSION_LABEL, docker, until  # noqa: E402

RESULTS = BENCH / "results.json"
PRIORITY = ("--cpu-shares=16384",)
"""A measured container gets 16 times the CPU time of another container on the same core."""
DISPATCHES = 3000
"""Calls of Flask in one measurement without a server."""
RATE_CONNECTIONS = 100
"""Connections of h2load: enough that a slow response delays no request that is due."""
IDLE_SECONDS = 3
"""Time after the last request at which idle memory is measured."""


def lay_out(tree: Path) -> None:
    """Create the folders that the images are built in; ours is a copy of the template with the app of bench/apps."""
    app, ours, others = tree / "app", tree / "ours", tree / "others"
    shutil.copytree(BENCH / "apps", app)
    (app / "cases.py").rename(app / "routes.py")
    (app / "bare.py").unlink()
    shutil.copytree(REPO / "src", app / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (app / "static").symlink_to("src/static")
    (app / "static/1k.txt").write_bytes(b"0123456789abcdef" * 64)
    (app / "static/1m.bin").write_bytes(bytes(range(256)) * 4096)
    for name in CONTEXT:
        copy = shutil.copytree if (REPO / name).is_dir() else shutil.copy
        ours.mkdir(exist_ok=True)
        copy(REPO / name, ours / name)
    shutil.copytree(app, ours / "src", symlinks=True)
    others.mkdir()
    app.rename(others / "app")
    for name in ("Dockerfile", "requirements.lock", "wrk.lua", "plot.py"):
        shutil.copy(BENCH / name, others / name)
    (others / "upload.json").write_text(upload())


def upload() -> str:
    """Return 64 KB of JSON."""
    return json.dumps(
        {"items": [{"id": number, "name": f"item {number}", "tags": ["a", "b"]} for number in range(1180)]}
    )


def build(tree: Path, *options: str) -> str:
    """Build an image; return its id."""
    command = [REPO / "tools/build", "--quiet", "--label", SESSION_LABEL, *options, tree]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: an image failed to build: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def images(tree: Path) -> dict[str, str]:
    """Build all images in the folder `tree`; return their ids by name."""
    progress("building the images")
    lay_out(tree)
    return {
        "ours": build(tree / "ours"),
        "others": build(tree / "others", "--target=others"),
        "client": build(tree / "others", "--target=client"),
    }


def cgroup(pid: int, controller: str) -> Path:
    """Return the folder of a process's cgroup, version 1 or 2."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path("/sys/fs/cgroup", controller, path[1:])
        if not controllers:
            unified = Path("/sys/fs/cgroup", path[1:])
    return unified


class Server:
    """Running container of a server, and the container of its clients."""

    def __init__(self, name: str, setup: Setup, images: dict[str, str]) -> None:
        self.name, self.setup = name, setup
        command = shlex.split(setup.command)
        options = [option.format(bench=BENCH) for option in setup.options]
        began = time.perf_counter()
        self.id = docker(
            *("run", "--detach", *PRIORITY, f"--cpuset-cpus=0-{setup.cores - 1}", "--publish=127.0.0.1::80"),
            *(f"--volume={BENCH}/configs:/configs:ro", *options, images[setup.image], *command),
        )
        try:
            self.url = f"http://{docker('port', self.id, '80').splitlines()[0]}"
            self.wait()
            self.seconds_to_first_answer = time.perf_counter() - began
            pid = int(docker("inspect", "--format={{.State.Pid}}", self.id))
            self.cpu, self.memory = cgroup(pid, "cpuacct"), cgroup(pid, "memory")
            self.client = docker(
                *("run", "--detach", "--init", *PRIORITY, "--cpuset-cpus=1", f"--network=container:{self.id}"),
                *(images["client"], "sleep", "infinity"),
            )
        except BaseException:
            print(docker("logs", "--tail=20", self.id, check=False), file=sys.stderr)
            docker("rm", "--force", "--volumes", self.id)
            raise

    def remove(self) -> None:
        """Remove both containers."""
        docker("rm", "--force", "--volumes", self.client, self.id)

    def wait(self) -> None:
        """Wait until it answers."""
        until(self.answers, f"{self.name} answers", 60)

    def answers(self) -> bool:
        """Return True if it answers with 200."""
        assert docker("inspect", "--format={{.State.Running}}", self.id) == "true", f"{self.name} has exited"
        if self.name == FLASK:
            return True
        try:
            path = CASES[self.setup.cases[0]].path
            return requests.get(self.url + path, timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used so far."""
        if (self.cpu / "cpuacct.usage").exists():
            return int((self.cpu / "cpuacct.usage").read_text()) / 1e9
        usage = (self.cpu / "cpu.stat").read_text().split()
        return int(usage[usage.index("usage_usec") + 1]) / 1e6

    def program_seconds(self) -> Counter[str]:
        """Return the CPU time that its processes have used so far, by their names (schedstat of proc(5))."""
        used: Counter[str] = Counter()
        for process in map(int, (self.cpu / "cgroup.procs").read_text().split()):
            with suppress(OSError):  # it has ended
                name = Path(f"/proc/{process}/comm").read_text().strip()
                for task in Path(f"/proc/{process}/task").iterdir():
                    used[name] += int((task / "schedstat").read_text().split()[0]) / 1e9
        return used

    def memory_bytes(self) -> int:
        """Return its memory without inactive page cache, as `docker stats` does."""
        stat = dict(line.split() for line in (self.memory / "memory.stat").read_text().splitlines())
        v1 = self.memory / "memory.usage_in_bytes"
        usage = int((v1 if v1.exists() else self.memory / "memory.current").read_text())
        return usage - int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))

    def check(self, case: str, expected: str) -> str:
        """Return the difference between its response and the right one, as text; empty if there is none."""
        path, is_upload = CASES[case].path, CASES[case].upload
        try:
            if is_upload:
                answer = requests.post(
                    self.url + path, upload(), headers={"Content-Type": "application/json"}, timeout=30
                )
            else:
                answer = requests.get(self.url + path, headers={"Accept-Encoding": "identity"}, timeout=30)
        except requests.RequestException as error:
            return repr(error)
        if answer.status_code != 200 or hashlib.sha256(answer.content).hexdigest() != expected:
            return f"status {answer.status_code}, {len(answer.content)} bytes, wrong content"
        return ""

    def load(self, case: Case) -> dict[str, Any]:
        """Run clients that send the next request after each response; return the figures of wrk and of the kernel."""
        words = ["wrk", "-t1", f"-c{case.connections}", f"-d{case.seconds}s", "--timeout=30s", "-s/bench/wrk.lua"]
        words += [f"http://127.0.0.1:80{case.path}"]
        if case.upload or case.files:
            words += ["--", *(["/bench/upload.json"] if case.upload else ["--files", str(case.files)])]
        before, programs = self.cpu_seconds(), self.program_seconds()
        output = docker("exec", self.client, *words)
        cpu, used = self.cpu_seconds() - before, self.program_seconds() - programs
        result = json.loads(output.splitlines()[-1])
        done = max(result["requests"], 1)
        return {
            "cpu_us": cpu / done * 1e6,
            "programs_us": {name: seconds / done * 1e6 for name, seconds in used.items()},
            "requests_per_second": result["requests"] / result["seconds"],
            "bytes_per_cpu_second": result["bytes"] / cpu,
            **{f"{name}_ms": result[name] / 1000 for name in ("p50", "p99", "p99.9")},
            "memory_mb": self.memory_bytes() / 1e6,
            "errors": result["errors"] + (result["requests"] == 0),
        }

    def dispatch(self) -> dict[str, float]:
        """Call Flask without a server; return the figures."""
        return {"cpu_us": float(docker("exec", self.id, "python3", "dispatch.py", str(DISPATCHES))), "errors": 0}

    def load_at_rate(self, case: Case, rate: float, seconds: int) -> dict[str, float]:
        """Run clients that send requests at a rate; return the figures of h2load."""
        # Without a timeout h2load never exits if the server closes its connections.
        words = ["timeout", str(seconds + 5), "h2load", "--h1", f"-c{RATE_CONNECTIONS}", f"-D{seconds}"]
        words += [f"--rps={rate / RATE_CONNECTIONS:.3f}", "--log-file=/dev/stderr", f"http://127.0.0.1:80{case.path}"]
        done = subprocess.run(["docker", "exec", self.client, *words], capture_output=True, text=True)
        rows = [line.split("\t") for line in done.stderr.splitlines() if line.count("\t") == 2]
        taken = sorted(int(row[2]) / 1000 for row in rows) or [0]
        return {
            "rate": rate,
            "sent_per_second": len(rows) / seconds,
            **{f"{name}_ms": taken[int(len(taken) * part)] for name, part in report.PERCENTILES.items()},
            "errors": sum(row[1] != "200" for row in rows) + (done.returncode != 0),
        }


@contextmanager
def serving(setups: dict[str, Setup], images: dict[str, str]) -> Iterator[list[Server]]:
    """Start the servers one after the other; remove them at the end."""
    servers: list[Server] = []
    try:
        for name, setup in setups.items():
            progress(f"starting {name}")
            servers.append(Server(name, setup, images))
        yield servers
    finally:
        for server in servers:
            server.remove()


def progress(message: str) -> None:
    """Print a message on standard error."""
    print(f"bench: {message}", file=sys.stderr, flush=True)


def right_answers(image: str) -> dict[str, str]:
    """Return the SHA-256 of the response body of each case, by Flask without a server."""
    paths = [(name, case.path, upload() if case.upload else None) for name, case in CASES.items()]
    done = subprocess.run(
        ["docker", "run", "--rm", "--interactive", image, "python3", "dispatch.py"],
        input=json.dumps(paths),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"bench: the app fails: {done.stderr}")
    answers: dict[str, str] = json.loads(done.stdout)
    return answers


def take_turns(servers: list[Server], cases: list[str], rounds: int, answers: dict[str, str]) -> dict[str, Any]:
    """Measure all rounds; return the figures by server and case, each a list with one value for each round."""
    cells: dict[str, Any] = {server.name: {} for server in servers}
    turns = [(case, server) for case in cases for server in servers if case in server.setup.cases]
    checked = [(case, server) for case, server in turns if server.name != FLASK]
    wrong = [
        f"{server.name}, {case}: {found}" for case, server in checked if (found := server.check(case, answers[case]))
    ]
    if wrong:
        raise SystemExit("bench: wrong answers: " + "; ".join(wrong))
    for number in range(1, rounds + 1):
        began = time.monotonic()
        for case, server in turns:
            figures = server.dispatch() if server.name == FLASK else server.load(CASES[case])
            for figure, value in figures.items():
                cells[server.name].setdefault(case, {}).setdefault(figure, []).append(value)
        progress(f"round {number} of {rounds} took {time.monotonic() - began:.0f} s")
    for case, server in checked:
        # Requests that the clients have given up are still being served.
        until(
            lambda server=server, case=case: not server.check(case, answers[case]), f"{server.name} answers {case}", 60
        )
    return cells


def at_half_of_peak(servers: list[Server], cells: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Measure /hello at half of each server's peak rate; return the figures by server."""
    taken: dict[str, Any] = {}
    for _ in range(rounds):
        for server in servers:
            rates = cells[server.name].get("hello", {}).get("requests_per_second")
            if rates:
                figures = server.load_at_rate(CASES["hello"], statistics.median(rates) / 2, 2)
                for figure, value in figures.items():
                    taken.setdefault(server.name, {}).setdefault(figure, []).append(value)
    return taken


def starts(names: list[str], images: dict[str, str], rounds: int) -> dict[str, Any]:
    """Measure seconds from `docker run` to the first 200, and idle memory after 100 requests; return them by server."""
    taken: dict[str, Any] = {name: {"seconds": [], "memory_mb": []} for name in names if rounds}
    for _ in range(rounds):
        for name in names:
            server = Server(name, SETUPS[name], images)
            try:
                for _ in range(100):
                    server.check("hello", "")
                time.sleep(IDLE_SECONDS)
                taken[name]["seconds"].append(server.seconds_to_first_answer)
                taken[name]["memory_mb"].append(server.memory_bytes() / 1e6)
            finally:
                server.remove()
    return taken


def machine() -> dict[str, Any]:
    """Return CPU, kernel and engine of this machine."""
    model = next(line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    return {
        "cpu": f"{os.cpu_count()} cores of {model}",
        "kernel": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "engine": docker("version", "--format={{.Server.Version}}"),
    }


def committed() -> dict[str, Any] | None:
    """Return the committed results."""
    shown = subprocess.run(["git", "show", "HEAD:bench/results.json"], cwd=REPO, capture_output=True, text=True)
    results: dict[str, Any] | None = json.loads(shown.stdout) if shown.returncode == 0 else None
    return results


def main() -> None:
    """Measure, write the results, print them as tables, and compare them with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SETUPS, default=list(SETUPS), metavar="SERVER")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=3, help="number of measured starts")
    parser.add_argument("--output", type=Path, default=RESULTS)
    wanted = parser.parse_args()
    names, cases = wanted.only, wanted.cases
    if (os.cpu_count() or 1) < 2:
        parser.error("two cores are needed: one for the servers, one for their clients")
    whole = [name for name in names if SETUPS[name].cases == tuple(CASES)]

    with tempfile.TemporaryDirectory() as folder:
        built = images(Path(folder))
    answers = right_answers(built["ours"])
    with serving({name: SETUPS[name] for name in names}, built) as servers:
        cells = take_turns(servers, cases, wanted.rounds, answers)
        progress("at half of the peak")
        rates = at_half_of_peak([server for server in servers if server.name in whole], cells, wanted.rounds)
    progress("starts")
    begun = starts(whole, built, wanted.starts)
    results = {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": machine(),
        "rounds": wanted.rounds,
        "cells": cells,
        "half of peak": rates,
        "starts": begun,
    }
    wanted.output.write_text(json.dumps(report.rounded(results), indent=1) + "\n")
    print(report.tables(results))
    if before := committed():
        print(report.moved(before, results))


if __name__ == "__main__":
    main()
