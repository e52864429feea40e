"""Settings that Nginx reads: valid values work, others end the container with 78 before Nginx starts."""

from collections.abc import Callable

import pytest

from conftest import APPS, Container

Start = Callable[..., Container]
SCRIPTED = f"--volume={APPS}/scripted:/app:ro"


@pytest.mark.parametrize("path", ["/" + "h" * 49, "/" + "h" * 200])
def test_a_long_health_path_works(start: Start, path: str) -> None:
    """Nginx refuses keys of a map that are longer than map_hash_bucket_size."""
    container = start(SCRIPTED, f"--env=HEALTH_PATH={path}", "--env=RATE_LIMIT=1r/m").wait()
    assert [container.get(path).status_code for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("size", ["999999999g", "999999999999999999", "0", "1k"])
def test_a_size_that_nginx_accepts_is_a_valid_max_body_size(start: Start, size: str) -> None:
    assert start(SCRIPTED, f"--env=MAX_BODY_SIZE={size}").wait().running


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
def test_a_value_that_nginx_would_refuse_ends_the_container_with_78(start: Start, name: str, value: str) -> None:
    container = start(SCRIPTED, f"--env={name}={value}")
    assert container.exit_code() == 78
    (line,) = container.lines
    assert f"{name} is " in str(line["message"])


def test_the_longest_word_of_a_map_does_not_depend_on_the_cpu(start: Start) -> None:
    """By default the limit is the length of the CPU's cache line, which is 32 bytes for QEMU's arm64."""
    assert "map_hash_bucket_size 128;" in start(SCRIPTED).wait().exec("cat", "/run/nginx.conf")


def test_problems_that_different_checks_find_are_reported_together(start: Start) -> None:
    bad = {
        "PORT": "eighty",
        "STATIC_PATH": "/nowhere",
        "TLS_CERT": "/nowhere/tls.crt",
        "TLS_KEY": "/nowhere/tls.key",
        "UWSGI_NONSENSE": "1",
    }
    container = start(*(f"--env={name}={value}" for name, value in bad.items()))
    assert container.exit_code() == 78
    (line,) = container.log.splitlines()
    assert [name for name in bad if f"{name} is " not in line] == []
