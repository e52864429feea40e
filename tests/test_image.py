"""What the image promises to whoever runs it, over HTTP and with docker."""

from collections.abc import Callable

import pytest
from conftest import HARDENED, Container, docker

Start = Callable[..., Container]


def test_the_two_commands_serve_hello(container: Container) -> None:
    """docker build, docker run, and /hello answers."""
    assert container.get("/hello").json() == {"message": "hello", "name": "username"}
    assert container.get("/hello/ada").json() == {"message": "hello", "name": "ada"}
