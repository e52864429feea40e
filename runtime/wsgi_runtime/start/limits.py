"""CPU and memory limits of the container, from cgroup v1 or v2.

Source: the kernel's Documentation/admin-guide/cgroup-v1/ (cpusets, memory), scheduler/sched-bwc and cgroup-v2.rst.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """CPUs and memory, each with the limit that applies."""

    cpus: float
    """CPU time per second: 0.5 is half of one CPU."""
    cpus_from: str
    memory: int
    """Bytes."""
    memory_from: str


def read(root: Path = Path("/")) -> Limits:
    """Return the limits of the container of this process; `root` is the folder that contains /proc and /sys."""
    online = len(os.sched_getaffinity(0))
    total = next(
        int(line.split()[1]) * 1024
        for line in (root / "proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    cpus = [(float(online), "the machine"), *_cpu_limits(root)]
    memory = [(total, "the machine"), *_memory_limits(root)]
    return Limits(*min(cpus), *min(memory))


def _cpu_limits(root: Path) -> Iterator[tuple[float, str]]:
    for text in _files(root, "cpu", "cpu.max"):
        quota, period = text.split()
        if quota != "max":
            yield int(quota) / int(period), "its CPU quota"
    for quota, period in zip(
        _files(root, "cpu", "cpu.cfs_quota_us"), _files(root, "cpu", "cpu.cfs_period_us"), strict=True
    ):
        if int(quota) > 0:
            yield int(quota) / int(period), "its CPU quota"
    for name in "cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus":
        for text in _files(root, "cpuset", name):
            if text:
                yield float(_count(text)), "its cpuset"


def _memory_limits(root: Path) -> Iterator[tuple[int, str]]:
    for name in "memory.max", "memory.limit_in_bytes":
        for text in _files(root, "memory", name):
            if text != "max":
                yield int(text), "its memory limit"


def _files(root: Path, controller: str, name: str) -> Iterator[str]:
    """Yield the text of a controller's file in the cgroup of this process and in each parent, for either version.

    Most containers see their own cgroup as the root. With the cgroup namespace of the host they see a path.
    """
    hierarchy = root / "sys/fs/cgroup"
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = hierarchy / controller if controllers else hierarchy
        own = top / path.lstrip("/")
        for folder in (own, *own.parents):
            if not folder.is_relative_to(top):
                break
            if (folder / name).is_file():
                yield (folder / name).read_text().strip()


def _count(cpus: str) -> int:
    """Return the number of CPUs in a list of the kernel, such as 0-2,8."""
    pairs = [part.split("-") for part in cpus.split(",")]
    return sum(int(pair[-1]) - int(pair[0]) + 1 for pair in pairs)
