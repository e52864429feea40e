"""Exceptions, response headers, bodies and signals, as PEP 3333 and other WSGI servers handle them."""

import os
from collections.abc import Callable

import pytest
import requests

from conftest import APPS, DEADLINE, Container, until
from processes import processes

Start = Callable[..., Container]


@pytest.fixture(scope="module")
def served(start: Start) -> Container:
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
def test_an_exception_of_the_app_gets_a_500_and_is_logged_with_its_traceback(
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


def test_system_exit_ends_the_request_and_not_the_worker(served: Container) -> None:
    before = processes(served, "uWSGI worker")
    assert {served.get("/exits").status_code for _ in range(40)} == {500}
    assert {served.get("/pid").status_code for _ in range(20)} == {200}
    assert processes(served, "uWSGI worker") == before


def test_start_response_with_exc_info_replaces_status_and_headers_and_keeps_the_body(served: Container) -> None:
    answer = served.get("/replaced")
    assert (answer.status_code, answer.text) == (503, "my own error page")
    assert answer.headers["Content-Type"] == "text/x-own"


def test_a_response_shorter_than_its_content_length_is_truncated_for_the_client_and_logged_as_an_error(
    served: Container,
) -> None:
    response = served.get("/fails_midway", stream=True)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        _ = response.content
    own = response.headers["X-Request-ID"]
    until(
        lambda: any(line.get("request_id") == own and line["level"] == "error" for line in served.lines),
        "the error is logged",
    )


@pytest.mark.parametrize("size", [10, 100_000, 9_000_000])
def test_a_response_arrives_whether_or_not_the_app_reads_the_body(served: Container, size: int) -> None:
    for _ in range(10):
        assert requests.post(served.url("/unread"), data=b"x" * size, timeout=DEADLINE).text == "unread"
    assert requests.post(served.url("/read"), data=b"x" * size, timeout=DEADLINE).text == str(size)


def test_the_chunks_of_write_are_sent_before_the_body(served: Container) -> None:
    assert served.get("/written").text == "one two three"


def test_child_processes_of_a_request_do_not_inherit_blocked_signals(served: Container) -> None:
    assert served.get("/child").text == "-15"
    assert not {"SIGTERM", "SIGINT", "SIGCHLD"} & set(served.get("/mask").text.split(","))


def test_a_request_can_use_the_forkserver_of_multiprocessing(served: Container) -> None:
    assert served.get("/forkserver").text == "4"


def test_a_stream_that_sends_data_again_and_again_may_exceed_request_timeout(served: Container) -> None:
    before = processes(served, "uWSGI worker")
    assert served.get("/flows?10").text.split() == [str(number) for number in range(10)]
    assert processes(served, "uWSGI worker") == before


def test_a_program_that_wakes_up_does_not_interrupt_another(served: Container) -> None:
    """sched(7): threads of the policy SCHED_BATCH do not preempt others."""
    assert served.get("/policy").text == str(os.SCHED_BATCH)
    policies = "cat /proc/[0-9]*/stat | grep -E '[(](nginx|python3|uwsgi)[)]' | sed 's/.*) //' | cut -d' ' -f39"
    assert set(served.exec("sh", "-c", policies).split()) == {str(os.SCHED_BATCH)}
