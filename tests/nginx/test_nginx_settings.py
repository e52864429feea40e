"""Settings that nginx reads: valid values work, others stop the container with one sentence."""

from collections.abc import Callable

import pytest

from conftest import APPS, Container

Start = Callable[..., Container]
FRONT = f"--volume={APPS}/front:/app:ro"
PATH_50 = "/" + "h" * 49


@pytest.mark.parametrize("path", [PATH_50, "/" + "h" * 200])
def test_a_long_health_path_works(start: Start, path: str) -> None:
    """nginx's hash tables have small buckets."""
    container = start(FRONT, f"--env=HEALTH_PATH={path}", "--env=RATE_LIMIT=1r/m").wait()
    assert [container.get(path).status_code for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("size", ["999999999g", "999999999999999999", "0", "1k"])
def test_sizes_that_nginx_accepts_are_valid(start: Start, size: str) -> None:
    """MAX_BODY_SIZE."""
    assert start(FRONT, f"--env=MAX_BODY_SIZE={size}").wait().running


REFUSED = [
    ("MAX_BODY_SIZE", "9999999999g"),
    ("MAX_BODY_SIZE", "9999999999999999999"),
    ("STATIC_URL", "/.protected"),
    ("STATIC_URL", "/.container/static"),
    ("HEALTH_PATH", "/.container/error.html"),
    ("TRUSTED_PROXIES", "fe80::1%x;}"),
    ("TRUSTED_PROXIES", "10.0.0.0/8 fe80::1%eth0"),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_value_that_nginx_would_refuse_stops_the_container(start: Start, name: str, value: str) -> None:
    """With exit code 78 and the setting's name, and nothing has started."""
    container = start(FRONT, f"--env={name}={value}")
    assert container.exit_code() == 78
    assert len(container.lines) == 1
    assert f"{name} is " in str(container.lines[0]["message"])
