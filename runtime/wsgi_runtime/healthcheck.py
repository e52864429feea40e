"""HEALTHCHECK of the image: it requests HEALTH_PATH from Nginx. Exit code 0 means healthy, 1 unhealthy.

A container that runs only a process type (docker run IMAGE run worker) is healthy as long as that process runs.
"""

import contextlib
import http.client
import os
import sys

from wsgi_runtime import HEALTH, HEALTH_RESULT

TIMEOUT_SECONDS = 5


def ask() -> tuple[int, str]:
    """Send one request; return the exit code and a sentence."""
    try:
        port, slash, path = HEALTH.read_text().partition("/")
        if not slash:
            os.kill(int(port), 0)
            return 0, "healthy: the process type runs"
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_SECONDS)
        connection.request("GET", slash + path, headers={"Host": "localhost", "User-Agent": "health check"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return 1, f"unhealthy: {error!r}"
    return int(status >= 500), f"{'unhealthy' if status >= 500 else 'healthy'}: {slash + path} answered {status}"


def main() -> int:
    """Print the result, and store it for the status page."""
    exit_code, result = ask()
    print(result)
    with contextlib.suppress(OSError):
        HEALTH_RESULT.write_text(result)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
