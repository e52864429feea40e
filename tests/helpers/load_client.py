"""Clients that send one request after another: load_client.py CLIENTS PATH KEEP_ALIVE [PAUSE URL...].

KEEP_ALIVE is 1, 0, or `half` of the clients. PAUSE is in seconds, after each request. The clients are shared out among
the URLs; without one they send to port 80 of this machine. HTTPS certificates are not checked.

Each line on standard input is a command: `answered` prints the number of requests answered with 200 so far, `stop` ends
the clients and prints start, end (in seconds) and outcome of each request as JSON. Needs nothing but Python.
"""

import http.client
import json
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 15
"""A client gives up a request after this time."""

LONGEST_RUN_SECONDS = 300
"""The clients stop after this time even without a command."""

RETRY_SECONDS = 0.01
"""Pause of a client whose connection was refused."""

Outcomes = list[tuple[float, float, str]]


def connect_to(url: str) -> http.client.HTTPConnection:
    """Return a client of the URL's host, which is not connected yet."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        context = ssl._create_unverified_context()
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS, context=context)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)


def client(url: str, path: str, keep_alive: bool, pause: float, stopped: threading.Event, outcomes: Outcomes) -> None:
    """Send requests until `stopped` is set."""
    connection = connect_to(url)
    used = False
    while not stopped.is_set():
        start = time.monotonic()
        try:
            if connection.sock is None:
                connection.connect()
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            outcome = str(response.status)
        except ConnectionRefusedError:
            outcome = "refused"
            stopped.wait(RETRY_SECONDS)
        except ConnectionError as error:
            # A server may close an idle connection while the next request is on its way. Clients send that request
            # again on a new connection (RFC 9112, section 9.3.1). On a new connection the request is lost.
            outcome = "again" if used else type(error).__name__
        except (OSError, http.client.HTTPException) as error:
            outcome = type(error).__name__
        if outcome != "again":
            outcomes.append((start, time.monotonic(), outcome))
        used = outcome == "200" and keep_alive
        if not used:
            connection.close()
        if pause:
            stopped.wait(pause)
    connection.close()


def main(clients: int, path: str, keep_alive: str, pause: float, urls: list[str]) -> None:
    """Run the clients and obey the commands."""
    stopped = threading.Event()
    outcomes: Outcomes = []
    threads = []
    for number in range(clients):
        keeps = keep_alive == "1" or (keep_alive == "half" and number % 2 == 1)
        url = urls[number // 2 % len(urls)]
        threads.append(threading.Thread(target=client, args=(url, path, keeps, pause, stopped, outcomes)))
    alarm = threading.Timer(LONGEST_RUN_SECONDS, stopped.set)
    alarm.start()
    for thread in threads:
        thread.start()
    print("started", flush=True)
    while sys.stdin.readline() == "answered\n":
        print(sum(outcome == "200" for _, _, outcome in outcomes), flush=True)
    stopped.set()
    alarm.cancel()
    for thread in threads:
        thread.join()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    pause, urls = float((sys.argv[4:] or ["0"])[0]), sys.argv[5:] or ["http://127.0.0.1"]
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], pause, urls)
