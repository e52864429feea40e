"""The log: lines of one schema from every source, with the id of the request. The app is tests/apps/talkative."""

import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fastjsonschema
import pytest
import requests

from conftest import DEADLINE, REPO, Container, build, docker, until

Start = Callable[..., Container]
Line = dict[str, object]
TALKATIVE = f"--volume={REPO}/tests/apps/talkative:/app:ro"
valid = fastjsonschema.compile(json.loads((REPO / "runtime/log.schema.json").read_text()))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def talkative(start: Start) -> Container:
    """Container of an app that logs in the way that the path names."""
    return start(TALKATIVE, "--env=REQUEST_TIMEOUT=3", "--env=GRACE_PERIOD=2", "--env=CACHE=on").wait()


def lines(container: Container) -> list[Line]:
    """Return the lines of the log. Fail if one does not fit the schema."""
    return [valid(json.loads(line)) for line in container.log.splitlines()]


def of_request(container: Container, request_id: str, count: int = 1) -> list[Line]:
    """Wait until the request has an access line and at least `count` lines in all; return its lines."""
    found: list[Line] = []

    def complete() -> bool:
        found[:] = [line for line in lines(container) if line.get("request_id") == request_id]
        return len(found) >= count and any("status" in line for line in found)

    until(complete, f"{count} lines of the request are in the log")
    return found


def app_lines(container: Container, path: str, count: int) -> list[Line]:
    """Send a request; return the lines that the app has logged meanwhile, at least `count` of them."""
    answer = container.get(path, headers={"traceparent": TRACEPARENT})
    found = of_request(container, answer.headers["X-Request-ID"], count + 1)
    assert {line["traceparent"] for line in found} == {TRACEPARENT}
    return [line for line in found if line["source"] == "app"]


def by_message(found: list[Line], message: str) -> Line:
    """Return the only line whose message contains this text."""
    (line,) = [line for line in found if message in str(line["message"])]
    return line


# --- Sources ---


def test_every_source_writes_lines_that_fit_the_schema(talkative: Container) -> None:
    talkative.get("/line")
    until(
        lambda: {line["source"] for line in lines(talkative)} >= {"supervisord", "nginx", "uwsgi", "app"},
        "each source has written a line",
    )
    assert {line["source"] for line in lines(talkative) if line["message"] == "imported"} == {"app"}


def test_an_access_line_has_its_fields_and_numbers_are_numbers(talkative: Container) -> None:
    answer = talkative.get("/slow?a=1", headers={"User-Agent": "a test"})
    (line,) = [line for line in of_request(talkative, answer.headers["X-Request-ID"]) if line["source"] == "nginx"]
    assert line["message"] == "GET /slow?a=1 HTTP/1.1 200"
    assert (line["method"], line["path"], line["status"], line["bytes"]) == ("GET", "/slow?a=1", 200, 6)
    assert 0.2 <= float(str(line["upstream_duration"])) < DEADLINE
    assert (line["user_agent"], line["cache"], line["traceparent"]) == ("a test", "MISS", "")


def test_upstream_duration_is_null_for_a_file_that_nginx_serves(container: Container) -> None:
    answer = container.get("/static/style.css")
    (line,) = of_request(container, answer.headers["X-Request-ID"])
    assert line["upstream_duration"] is None


def test_log_records_keep_their_level_and_extra_fields_without_configuration(talkative: Container) -> None:
    """Records below LOG_LEVEL are dropped, and extra fields cannot replace fields of the schema."""
    found = app_lines(talkative, "/log", 5)
    logged = [line for line in found if line.get("logger") == "shop.cart"]
    assert [(line["level"], line["message"], line["order"]) for line in logged] == [
        (level, f"logged at {number}", number)
        for level, number in (("info", 20), ("warning", 30), ("error", 40), ("critical", 50))
    ]
    assert by_message(found, "logged by Flask")["level"] == "warning"


def test_values_without_a_form_in_json_are_logged(talkative: Container) -> None:
    """NaN, a recursive list, bytes, a lone surrogate; and a format that does not fit its arguments."""
    found = app_lines(talkative, "/values", 4)
    assert by_message(found, "values")["ratio"] == "nan"
    assert by_message(found, "5")["source"] == "app"
    assert by_message(found, "surrogate ?")
    wrong = by_message(found, "'wrong %d' was logged")
    assert "routes.py" in str(wrong["exc_info"]) or "getMessage" in str(wrong["exc_info"])


def test_an_exception_is_one_line_of_level_error_with_its_traceback(talkative: Container) -> None:
    (line,) = app_lines(talkative, "/raise", 1)
    assert line["level"] == "error"
    assert str(line["exc_info"]).endswith("ValueError: uncaught")


def test_print_warnings_and_wsgi_errors_are_lines_of_the_app_with_the_request_id(talkative: Container) -> None:
    found = app_lines(talkative, "/print", 11)
    for message, level in (
        ("printed in pieces", "info"),
        ("printed on stderr", "warning"),
        ("printed past it", "info"),
        ("no end", "info"),
        ("bytes \ufffd", "info"),
        ("printed on wsgi.errors", "warning"),
        ("warned of", "warning"),
        ("KeyError: 'caught'", "warning"),
    ):
        assert by_message(found, message)["level"] == level


def test_output_of_c_code_and_child_processes_is_wrapped_in_lines_of_the_schema(talkative: Container) -> None:
    """Such output has no request id, and JSON in it does not pass for a line of the log."""
    talkative.get("/c")
    expected = {
        'C \ufffd "quoted" on stdout': "app",
        '{"time":"forged"}': "app",
        "child": "app",
        "C on stderr": "uwsgi",
        "child on stderr": "uwsgi",
    }
    until(lambda: expected.keys() <= {line["message"] for line in lines(talkative)}, "all output is logged")
    for line in lines(talkative):
        assert line["source"] == expected.get(str(line["message"]), line["source"])


def test_lines_of_100_kb_from_print_logging_and_c_code_stay_whole(talkative: Container) -> None:
    found = app_lines(talkative, "/long", 2)
    assert [len(str(line["message"])) for line in found] == [100_000] * 2
    until(lambda: "c" * 100_000 in {line["message"] for line in lines(talkative)}, "the line from C code is whole")


def test_long_lines_of_many_threads_and_processes_at_once_stay_whole(talkative: Container) -> None:
    """More than the pipe holds. Only writes of C code of more than 4 KB may get mixed up (pipe(7), PIPE_BUF)."""
    before = talkative.log.count("l" * 100_000)
    with ThreadPoolExecutor(24) as clients:
        answers = list(clients.map(talkative.get, ["/long?python"] * 24))
    assert {answer.status_code for answer in answers} == {200}
    until(lambda: talkative.log.count('"' + "l" * 100_000 + '"') == before + 24, "each line is whole")
    assert lines(talkative)


# --- Request ids ---


def test_a_thread_that_runs_in_the_requests_context_logs_with_its_id(talkative: Container) -> None:
    assert by_message(app_lines(talkative, "/thread", 1), "logged in a thread")


def test_an_exception_that_ends_a_thread_is_logged(talkative: Container) -> None:
    talkative.get("/thread?raise")
    until(lambda: "missing in a thread" in talkative.log, "it is logged")
    failed = by_message(lines(talkative), "missing in a thread")
    assert failed["level"] == "error"
    assert "KeyError" in str(failed["exc_info"])


def test_lines_that_a_streamed_response_logs_have_the_request_id(talkative: Container) -> None:
    """Its generator runs after the app has returned."""
    assert [line["message"] for line in app_lines(talkative, "/stream", 3)] == ["piece 0", "piece 1", "piece 2"]


def check_ids_of_concurrent_requests(container: Container, count: int = 30) -> None:
    """Send requests at once; check that each id is in the lines of its own request, and in no others."""
    with ThreadPoolExecutor(count) as clients:
        answers = clients.map(container.get, [f"/slow?n={number}" for number in range(count)])
        ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert len(set(ids)) == count
    messages: dict[object, list[str]] = {}

    def complete() -> bool:
        messages.clear()
        for line in lines(container):
            messages.setdefault(line.get("request_id"), []).append(str(line["message"]))
        return all(len(messages.get(request_id, ())) >= 3 for request_id in ids)

    until(complete, "all of their lines are in the log")
    for number, request_id in enumerate(ids):
        assert sorted(messages[request_id]) == [f"GET /slow?n={number} HTTP/1.1 200", "after", "before"]


def test_requests_in_threads_have_their_own_ids(talkative: Container) -> None:
    check_ids_of_concurrent_requests(talkative)


def test_requests_in_greenlets_have_their_own_ids(start: Start, context: Callable[..., Path]) -> None:
    routes = (REPO / "tests/apps/talkative/routes.py").read_text()
    files = {"requirements.txt": "flask\ngevent==26.*\n", "routes.py": routes}
    container = start("--env=GREENLETS=100", image=build(context("talkative", **files))).wait()
    check_ids_of_concurrent_requests(container)


def test_a_timeouts_id_is_in_the_lines_of_app_nginx_and_supervisord_and_on_the_error_page(talkative: Container) -> None:
    answer = talkative.get("/hang")
    assert answer.status_code == 504
    request_id = answer.headers["X-Request-ID"]
    assert request_id in answer.text
    until(lambda: talkative.log.count(request_id) >= 3, "all three lines have it")
    found = {str(line["source"]): line for line in of_request(talkative, request_id)}
    assert found["app"]["message"] == "will hang"
    assert (found["nginx"]["status"], found["nginx"]["level"]) == (504, "error")
    assert "/hang" in str(found["supervisord"]["message"])


def test_lines_that_a_worker_logs_before_it_crashes_are_not_lost(start: Start) -> None:
    talkative = start(TALKATIVE).wait()
    answer = talkative.get("/segfault")
    assert answer.status_code == 502
    found = of_request(talkative, answer.headers["X-Request-ID"], 2)
    assert by_message(found, "last words")["source"] == "app"
    until(lambda: "DAMN ! worker" in talkative.log, "uWSGI reports the death")
    assert by_message(lines(talkative), "DAMN ! worker")["level"] == "error"


@pytest.mark.parametrize(
    "traceparent", ["", "nonsense", TRACEPARENT.upper(), f"{TRACEPARENT}-00", '00-"', TRACEPARENT.replace("01", "zz")]
)
def test_an_invalid_traceparent_is_not_logged(talkative: Container, traceparent: str) -> None:
    """W3C Trace Context, section 3.2: an invalid header must be ignored."""
    answer = talkative.get("/log", headers={"traceparent": traceparent})
    for line in of_request(talkative, answer.headers["X-Request-ID"]):
        assert line.get("traceparent", "") == ""


# --- Hostile requests ---


def send(container: Container, request: bytes) -> bytes:
    """Send the bytes on a connection of their own; return the response."""
    host, port = container.address.split(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(65536):
                answer += piece
        return answer


HOSTILE = {
    "quotes": b'GET /log"\\ HTTP/1.1\r\nHost: x\r\nUser-Agent: "\\"},{"level":"forged\r\n\r\n',
    "bytes": b"GET /log\xff\xc3 HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\xfe\xc3(\x80\r\n\r\n",
    "controls": b"GET /log HTTP/1.1\r\nHost: x\r\nUser-Agent: \x01\x1b[31m\x7f\t\r\n\r\n",
    "encoded": b"GET /log%00%0a%22%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    "long": b"GET /log?" + b"x" * 18_000 + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: " + b"\x01" * 18_000 + b"\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "invalid method": b"\xff\xfe\xfd / HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"GET /log\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "half a request": b"GET /log HTTP/1.1\r\nHost",
    "nothing": b"",
}


@pytest.mark.parametrize("request_bytes", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_request_can_break_or_forge_a_line(talkative: Container, request_bytes: bytes) -> None:
    """A request is one access line at most."""

    def access_lines() -> int:
        return sum("status" in line for line in lines(talkative))

    before = access_lines()
    send(talkative, request_bytes)
    answer = talkative.get("/raise")
    of_request(talkative, answer.headers["X-Request-ID"])
    assert before + 1 <= access_lines() <= before + 2


def test_health_checks_are_not_logged(talkative: Container) -> None:
    for path in ("/health", "/health?deep=1", "/healthy"):
        talkative.get(path)
    until(
        lambda: "GET /healthy HTTP/1.1 404" in talkative.log,
        "the path that only begins like the health check is logged",
    )
    paths = {line.get("path") for line in lines(talkative)}
    assert not paths & {"/health", "/health?deep=1"}


# --- Settings ---


def test_a_large_upload_is_no_warning(container: Container) -> None:
    requests.post(container.url("/large-upload"), data=bytes(5_000_000), timeout=DEADLINE)

    def buffered() -> list[str]:
        return [line["level"] for line in lines(container) if "buffered" in line["message"]]

    until(buffered, "Nginx has logged it")
    assert buffered() == ["info"]


def test_log_level_drops_less_severe_lines_of_app_and_container(start: Start) -> None:
    container = start(TALKATIVE, "--env=LOG_LEVEL=error").wait()
    found = app_lines(container, "/log", 2)
    assert {line["level"] for line in found} == {"error", "critical"}
    assert not [line for line in lines(container) if line["source"] == "supervisord"]


def test_log_level_debug_includes_debug_records_of_the_app(start: Start) -> None:
    container = start(TALKATIVE, "--env=LOG_LEVEL=debug").wait()
    assert by_message(app_lines(container, "/log", 6), "logged at 10")["level"] == "debug"


def test_a_bad_setting_is_one_critical_line(start: Start) -> None:
    refused = start("--env=LOG_FORMAT=xml")
    assert refused.exit_code() == 78
    (line,) = lines(refused)
    assert (line["level"], line["source"]) == ("critical", "supervisord")
    assert "LOG_FORMAT is 'xml'" in str(line["message"])


@pytest.mark.parametrize(
    ("file", "right", "wrong", "source"),
    [
        ("supervisord.ini", "nodaemon = true", "nodaemon = maybe", "supervisord"),
        ("nginx.conf", "pcre_jit ", "pcre_jot ", "nginx"),
    ],
)
def test_an_invalid_configuration_file_is_a_critical_line_of_the_program_that_reads_it(
    start: Start, tmp_path: Path, file: str, right: str, wrong: str, source: str
) -> None:
    (tmp_path / file).write_text((REPO / file).read_text().replace(right, wrong))
    tmp_path.chmod(0o755)
    refused = start(f"--volume={tmp_path / file}:/opt/wsgi/{file}:ro")
    assert refused.exit_code() != 0
    critical = [line for line in lines(refused) if (line["level"], line["source"]) == ("critical", source)]
    assert wrong.split()[-1] in str(critical[0]["message"])


OWN = """\
import logging{more}
{configure}
log = logging.getLogger("mine")

def app(environ, start_response):
    log.debug("debug")
    log.warning("warning")
    start_response("200 OK", [])
    return [b""]
"""


@pytest.mark.parametrize(
    ("configure", "expected"),
    [
        ("logging.basicConfig(level=logging.DEBUG)", {"debug": "debug", "warning": "warning"}),
        (
            "logging.basicConfig(format='mine %(message)s', level='DEBUG')",
            {"mine debug": "debug", "mine warning": "warning"},
        ),
        (
            "logging.config.dictConfig({'version': 1, 'handlers': {'h': {'class': 'logging.StreamHandler', 'stream':"
            " 'ext://sys.stdout', 'formatter': 'f'}}, 'formatters': {'f': {'format': 'mine %(message)s'}},"
            " 'root': {'handlers': ['h'], 'level': 'DEBUG'}})",
            {"mine debug": "debug", "mine warning": "warning"},
        ),
    ],
    ids=["a level", "a format", "dictConfig"],
)
def test_the_apps_own_logging_configuration_is_honored(
    start: Start, app: Callable[[str], str], configure: str, expected: dict[str, str]
) -> None:
    """Its lines are wrapped in lines of the schema, with the request id and the level of the record."""
    container = start(app(OWN.format(configure=configure, more=", logging.config"))).wait()
    found = of_request(container, container.get("/").headers["X-Request-ID"], len(expected) + 1)
    assert {line["message"]: line["level"] for line in found if line["source"] == "app"} == expected


# --- LOG_FORMAT=text ---


def test_text_has_columns_and_tracebacks_and_no_control_characters(start: Start) -> None:
    """Escape sequences of a client would act on the terminal of a person who reads the log."""
    container = start(TALKATIVE, "--env=LOG_FORMAT=text").wait()
    request_id = container.get("/raise?text=%1b[31m").headers["X-Request-ID"]
    send(container, HOSTILE["controls"])
    until(lambda: container.log.count(request_id) == 2, "the request and its exception are logged")
    docker("stop", container.id)
    log = container.log
    assert not re.search(r"^[\d:.]{12} \w+ +\w+ *$", log, re.MULTILINE)
    assert re.search(rf"^[\d:.]{{12}} error +nginx +GET /raise\S* HTTP/1.1 500 .* {request_id}$", log, re.MULTILINE)
    assert re.search(r"^Traceback .*", log, re.MULTILINE)
    assert re.search(r"^ValueError: \\x1b\[31m$", log, re.MULTILINE)
    assert "\x1b" not in log


def test_text_has_colors_on_a_terminal(start: Start) -> None:
    container = start(TALKATIVE, "--env=LOG_FORMAT=text", "--tty").wait()
    container.get("/raise")
    until(lambda: re.search(r"\x1b\[31m[\d:.]{12} error", container.log), "errors are red")


# --- Readers ---


def test_a_container_serves_after_the_reader_of_its_log_has_ended(image: str, tmp_path: Path) -> None:
    run = ["docker", "run", "--rm", "--cidfile", str(tmp_path / "cid"), image]
    program = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert valid(json.loads(program.stdout.readline()))
        program.stdout.close()
        container = (tmp_path / "cid").read_text()
        health = ["docker", "exec", container, "healthcheck"]
        until(lambda: subprocess.run(health, capture_output=True).returncode == 0, "it is healthy")
    finally:
        docker("rm", "--force", (tmp_path / "cid").read_text(), check=False)
        program.wait()
