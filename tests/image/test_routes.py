"""The app that the template comes with, without its container."""

import pytest
from flask.testing import FlaskClient

from routes import app


@pytest.fixture
def client() -> FlaskClient:
    """Asks the app directly."""
    return app.test_client()


def test_hello_greets_username(client: FlaskClient) -> None:
    """The seed's first promise."""
    assert client.get("/hello").json == {"message": "hello", "name": "username"}


def test_hello_greets_whoever_is_named(client: FlaskClient) -> None:
    """The name is the path's last part."""
    assert client.get("/hello/ada").json["name"] == "ada"


def test_health_answers_json(client: FlaskClient) -> None:
    """It comes from Python."""
    assert client.get("/health").json == {"status": "ok"}


def test_the_page_shows_the_way_of_its_own_request(client: FlaskClient) -> None:
    """It names who asked, and what answered."""
    page = client.get("/", environ_base={"REMOTE_ADDR": "192.0.2.7"}).text
    assert "192.0.2.7" in page
    assert "<code>index</code>" in page
