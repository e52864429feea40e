"""The page at /, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from conftest import Container

PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}


@pytest.fixture(params=["phone", "desktop", "dark", "no JavaScript"])
def page(browser: Browser, container: Container, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page as different people see it, with everything that the browser complained about."""
    context = browser.new_context(
        viewport=PHONE if request.param == "phone" else DESKTOP,
        color_scheme="dark" if request.param == "dark" else "light",
        java_script_enabled=request.param != "no JavaScript",
    )
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("requestfailed", lambda failed: page.complaints.append(failed.url))
    page.hosts = set()
    page.on("request", lambda sent: page.hosts.add(sent.url.split("/")[2]))
    page.goto(container.url("/"))
    yield page
    context.close()


def test_the_page_shows_the_way_of_the_request(page: Page, container: Container) -> None:
    """Four steps, from the browser to the function that answered, with this request's own data."""
    expect(page.locator(".way li")).to_have_count(4)
    assert container.address in page.locator(".way").inner_text()
    expect(page.locator(".way li").last).to_contain_text("src/routes.py")


def test_the_page_fits_its_screen_and_has_its_style(page: Page) -> None:
    """Nothing to scroll sideways; the stylesheet came."""
    width = page.viewport_size["width"]
    for box in (item.bounding_box() for item in page.locator("main *").all()):
        assert box is None or box["x"] + box["width"] <= width
    assert page.locator(".way li").first.bounding_box()["height"] > 60


def test_the_button_asks_the_app(page: Page) -> None:
    """With JavaScript the answer shows below; without, it is a page of its own."""
    page.get_by_role("button").click()
    expect(page.locator("body")).to_contain_text('"message":"hello"')


def test_the_browser_has_nothing_to_complain_of_and_asks_no_other_host(page: Page, container: Container) -> None:
    """No error in the console, and no third party."""
    page.wait_for_load_state("networkidle")
    assert page.complaints == []
    assert page.hosts == {container.address}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_error_page_has_its_style_and_fits(browser: Browser, container: Container, scheme: str) -> None:
    """On a phone, with nothing that the content policy refuses."""
    page = browser.new_page(viewport=PHONE, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    response = page.goto(container.url("/static/.hidden"))
    assert response.status == 404
    assert response.headers["x-request-id"] in page.locator("code").inner_text()
    colours = {"light": "rgb(247, 245, 240)", "dark": "rgb(18, 24, 27)"}
    assert page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == colours[scheme]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert [text for text in complaints if "404" not in text] == []
