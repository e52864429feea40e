"""What the container logs, whoever speaks: lines of one schema, with the request's id, and none lost.

The app is tests/apps/talkative, mounted over the image's own.
"""

import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import fastjsonschema
import pytest

from conftest import DEADLINE, REPO, Container, build, docker, until

Start = Callable[..., Container]
Line = dict[str, object]
TALKATIVE = f"--volume={REPO}/tests/apps/talkative:/app:ro"
valid = fastjsonschema.compile(json.loads((REPO / "runtime/log.schema.json").read_text()))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def talkative(start: Start) -> Container:
    """A container that says what it is asked to say."""
    return start(TALKATIVE, "--env=REQUEST_TIMEOUT=3", "--env=GRACE_PERIOD=2", "--env=CACHE=on").wait()


def lines(container: Container) -> list[Line]:
    """All that it has written, each line checked with the schema."""
    return [valid(json.loads(line)) for line in container.log.splitlines()]


def of_request(container: Container, request_id: str, count: int = 1) -> list[Line]:
    """What `grep REQUEST_ID` finds, once `count` lines are among it and one of them is nginx's."""
    found: list[Line] = []

    def complete() -> bool:
        found[:] = [line for line in lines(container) if line.get("request_id") == request_id]
        return len(found) >= count and any("status" in line for line in found)

    until(complete, f"{count} lines of the request are in the log")
    return found


def said(container: Container, path: str, count: int) -> list[Line]:
    """What the app said while it answered: `count` lines, or more."""
    answer = container.get(path, headers={"traceparent": TRACEPARENT})
    found = of_request(container, answer.headers["X-Request-ID"], count + 1)
    assert {line["traceparent"] for line in found} == {TRACEPARENT}
    return [line for line in found if line["source"] == "app"]


def by_message(found: list[Line], message: str) -> Line:
    """The one line that has it."""
    (line,) = [line for line in found if message in str(line["message"])]
    return line


# --- Who speaks ---


def test_each_source_is_there_and_every_line_fits_the_schema(talkative: Container) -> None:
    """From the first line of the start on."""
    until(
        lambda: {line["source"] for line in lines(talkative)} >= {"supervisord", "uwsgi", "app"},
        "each source has written a line",
    )
    assert "profile production" in str(lines(talkative)[0]["message"])
    # By one worker, or by both already.
    assert {line["source"] for line in lines(talkative) if line["message"] == "imported"} == {"app"}


def test_a_request_is_a_line_with_numbers_as_numbers(talkative: Container) -> None:
    """What was asked, by whom, what came of it and what it took."""
    answer = talkative.get("/slow?a=1", headers={"User-Agent": "a test"})
    (line,) = [line for line in of_request(talkative, answer.headers["X-Request-ID"]) if line["source"] == "nginx"]
    assert line["message"] == "GET /slow?a=1 HTTP/1.1 200"
    assert (line["method"], line["path"], line["status"], line["bytes"]) == ("GET", "/slow?a=1", 200, 4)
    assert 0.2 <= float(str(line["upstream_duration"])) < DEADLINE
    assert (line["user_agent"], line["cache"], line["traceparent"]) == ("a test", "MISS", "")


def test_a_file_of_nginxs_own_took_the_app_no_time(container: Container) -> None:
    """Which is not the same as 0."""
    answer = container.get("/static/style.css")
    (line,) = of_request(container, answer.headers["X-Request-ID"])
    assert line["upstream_duration"] is None


def test_what_logging_gets_has_its_level_and_its_fields(talkative: Container) -> None:
    """No configuration is needed; what is below LOG_LEVEL is left out, and no field of the schema can be forged."""
    found = said(talkative, "/log", 5)
    logged = [line for line in found if line.get("logger") == "shop.cart"]
    assert [(line["level"], line["message"], line["order"]) for line in logged] == [
        (level, f"logged at {number}", number)
        for level, number in (("info", 20), ("warning", 30), ("error", 40), ("critical", 50))
    ]
    assert by_message(found, "logged by Flask")["level"] == "warning"


def test_what_json_cannot_express_is_logged_all_the_same(talkative: Container) -> None:
    """Not a number, an object that holds itself, bytes, a lone surrogate, a wrong format."""
    found = said(talkative, "/values", 4)
    assert by_message(found, "values")["ratio"] == "nan"
    assert by_message(found, "5")["source"] == "app"
    assert by_message(found, "surrogate ?")
    wrong = by_message(found, "'wrong %d' was logged")
    assert "routes.py" in str(wrong["exc_info"]) or "getMessage" in str(wrong["exc_info"])


def test_an_exception_is_one_line_with_its_traceback(talkative: Container) -> None:
    """At level error."""
    (line,) = said(talkative, "/raise", 1)
    assert line["level"] == "error"
    assert str(line["exc_info"]).endswith("ValueError: nobody catches this")


def test_print_warnings_and_wsgi_errors_are_lines_of_the_app(talkative: Container) -> None:
    """With the request's id, too."""
    found = said(talkative, "/print", 11)
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


def test_c_code_and_child_processes_are_logged(talkative: Container) -> None:
    """They know of no request; what looks like a line of ours is none."""
    talkative.get("/c")
    expected = {
        'C \ufffd "quoted" on stdout': "app",
        '{"time":"forged"}': "app",
        "child": "app",
        "C on stderr": "uwsgi",
        "child on stderr": "uwsgi",
    }
    until(lambda: expected.keys() <= {line["message"] for line in lines(talkative)}, "all is logged")
    for line in lines(talkative):
        assert line["source"] == expected.get(str(line["message"]), line["source"])


def test_lines_of_100_kb_are_whole(talkative: Container) -> None:
    """Printed, logged and from C."""
    found = said(talkative, "/long", 2)
    assert [len(str(line["message"])) for line in found] == [100_000] * 2
    until(lambda: "c" * 100_000 in {line["message"] for line in lines(talkative)}, "the one from C is whole")


def test_long_lines_of_many_threads_and_processes_at_once_stay_whole(talkative: Container) -> None:
    """More than the pipe holds. What C code writes in one piece of more than 4 KB may get mixed up (pipe(7))."""
    before = talkative.log.count("l" * 100_000)
    asking = [
        subprocess.Popen(["curl", "--silent", "--fail", "--output", "/dev/null", talkative.url("/long?python")])
        for _ in range(24)
    ]
    assert [each.wait() for each in asking] == [0] * 24
    until(lambda: talkative.log.count('"' + "l" * 100_000 + '"') == before + 24, "each line is whole")
    assert lines(talkative)


# --- Which request ---


def test_a_thread_that_is_handed_the_context_logs_with_the_requests_id(talkative: Container) -> None:
    """An exception that ends a thread is logged as well."""
    assert by_message(said(talkative, "/thread", 1), "logged in a thread")
    failed = by_message(lines(talkative), "missing in a thread")
    assert failed["level"] == "error"
    assert "KeyError" in str(failed["exc_info"])


def test_what_is_logged_while_a_response_is_sent_has_the_requests_id(talkative: Container) -> None:
    """Generators run when the app has returned already."""
    assert [line["message"] for line in said(talkative, "/stream", 3)] == ["piece 0", "piece 1", "piece 2"]


def crossed(container: Container, clients: int = 30) -> None:
    """Asks many at once, and looks that nothing got into another one's lines."""
    asking = [
        subprocess.Popen(
            ["curl", "--silent", "--include", container.url(f"/slow?n={number}")], stdout=subprocess.PIPE, text=True
        )
        for number in range(clients)
    ]
    ids = [re.search(r"X-Request-ID: (\w+)", each.communicate()[0])[1] for each in asking]
    assert len(set(ids)) == clients
    messages: dict[object, list[str]] = {}

    def complete() -> bool:
        messages.clear()
        for line in lines(container):
            messages.setdefault(line.get("request_id"), []).append(str(line["message"]))
        return all(len(messages.get(request_id, ())) >= 3 for request_id in ids)

    until(complete, "all that they said is in the log")
    for number, request_id in enumerate(ids):
        assert sorted(messages[request_id]) == [f"GET /slow?n={number} HTTP/1.1 200", "after", "before"]


def test_requests_in_threads_have_their_own_ids(talkative: Container) -> None:
    """Also when they wait for something in between."""
    crossed(talkative)


def test_requests_in_greenlets_have_their_own_ids(start: Start, context: Callable[..., Path]) -> None:
    """With ASYNC."""
    routes = (REPO / "tests/apps/talkative/routes.py").read_text()
    files = {"requirements.txt": "flask\ngevent==26.*\n", "routes.py": routes}
    crossed(start("--env=ASYNC=100", image=build(context("talkative", **files))).wait())


def test_the_id_leads_from_a_timeout_to_its_path_and_its_lines(talkative: Container) -> None:
    """In what the app said, nginx's line, and that of who replaces the worker."""
    answer = talkative.get("/hang")
    assert answer.status_code == 504
    request_id = answer.headers["X-Request-ID"]
    assert request_id in answer.text
    until(lambda: talkative.log.count(request_id) >= 3, "all three have it")
    found = {str(line["source"]): line for line in of_request(talkative, request_id)}
    assert found["app"]["message"] == "will hang"
    assert (found["nginx"]["status"], found["nginx"]["level"]) == (504, "error")
    assert "request /hang exceeded REQUEST_TIMEOUT (3 s)" in str(found["supervisord"]["message"])


def test_a_crash_keeps_what_was_said_before_it(start: Start) -> None:
    """And uWSGI's message is an error."""
    talkative = start(TALKATIVE).wait()
    answer = talkative.get("/segfault")
    assert answer.status_code == 502
    found = of_request(talkative, answer.headers["X-Request-ID"], 2)
    assert by_message(found, "last words")["source"] == "app"
    # uWSGI kills itself with the signal again, and may be quicker to exit.
    until(lambda: "DAMN ! worker" in talkative.log, "uWSGI reports the death")
    assert by_message(lines(talkative), "DAMN ! worker")["level"] == "error"


@pytest.mark.parametrize(
    "traceparent", ["", "nonsense", TRACEPARENT.upper(), f"{TRACEPARENT}-00", '00-"', TRACEPARENT.replace("01", "zz")]
)
def test_a_traceparent_that_is_none_is_not_logged(talkative: Container, traceparent: str) -> None:
    """W3C Trace Context says to ignore it."""
    answer = talkative.get("/log", headers={"traceparent": traceparent})
    for line in of_request(talkative, answer.headers["X-Request-ID"]):
        assert line.get("traceparent", "") == ""


# --- Who asks ---


def ask(container: Container, request: bytes) -> bytes:
    """Sends bytes as they are, and returns what comes back."""
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
    "nothing that is HTTP": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "a wrong method": b"\xff\xfe\xfd / HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"GET /log\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "half a request": b"GET /log HTTP/1.1\r\nHost",
    "nothing": b"",
}


@pytest.mark.parametrize("request_bytes", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_that_a_client_sends_breaks_a_line(talkative: Container, request_bytes: bytes) -> None:
    """One request, at most one line of nginx's."""

    def requests() -> list[Line]:
        return [line for line in lines(talkative) if "status" in line]

    before = len(requests())
    ask(talkative, request_bytes)
    answer = talkative.get("/raise")
    of_request(talkative, answer.headers["X-Request-ID"])
    assert before + 1 <= len(requests()) <= before + 2


def test_health_is_not_logged(talkative: Container) -> None:
    """Nor with a query; what only begins like it is."""
    for path in ("/health", "/health?deep=1", "/healthy"):
        talkative.get(path)
    until(lambda: "GET /healthy HTTP/1.1 404" in talkative.log, "the other one is logged")
    assert "GET /health " not in talkative.log
    assert "GET /health?" not in talkative.log


# --- How it is set ---


def test_log_level_drops_what_is_less_severe(start: Start) -> None:
    """Of the app and of the container itself."""
    container = start(TALKATIVE, "--env=LOG_LEVEL=error").wait()
    found = said(container, "/log", 2)
    assert {line["level"] for line in found} == {"error", "critical"}
    assert not [line for line in lines(container) if line["source"] == "supervisord"]


def test_log_level_debug_shows_all(start: Start) -> None:
    """Also what logging leaves out by default."""
    container = start(TALKATIVE, "--env=LOG_LEVEL=debug").wait()
    assert by_message(said(container, "/log", 6), "logged at 10")["level"] == "debug"


def test_a_bad_setting_is_told_in_one_line_of_the_schema(start: Start) -> None:
    """Before there is anything else."""
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
def test_a_wrong_configuration_file_is_told_in_lines_of_the_schema(
    start: Start, tmp_path: Path, file: str, right: str, wrong: str, source: str
) -> None:
    """By the program that reads it, as critical."""
    (tmp_path / file).write_text((REPO / file).read_text().replace(right, wrong))
    tmp_path.chmod(0o755)
    refused = start(f"--volume={tmp_path / file}:/opt/wsgi/{file}:ro")
    assert refused.exit_code() != 0
    told = [line for line in lines(refused) if (line["level"], line["source"]) == ("critical", source)]
    assert wrong.split()[-1] in str(told[0]["message"])


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
        ("logging.basicConfig(format='mine %(message)s')", {"mine warning": "warning"}),
        (
            "logging.config.dictConfig({'version': 1, 'handlers': {'h': {'class': 'logging.StreamHandler', 'stream':"
            " 'ext://sys.stdout', 'formatter': 'f'}}, 'formatters': {'f': {'format': 'mine %(message)s'}},"
            " 'root': {'handlers': ['h'], 'level': 'DEBUG'}})",
            {"mine debug": "info", "mine warning": "info"},
        ),
    ],
    ids=["a level", "a format", "dictConfig"],
)
def test_the_apps_own_configuration_of_logging_wins(
    start: Start, app: Callable[[str], str], configure: str, expected: dict[str, str]
) -> None:
    """Its lines are wrapped, and still have the request's id."""
    container = start(app(OWN.format(configure=configure, more=", logging.config"))).wait()
    found = of_request(container, container.get("/").headers["X-Request-ID"], len(expected) + 1)
    assert {line["message"]: line["level"] for line in found if line["source"] == "app"} == expected


# --- For people ---


def test_text_is_for_people_and_cannot_command_their_terminal(start: Start) -> None:
    """A time, a level, a source, the message; a traceback on lines of its own; no colour where there is no terminal."""
    container = start(TALKATIVE, "--env=LOG_FORMAT=text").wait()
    request_id = container.get("/raise?what=%1b[31m").headers["X-Request-ID"]
    ask(container, HOSTILE["controls"])
    until(lambda: container.log.count(request_id) == 2, "the request and its exception are logged")
    log = container.log
    assert re.search(rf"^[\d:.]{{12}} error +nginx +GET /raise\S* HTTP/1.1 500 .* {request_id}$", log, re.MULTILINE)
    assert re.search(r"^Traceback .*", log, re.MULTILINE)
    assert re.search(r"^ValueError: \\x1b\[31m$", log, re.MULTILINE)
    assert "\x1b" not in log


def test_text_has_colour_on_a_terminal(start: Start) -> None:
    """With docker run -t."""
    container = start(TALKATIVE, "--env=LOG_FORMAT=text", "--tty").wait()
    container.get("/raise")
    until(lambda: re.search(r"\x1b\[31m[\d:.]{12} error", container.log), "errors are red")


# --- Whoever reads it ---


def test_it_serves_whatever_reads_its_log(image: str, tmp_path: Path) -> None:
    """A pipe to a program that ends."""
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
