"""The image's HEALTHCHECK: asks HEALTH_PATH through nginx and uWSGI; exit code 0 means healthy, 1 not."""

import contextlib
import http.client
import sys

from wsgi_runtime import RUN

ADDRESS = RUN / "health"
"""PORT and HEALTH_PATH, as the start wrote them."""

SAID = RUN / "health-said"
"""What came back last."""

TIMEOUT = 5
"""Seconds to wait for an answer."""


def ask() -> tuple[int, str]:
    """Asks once; returns the exit code, and what came back."""
    try:
        port, slash, path = ADDRESS.read_text().partition("/")
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT)
        connection.request("GET", slash + path, headers={"Host": "localhost", "User-Agent": "health check"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return 1, f"unhealthy: {error!r}"
    return int(status >= 500), f"{'unhealthy' if status >= 500 else 'healthy'}: {slash + path} answered {status}"


def main() -> int:
    """Says what came back, also to the status page."""
    exit_code, said = ask()
    print(said)
    with contextlib.suppress(OSError):
        SAID.write_text(said)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
