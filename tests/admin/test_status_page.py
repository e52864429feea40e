"""The status page in a real browser."""

from collections.abc import Callable, Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from admin_port import get_in_background, ip
from conftest import Container, until

TIMEOUT_MS = 20_000
"""A change is on the page within this time."""


@pytest.fixture(scope="module")
def shown(start: Callable[..., Container], metrics_image: str) -> Container:
    """Container with a secret, where a request may take 6 seconds."""
    options = ("--env=PROCESSES=2", "--env=REQUEST_TIMEOUT=6", "--env=SECRET_KEY=hunter2")
    container = start(*options, image=metrics_image)
    until(lambda: container.answers("/hello/x"), "it answers")
    return container


def with_console(page: Page) -> Page:
    """Collect the page's console messages and errors in its attribute `messages`; return the page."""
    page.messages = []
    page.on("console", lambda message: page.messages.append(message.text))
    page.on("pageerror", lambda error: page.messages.append(str(error)))
    return page


@pytest.fixture(
    params=[
        (390, "light", True),
        (390, "dark", True),
        (1280, "light", True),
        (1280, "dark", True),
        (390, "dark", False),
    ],
    ids=["phone", "dark phone", "desktop", "dark desktop", "no JavaScript"],
)
def page(browser: Browser, shown: Container, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Status page on screens of two sizes, light and dark, and without JavaScript."""
    width, scheme, script = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=script
    )
    page = with_console(context.new_page())
    page.goto(f"http://{ip(shown)}:9090/")
    yield page
    context.close()


def test_it_shows_health_workers_charts_and_settings_without_secrets(page: Page) -> None:
    expect(page.locator("h1")).to_have_text("Healthy")
    expect(page.locator(".workers li")).to_have_count(2)
    expect(page.locator("svg polyline")).to_have_count(5)
    expect(page.locator("#settings tr", has_text="REQUEST_TIMEOUT")).to_contain_text("6")
    expect(page.locator("#settings tr", has_text="REQUEST_TIMEOUT")).to_contain_text("environment")
    expect(page.locator("#settings tr", has_text="SECRET_KEY")).to_contain_text("(hidden)")
    assert "hunter2" not in page.content()
    assert page.messages == []


def test_it_fits_the_width_of_the_screen(page: Page) -> None:
    width = page.viewport_size["width"]
    for box in (item.bounding_box() for item in page.locator("main *:not(polyline)").all()):
        assert box is None or box["x"] + box["width"] <= width
    assert page.locator(".workers li").first.bounding_box()["height"] >= 100


@pytest.fixture
def live(browser: Browser, shown: Container) -> Iterator[Page]:
    """Status page in a browser window of the default size."""
    page = with_console(browser.new_page())
    page.goto(f"http://{ip(shown)}:9090/status")
    yield page
    page.close()


def test_count_rate_and_last_error_change_without_a_reload_of_the_page(live: Page, shown: Container) -> None:

    def total() -> int:
        return int(live.locator("#total").inner_text().replace(",", ""))

    before = total()
    for _ in range(50):
        shown.get("/hello/x")
    failed = shown.get("/fail")
    expect(live.locator("#rate")).not_to_have_text("0.0", timeout=TIMEOUT_MS)
    error = live.locator("#errors tbody tr").first
    expect(error).to_contain_text("GET /fail", timeout=TIMEOUT_MS)
    expect(error).to_contain_text("ZeroDivisionError")
    expect(error).to_contain_text(failed.headers["X-Request-ID"])
    until(lambda: total() >= before + 51, "all requests are counted")
    assert live.messages == []


def test_a_worker_that_hangs_is_shown_with_path_and_endpoint_but_without_the_query(
    live: Page, shown: Container
) -> None:
    get_in_background(shown, "/sleep/60.0?<b>")
    expect(live.locator(".workers li.busy, .workers li.late").first).to_contain_text("/sleep/60.0", timeout=TIMEOUT_MS)
    expect(live.locator(".workers li.late").first).to_contain_text("busy", timeout=TIMEOUT_MS)
    expect(live.locator(".workers li.late b")).to_have_text("sleep")
    expect(live.locator("#errors")).to_contain_text("GET /sleep/60.0", timeout=TIMEOUT_MS)
    expect(live.locator("#errors")).not_to_contain_text("?")
    assert live.locator("#errors b").count() == 0
    assert live.messages == []


def test_its_content_security_policy_allows_only_its_own_style_and_script(shown: Container) -> None:
    policy = requests.get(f"http://{ip(shown)}:9090/status", timeout=5).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
