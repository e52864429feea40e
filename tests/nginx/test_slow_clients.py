"""What happens with clients that are slow on purpose, too many, or in another hour."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Container, docker, until
from load import SLOW, load
from processes import FAULTY

pytestmark = pytest.mark.alone

Start = Callable[..., Container]

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.mark.parametrize("kind", SLOW)
def test_slow_connections_cost_ordinary_clients_nothing(start: Start, kind: str) -> None:
    """None fails, and none waits; `make soak` measures by how much they are slower."""
    container = start(FAULTY).wait()
    words = ["slowhttptest", *SLOW[kind].split(), "-l", "6", "-u", container.url("/quick")]
    slow = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(2.5)
    with load(container, clients=4) as clients:
        time.sleep(2)
    output, _ = slow.communicate()
    assert "YES" in output
    assert clients.lost == []
    assert clients.answered > 100
    assert clients.silence < 1


def test_four_times_more_clients_than_can_be_served_get_as_much_done(start: Start) -> None:
    """For 20 s, within 20 % of the peak; none is refused as the queue has room, and all is normal right after."""
    container = start(FAULTY, "--cpus=1", "--env=WEB_CONCURRENCY=2", "--env=THREADS=8").wait()
    rate = {}
    for clients, seconds in (16, 5), (64, 20):
        with load(container, clients=clients, path="/burn?s=0.002") as crowd:
            time.sleep(seconds)
        assert crowd.lost == []
        ends = [end for _, end, _ in crowd.outcomes]
        rate[clients] = crowd.answered / (max(ends) - min(ends))
    assert rate[64] > 0.8 * rate[16]
    began = time.monotonic()
    assert container.get("/quick").status_code == 200
    assert time.monotonic() - began < 2


def test_a_clock_that_jumps_disturbs_nobody(start: Start, tmp_path: Path) -> None:
    """An hour forth, two back: no request is lost, no process replaced, and it still stops with 0."""
    clock = tmp_path / "clock"
    clock.write_text("+0s")
    tmp_path.chmod(0o755)
    container = start(
        FAULTY,
        f"--volume={FAKETIME}:/faketime.so:ro",
        f"--volume={tmp_path}:/clock:ro",
        "--env=LD_PRELOAD=/faketime.so",
        "--env=FAKETIME_TIMESTAMP_FILE=/clock/clock",
        "--env=FAKETIME_NO_CACHE=1",
        "--env=DONT_FAKE_MONOTONIC=1",
    ).wait()

    def hour() -> str:
        return container.exec("date", "+%F %H")

    with load(container, clients=4) as clients:
        for jump in ("+3600s", "-3600s"):
            before = hour()
            clock.write_text(jump)
            until(lambda before=before: hour() != before, "the clock has jumped")
            time.sleep(2.5)
    assert clients.lost == []
    assert clients.silence < 1
    assert [container.log.count(f"spawned: '{name}'") for name in ("log", "uwsgi", "nginx", "admin")] == [1] * 4
    assert "Respawned" not in container.log
    docker("stop", container.id)
    assert container.exit_code() == 0
