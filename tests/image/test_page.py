"""The landing page and the error pages in a browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from conftest import Container

PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}


@pytest.fixture(params=["phone", "desktop", "dark", "no JavaScript"])
def page(browser: Browser, container: Container, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The landing page in one of four browsers; it collects console messages, exceptions, failed requests and hosts."""
    context = browser.new_context(
        viewport=PHONE if request.param == "phone" else DESKTOP,
        color_scheme="dark" if request.param == "dark" else "light",
        java_script_enabled=request.param != "no JavaScript",
    )
    page = context.new_page()
    page.errors = []
    page.on("console", lambda message: page.errors.append(message.text))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("requestfailed", lambda failed: page.errors.append(failed.url))
    page.hosts = set()
    page.on("request", lambda sent: page.hosts.add(sent.url.split("/")[2]))
    page.goto(container.url("/"))
    yield page
    context.close()


def test_the_landing_page_shows_the_path_of_its_own_request(page: Page, container: Container) -> None:
    expect(page.locator(".way li")).to_have_count(4)
    assert container.address in page.locator(".way").inner_text()
    expect(page.locator(".way li").last).to_contain_text("src/routes.py")


def test_the_landing_page_has_its_style_and_does_not_scroll_sideways(page: Page) -> None:
    width = page.viewport_size["width"]
    for box in (item.bounding_box() for item in page.locator("main *").all()):
        assert box is None or box["x"] + box["width"] <= width
    assert page.locator(".way li").first.bounding_box()["height"] > 60


def test_the_button_shows_a_response_of_the_app_also_without_javascript(page: Page) -> None:
    page.get_by_role("button").click()
    expect(page.locator("body")).to_contain_text('"message":"hello"')


def test_the_landing_page_causes_no_browser_error_and_no_request_to_another_host(
    page: Page, container: Container
) -> None:
    page.wait_for_load_state("networkidle")
    assert page.errors == []
    assert page.hosts == {container.address}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_error_page_has_its_style_fits_a_phone_and_keeps_to_its_content_policy(
    browser: Browser, container: Container, scheme: str
) -> None:
    page = browser.new_page(viewport=PHONE, color_scheme=scheme)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    response = page.goto(container.url("/static/.hidden"))
    assert response.status == 404
    assert response.headers["x-request-id"] in page.locator("code").inner_text()
    colors = {"light": "rgb(247, 245, 240)", "dark": "rgb(18, 24, 27)"}
    assert page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == colors[scheme]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert [text for text in errors if "404" not in text] == []
