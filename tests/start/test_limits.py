"""CPU and memory limits of the container, read from folders laid out like /proc and /sys of cgroup v1 and v2."""

from pathlib import Path

import pytest

from wsgi_runtime.start import limits

V2 = "0::/\n"
V1 = "4:memory:/docker/abc\n3:cpuset:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/docker/abc\n"
HOST_NAMESPACE = "0::/system.slice/docker-abc.scope\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root folder of a machine with 8 CPUs and 16 GiB."""
    monkeypatch.setattr(limits.os, "sched_getaffinity", lambda _: set(range(8)))
    write(tmp_path, {"proc/meminfo": "MemFree: 1 kB\nMemTotal:       16777216 kB\n"})
    return tmp_path


def write(root: Path, files: dict[str, str]) -> None:
    """Write files, and create their folders."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("cgroup", "files", "cpus", "cpus_from", "memory", "memory_from"),
    [
        pytest.param(V2, {}, 8, "the machine", 16 << 30, "the machine", id="v2: no limits"),
        pytest.param(
            V2,
            {"cpu.max": "max 100000\n", "memory.max": "max\n", "cpuset.cpus.effective": "0-7\n"},
            8,
            "its cpuset",
            16 << 30,
            "the machine",
            id="v2: unlimited",
        ),
        pytest.param(V2, {"cpu.max": "50000 100000\n"}, 0.5, "its CPU quota", 16 << 30, "the machine", id="v2: quota"),
        pytest.param(
            V2, {"cpuset.cpus.effective": "0-1,4\n"}, 3, "its cpuset", 16 << 30, "the machine", id="v2: cpuset"
        ),
        pytest.param(
            V2, {"memory.max": "268435456\n"}, 8, "the machine", 256 << 20, "its memory limit", id="v2: memory"
        ),
        pytest.param(
            V2,
            {"cpu.max": "300000 100000\n", "cpuset.cpus.effective": "2-3\n"},
            2,
            "its cpuset",
            16 << 30,
            "the machine",
            id="v2: the tighter of two limits",
        ),
        pytest.param(
            HOST_NAMESPACE,
            {
                "system.slice/docker-abc.scope/cpu.max": "max 100000\n",
                "system.slice/cpu.max": "150000 100000\n",
                "system.slice/docker-abc.scope/memory.max": "536870912\n",
                "system.slice/memory.max": "1073741824\n",
            },
            1.5,
            "its CPU quota",
            512 << 20,
            "its memory limit",
            id="v2: its own cgroup, and the parent",
        ),
        pytest.param(
            V1,
            {
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            8,
            "the machine",
            16 << 30,
            "the machine",
            id="v1: unlimited",
        ),
        pytest.param(
            V1,
            {"cpu/cpu.cfs_quota_us": "25000\n", "cpu/cpu.cfs_period_us": "100000\n", "cpuset/cpuset.cpus": "0-7\n"},
            0.25,
            "its CPU quota",
            16 << 30,
            "the machine",
            id="v1: quota",
        ),
        pytest.param(
            V1,
            {"cpuset/cpuset.cpus": "5\n", "cpuset/cpuset.effective_cpus": "5\n"},
            1,
            "its cpuset",
            16 << 30,
            "the machine",
            id="v1: cpuset",
        ),
        pytest.param(
            V1,
            {"memory/memory.limit_in_bytes": "134217728\n"},
            8,
            "the machine",
            128 << 20,
            "its memory limit",
            id="v1: memory",
        ),
        pytest.param(
            V1,
            {"memory/docker/abc/memory.limit_in_bytes": "134217728\n", "memory/memory.limit_in_bytes": "268435456\n"},
            8,
            "the machine",
            128 << 20,
            "its memory limit",
            id="v1: cgroup namespace of the host",
        ),
    ],
)
def test_the_tightest_limit_counts_and_is_named(
    root: Path,
    cgroup: str,
    files: dict[str, str],
    cpus: float,
    cpus_from: str,
    memory: int,
    memory_from: str,
) -> None:
    write(root, {"proc/self/cgroup": cgroup, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}})
    assert limits.read(root) == limits.Limits(cpus, cpus_from, memory, memory_from)
