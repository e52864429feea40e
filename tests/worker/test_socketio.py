"""Socket.IO over HTTP long-polling: a real client, and the settings that docs/app.md names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Container, build

Start = Callable[..., Container]


@pytest.fixture(scope="module")
def chat(context: Callable[..., Path]) -> str:
    """Image of a chat room by Flask-SocketIO, with the client of python-socketio."""
    return build(context("socketio"))


@pytest.mark.parametrize(
    ("options", "clients"),
    [(("--env=GREENLETS=200",), 50), (("--env=THREADS=8", "--env=ASYNC_MODE=threading"), 6)],
    ids=["greenlets", "threads"],
)
def test_clients_hear_what_one_says(options: tuple[str, ...], clients: int, start: Start, chat: str) -> None:
    container = start("--env=PROCESSES=1", *options, image=chat).wait()
    heard = container.exec("run", "python", "client.py", str(clients), "http://127.0.0.1")
    assert heard.endswith("all have heard it"), heard
    problems = [line["message"] for line in container.lines if line["level"] not in ("info", "debug")]
    # Engine.IO warns of a client's last poll if it arrives after the client's own message that it leaves.
    assert not [message for message in problems if "Session is disconnected" not in message]
