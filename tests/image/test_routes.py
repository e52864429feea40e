"""The demo app in src/, without the container."""

import sys

import pytest
from flask.testing import FlaskClient

from routes import app, main


@pytest.fixture
def client() -> FlaskClient:
    return app.test_client()


def test_hello_greets_username(client: FlaskClient) -> None:
    assert client.get("/hello").json == {"message": "hello", "name": "username"}


def test_hello_greets_the_name_in_the_path(client: FlaskClient) -> None:
    assert client.get("/hello/ada").json["name"] == "ada"


def test_health_returns_json(client: FlaskClient) -> None:
    assert client.get("/health").json == {"status": "ok"}


def test_the_landing_page_names_the_client_and_the_view(client: FlaskClient) -> None:
    page = client.get("/", environ_base={"REMOTE_ADDR": "192.0.2.7"}).text
    assert "192.0.2.7" in page
    assert "<code>index</code>" in page


@pytest.mark.parametrize(
    ("server", "named"), [("waitress", "pip install waitress"), ("wsgiref", "must be development or waitress")]
)
def test_a_server_that_cannot_run_is_answered_with_what_to_do(
    server: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/image/test_other_servers.py runs those that can."""
    monkeypatch.setenv("SERVER", server)
    monkeypatch.setitem(sys.modules, "waitress", None)  # not installed
    with pytest.raises(SystemExit, match=named):
        main()
