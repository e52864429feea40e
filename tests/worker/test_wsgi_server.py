"""PEP 3333 as gunicorn and waitress keep it: exceptions, headers, bodies and signals."""

from collections.abc import Callable

import pytest
import requests

from conftest import APPS, DEADLINE, Container, until

Start = Callable[..., Container]


@pytest.fixture(scope="module")
def served(start: Start) -> Container:
    """A container of the WSGI app."""
    return start(f"--volume={APPS}/wsgi:/app:ro", "--env=PROCESSES=2", "--env=REQUEST_TIMEOUT=3").wait()


@pytest.mark.parametrize(
    ("path", "exception"),
    [
        ("/raises", "ValueError"),
        ("/exits", "SystemExit"),
        ("/line_break", "ValueError"),
        ("/returns_none", "TypeError"),
        ("/returns_text", "TypeError"),
        ("/fails_at_once", "RuntimeError"),
    ],
)
def test_a_request_that_the_app_fails_is_a_500_logged_with_its_traceback(
    served: Container, path: str, exception: str
) -> None:
    answer = served.get(path, headers={"Accept": "application/json"})
    request_id = answer.headers["X-Request-ID"]
    assert (answer.status_code, answer.json()) == (500, {"status": 500, "request_id": request_id})
    assert "X-Two" not in answer.headers

    def logged() -> list[dict[str, object]]:
        return [line for line in served.lines if line.get("request_id") == request_id and "exc_info" in line]

    until(lambda: len(logged()) == 1, "the exception is logged")
    assert exception in str(logged()[0]["exc_info"])
    assert str(logged()[0]["exc_info"]).startswith("Traceback")


def test_system_exit_costs_no_capacity(served: Container) -> None:
    for _ in range(40):
        assert served.get("/exits").status_code == 500
    assert all(served.get("/pid").status_code == 200 for _ in range(20))


def test_start_response_with_exc_info_replaces_status_and_headers_and_keeps_the_body(served: Container) -> None:
    answer = served.get("/replaced")
    assert (answer.status_code, answer.text) == (503, "my own error page")
    assert answer.headers["Content-Type"] == "text/x-own"


def test_a_response_that_breaks_off_is_seen_by_the_client_and_logged_as_an_error(served: Container) -> None:
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        requests.get(served.url("/fails_midway"), timeout=DEADLINE)
    until(lambda: "the response broke off after 100 bytes" in served.log, "it is logged")


@pytest.mark.parametrize("size", [10, 100_000, 9_000_000])
def test_a_body_that_the_app_does_not_read_loses_no_response(served: Container, size: int) -> None:
    for _ in range(10):
        assert requests.post(served.url("/unread"), data=b"x" * size, timeout=DEADLINE).text == "unread"
    assert requests.post(served.url("/read"), data=b"x" * size, timeout=DEADLINE).text == str(size)


def test_write_sends_before_the_body(served: Container) -> None:
    assert served.get("/written").text == "one two three"


def test_children_of_a_request_end_with_sigterm(served: Container) -> None:
    assert served.get("/child").text == "-15"
    assert not {"SIGTERM", "SIGINT", "SIGCHLD"} & set(served.get("/mask").text.split(","))


def test_multiprocessings_forkserver_works_in_a_request(served: Container) -> None:
    assert served.get("/forkserver").text == "4"


def test_a_stream_that_flows_is_not_overdue(served: Container) -> None:
    assert served.get("/flows?10").text.split() == [str(number) for number in range(10)]
    assert "exceeded REQUEST_TIMEOUT" not in served.log


def test_110_request_headers_reach_the_app(served: Container) -> None:
    headers = {f"X-H{number}": "value" for number in range(110)}
    assert served.get("/headers", headers=headers).text == "110"
