"""Background work of uWSGI itself: timers, mules and the spooler."""

from collections.abc import Callable
from datetime import datetime

import pytest

from conftest import APPS, Container, docker, until

Start = Callable[..., Container]


@pytest.fixture(scope="module")
def container(start: Start) -> Container:
    options = "UWSGI_MULES=1", "UWSGI_SPOOLER=/tmp", "UWSGI_SPOOLER_FREQUENCY=1", "PRELOAD=on", "PROCESSES=3"
    return start(f"--volume={APPS}/background:/app:ro", *(f"--env={option}" for option in options)).wait()


def times(container: Container, message: str) -> list[datetime]:
    """Return the time of each line of the app with this message."""
    return [datetime.fromisoformat(str(line["time"])) for line in container.lines if line["message"] == message]


def test_with_preload_a_timer_runs_once_and_not_once_for_each_process(container: Container) -> None:
    until(lambda: len(times(container, "tick")) >= 6, "the timer has run six times")
    ticks = times(container, "tick")
    assert (ticks[5] - ticks[0]).total_seconds() > 4


def test_a_reload_kills_a_job_of_a_mule_and_repeats_a_job_of_the_spooler(container: Container) -> None:
    container.get("/jobs")
    until(lambda: times(container, "mule job begins in mule 1"), "the mule's job begins")
    until(lambda: times(container, "spooler job begins"), "the spooler's job begins")
    docker("kill", "--signal=HUP", container.id)
    until(lambda: "stopped: uwsgi-old" in container.log, "the old uWSGI has ended")
    container.exec("touch", "/tmp/finish")
    until(lambda: times(container, "spooler job ends"), "the spooler has run the job again")
    assert len(times(container, "spooler job begins")) == 2
    assert times(container, "mule job ends") == []
