"""What the log is worth when things go wrong: lines of the schema, and none lost."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable

import fastjsonschema
import pytest

from conftest import REPO, Container, docker, until
from load import load
from processes import kill

pytestmark = pytest.mark.alone

TALKATIVE = f"--volume={REPO}/tests/apps/talkative:/app:ro"
LINES = 10_000


def test_ten_thousand_lines_with_faults_in_between_fit_the_schema_and_none_is_lost(
    start: Callable[..., Container],
) -> None:
    """Each request that was answered is there, with what the app said meanwhile, up to the last one before the stop.

    But for what C code writes in one piece of more than 4 KB: a pipe lets other lines in between (pipe(7), PIPE_BUF).
    """
    container = start(TALKATIVE, "--env=WEB_CONCURRENCY=2", "--env=LOG_LEVEL=debug").wait()
    with load(container, path="/line") as clients:
        for fault in (
            lambda: kill(container, "uWSGI worker"),
            lambda: kill(container, "nginx master"),
            lambda: container.get("/segfault"),
            lambda: kill(container, "uWSGI master"),
            lambda: docker("kill", "--signal=HUP", container.id),
        ):
            time.sleep(1)
            fault()
        until(lambda: container.log.count("\n") > LINES, f"there are {LINES} lines", 90)
        docker("stop", container.id)
    valid = fastjsonschema.compile(json.loads((REPO / "runtime/log.schema.json").read_text()))
    lines = [valid(json.loads(line)) for line in container.log.splitlines()]
    assert len(lines) > LINES

    said = defaultdict(list)
    for line in lines:
        said[line.get("request_id")].append(line)
    answered = [request_id for request_id, of in said.items() if any(line.get("status") == 200 for line in of)]
    of_clients = [
        request_id for request_id in answered if any(line.get("path") == "/line" for line in said[request_id])
    ]
    assert len(of_clients) >= clients.answered
    assert Counter(len(said[request_id]) for request_id in of_clients) == {3: len(of_clients)}
