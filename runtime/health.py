"""The image's HEALTHCHECK: asks HEALTH_PATH through nginx and uWSGI; exit code 0 means healthy, 1 not."""

import http.client
import sys

from runtime import RUN

ADDRESS = RUN / "health"
"""PORT and HEALTH_PATH, as the start wrote them."""

TIMEOUT = 5
"""Seconds to wait for an answer."""


def main() -> int:
    """Asks once, and says what came back."""
    try:
        port, slash, path = ADDRESS.read_text().partition("/")
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT)
        connection.request("GET", slash + path, headers={"Host": "localhost", "User-Agent": "health check"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        print(f"unhealthy: {error!r}")
        return 1
    print(f"{'healthy' if status < 500 else 'unhealthy'}: {slash + path} answered {status}")
    return int(status >= 500)


if __name__ == "__main__":
    sys.exit(main())
