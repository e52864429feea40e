"""Clients that send one request after another to port 80 of this machine: load_client.py CLIENTS PATH KEEP_ALIVE.

Each line on standard input is a command: `answered` prints the number of requests answered with 200 so far, `stop` ends
the clients and prints start, end (in seconds) and outcome of each request as JSON. Needs nothing but Python.
"""

import http.client
import json
import sys
import threading
import time

TIMEOUT_SECONDS = 15
"""A client gives up a request after this time."""

LONGEST_RUN_SECONDS = 120
"""The clients stop after this time even without a command."""

RETRY_SECONDS = 0.01
"""Pause of a client whose connection was refused."""

Outcomes = list[tuple[float, float, str]]


def client(path: str, keep_alive: bool, stopped: threading.Event, outcomes: Outcomes) -> None:
    """Send requests until `stopped` is set."""
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=TIMEOUT_SECONDS)
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


def main(clients: int, path: str, keep_alive: bool) -> None:
    """Run the clients and obey the commands."""
    stopped = threading.Event()
    outcomes: Outcomes = []
    threads = [threading.Thread(target=client, args=(path, keep_alive, stopped, outcomes)) for _ in range(clients)]
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
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3] == "1")
