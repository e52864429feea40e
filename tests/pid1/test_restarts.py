"""Programs that exit without being told to by PID 1."""

from collections.abc import Callable

import pytest

from conftest import Container, until
from processes import FAULTY, processes

pytestmark = pytest.mark.alone


@pytest.mark.parametrize(("name", "signal"), [("nginx master", "QUIT"), ("uWSGI master", "HUP")])
def test_a_program_that_exits_with_0_is_started_again(start: Callable[..., Container], name: str, signal: str) -> None:
    container = start(FAULTY, "--env=PROCESSES=1").wait()
    for _ in range(2):
        (master,) = processes(container, name)
        container.exec("sh", "-c", f"kill -{signal} {master}")
        until(lambda master=master: master not in processes(container, name), "the program exits")
        until(lambda: processes(container, name), "the program starts again")
        until(lambda: container.answers("/quick"), "the container answers")
