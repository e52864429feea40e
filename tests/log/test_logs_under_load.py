"""The log under load, while processes are killed."""

import json
from collections import defaultdict
from collections.abc import Callable

import fastjsonschema
import pytest

from conftest import REPO, Container, docker, until
from load import load
from processes import kill

pytestmark = pytest.mark.alone

TALKATIVE = f"--volume={REPO}/tests/apps/talkative:/app:ro"
LINES = 10_000


def test_of_ten_thousand_lines_under_faults_none_is_lost_and_all_fit_the_schema(
    start: Callable[..., Container],
) -> None:
    """Each answered request has its access line and the two lines of the app."""
    container = start(TALKATIVE, "--env=PROCESSES=2", "--env=LOG_LEVEL=debug").wait()
    with load(container, path="/line") as clients:
        for fault in (
            lambda: kill(container, "uWSGI worker"),
            lambda: kill(container, "nginx master"),
            lambda: container.get("/segfault"),
            lambda: kill(container, "uWSGI master"),
            lambda: docker("kill", "--signal=HUP", container.id),
        ):
            clients.until_answered(500)
            fault()
        until(lambda: container.log.count("\n") > LINES, f"there are {LINES} lines", 90)
        docker("stop", container.id)
    valid = fastjsonschema.compile(json.loads((REPO / "runtime/log.schema.json").read_text()))
    lines = [valid(json.loads(line)) for line in container.log.splitlines()]
    assert len(lines) > LINES

    by_request = defaultdict(list)
    for line in lines:
        by_request[line.get("request_id")].append(line)
    answered = [
        of_request
        for of_request in by_request.values()
        if any(line.get("path") == "/line" and line.get("status") == 200 for line in of_request)
    ]
    assert len(answered) >= clients.answered
    assert {len(of_request) for of_request in answered} == {3}
