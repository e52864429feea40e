"""The app of src/ runs unchanged on other servers. docs/servers.md compares them."""

import socket
from collections.abc import Callable

import pytest
import requests

from bench import run
from conftest import DEADLINE, REPO, Container, until

pytestmark = pytest.mark.timeout(600)  # the first test builds the image of the benchmark, which compiles uWSGI

Start = Callable[..., Container]

COMMANDS = [
    "flask --app routes run --port 8085",
    "env PORT=8085 python3 routes.py",
    "env PORT=8085 SERVER=waitress python3 routes.py",
    "waitress-serve --listen 127.0.0.1:8085 routes:app",
    "gunicorn --bind 127.0.0.1:8085 --workers 2 routes:app",
    "gunicorn --bind 127.0.0.1:8085 --workers 2 --threads 8 routes:app",
    "gunicorn --bind 127.0.0.1:8085 --workers 2 --worker-class gevent routes:app",
    "uwsgi --http 127.0.0.1:8085 --module routes:app",
]
"""Commands of docs/servers.md, in the folder src/. The tests exchange the port."""

SOURCE = f"--volume={REPO}/src:/app:ro"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Image of the benchmark, with these servers from PyPI."""
    tree = tmp_path_factory.mktemp("bench")
    run.lay_out(tree)
    return run.build(tree / "others", "--target=others")


def free_port() -> str:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def answers(container: Container, url: str) -> bool:
    """Return True if the server in the container answers."""
    assert container.running, container.log
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@pytest.mark.parametrize("command", COMMANDS)
def test_the_app_runs_unchanged(command: str, start: Start, servers: str) -> None:
    port = free_port()
    words = tuple(command.replace("8085", port).split())
    container = start("--network=host", SOURCE, image=servers, command=words, publish=False)
    url = f"http://127.0.0.1:{port}"
    until(lambda: answers(container, f"{url}/health"), "it answers")

    def send(method: str, path: str, **options: object) -> requests.Response:
        return requests.request(method, url + path, timeout=DEADLINE, **options)

    assert send("GET", "/health").json() == {"status": "ok"}
    assert send("GET", "/hello/ad%C3%A9").json() == {"message": "hello", "name": "adé"}
    assert "127.0.0.1" in send("GET", "/").text
    style = send("GET", "/static/style.css")
    assert style.headers["Content-Type"] == "text/css; charset=utf-8"
    assert style.content == (REPO / "src/static/style.css").read_bytes()
    refused = send("POST", "/hello", data={"name": "ada"})
    assert (refused.status_code, set(refused.headers["Allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})
    missing = send("GET", "/nowhere")
    assert (missing.status_code, "was not found on the server" in missing.text) == (404, True)


def test_docs_name_each_of_these_commands() -> None:
    page = (REPO / "docs/servers.md").read_text()
    assert [command for command in COMMANDS if f"`{command}`" not in page] == []
