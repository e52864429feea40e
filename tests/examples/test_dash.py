"""examples/dash as its README starts it, with two processes, in a browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from compose import build_app
from conftest import Container, until

pytest_plugins = ["example_fixtures"]
pytestmark = pytest.mark.timeout(600)  # the first test builds images


PLOTLY_MS = 60_000
"""Longest time until the browser has the chart's 5 MB of JavaScript."""


@pytest.fixture(scope="module")
def dashboard(start: Callable[..., Container]) -> Container:
    container = start("--env=PROCESSES=2", image=build_app("examples/dash"))
    until(container.answers, "it answers", 90)  # Dash imports 800 modules
    return container


def test_callbacks_answer_a_page_that_was_open_before_a_reload(
    dashboard: Container, open_page: Callable[..., Page]
) -> None:
    page = open_page(viewport={"width": 1280, "height": 800})
    response = page.goto(dashboard.url("/"))
    assert "object-src 'none'" in response.headers["content-security-policy"]
    expect(page.locator("#chart .main-svg").first).to_be_visible(timeout=PLOTLY_MS)
    expect(page.locator(".cards")).to_contain_text("Oslo7 °C")
    page.get_by_label("Rain").check()
    expect(page.locator(".cards")).to_contain_text("Oslo819 mm")
    dashboard.exec("supervisorctl", "restart", "uwsgi")
    page.locator("#cities").click()
    page.get_by_role("option", name="Nairobi").click()
    expect(page.locator(".cards")).to_contain_text("Nairobi970 mm")
    expect(page.locator("#chart .legend .traces")).to_have_count(3)


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_its_screen(dashboard: Container, open_page: Callable[..., Page], width: int) -> None:
    page = open_page(viewport={"width": width, "height": 740})
    page.goto(dashboard.url("/"))
    expect(page.locator("#chart .main-svg").first).to_be_visible(timeout=PLOTLY_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("body").evaluate("body => getComputedStyle(body).margin") == "0px"
