"""The image for arm64: built, started, reloaded, stopped. `make test-arm64` runs this and other tests by emulation."""

from collections.abc import Callable

import pytest

from conftest import Container, docker, until

Start = Callable[..., Container]


def test_image_and_programs_are_for_arm64(container: Container, image: str) -> None:
    assert docker("image", "inspect", "--format={{.Architecture}}", image) == "arm64"
    assert container.exec("uname", "-m") == "aarch64"


@pytest.mark.parametrize("options", [(), ("--read-only", "--tmpfs=/tmp", "--tmpfs=/run", "--cap-drop=ALL")])
def test_it_serves_is_healthy_reloads_and_stops_with_0(start: Start, options: tuple[str, ...]) -> None:
    served = start(*options).wait()
    assert served.get("/hello/ada").json()["name"] == "ada"
    assert served.get("/static/style.css").status_code == 200
    assert served.exec("healthcheck").startswith("healthy")
    docker("kill", "--signal=HUP", served.id)
    until(lambda: served.answers() and "takes over" in served.log, "the app is loaded again")
    docker("stop", "--time=100", served.id)
    assert served.exit_code() == 0
