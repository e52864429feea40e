"""examples/bare as its README starts it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from compose import build_app
from conftest import Container

pytest_plugins = ["example_fixtures"]
pytestmark = pytest.mark.timeout(600)  # the first test builds images


@pytest.fixture(scope="module")
def bare(start: Callable[..., Container]) -> Container:
    return start(image=build_app("examples/bare")).wait()


def test_the_form_greets_a_person(bare: Container, open_page: Callable[..., Page]) -> None:
    page = open_page(viewport={"width": 360, "height": 740})
    page.goto(bare.url("/"))
    expect(page.locator("h1")).to_have_text("Hello, world.")
    page.get_by_label("Your name").fill("<Ada> Ünal")
    page.get_by_role("button").click()
    expect(page.locator("h1")).to_have_text("Hello, <Ada> Ünal.")
    assert page.locator("body").evaluate("body => getComputedStyle(body).display") == "grid"


def test_any_other_path_is_a_404(bare: Container) -> None:
    response = bare.get("/%C3%BC/%FF")
    assert (response.status_code, response.text) == (404, "There is no page /ü/\N{REPLACEMENT CHARACTER}\n")
