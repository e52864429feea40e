"""The status page in a real browser."""

from collections.abc import Callable, Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from admin_port import ASK, ip
from conftest import Container, until

PATIENCE = 20_000
"""Milliseconds that a change may take to show."""


@pytest.fixture(scope="module")
def shown(start: Callable[..., Container], metrics_image: str) -> Container:
    """A container with a secret, in which requests may hang for some seconds."""
    options = ("--env=PROCESSES=2", "--env=REQUEST_TIMEOUT=6", "--env=SECRET_KEY=hunter2")
    container = start(*options, image=metrics_image)
    until(lambda: container.answers("/hello/x"), "it answers")
    return container


def listened_to(page: Page) -> Page:
    """The same page, that keeps what the browser complains about."""
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
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
    """The page as different people see it, with everything that the browser complained about."""
    width, scheme, script = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=script
    )
    page = listened_to(context.new_page())
    page.goto(f"http://{ip(shown)}:9090/")
    yield page
    context.close()


def test_it_says_that_all_is_well_and_fits_its_screen(page: Page) -> None:
    """With its style, two workers, charts and settings, the secret hidden; nothing to scroll sideways."""
    expect(page.locator("h1")).to_have_text("Healthy")
    expect(page.locator(".workers li")).to_have_count(2)
    expect(page.locator("svg polyline")).to_have_count(5)
    expect(page.locator("#settings tr", has_text="REQUEST_TIMEOUT")).to_contain_text("6")
    expect(page.locator("#settings tr", has_text="REQUEST_TIMEOUT")).to_contain_text("environment")
    expect(page.locator("#settings tr", has_text="SECRET_KEY")).to_contain_text("(hidden)")
    assert "hunter2" not in page.content()
    sheet = page.viewport_size["width"]
    for box in (item.bounding_box() for item in page.locator("main *:not(polyline)").all()):
        assert box is None or box["x"] + box["width"] <= sheet
    assert page.locator(".workers li").first.bounding_box()["height"] >= 100
    assert page.complaints == []


@pytest.fixture
def live(browser: Browser, shown: Container) -> Iterator[Page]:
    """The page on a desktop, with what the browser complained about."""
    page = listened_to(browser.new_page())
    page.goto(f"http://{ip(shown)}:9090/status")
    yield page
    page.close()


def test_values_change_under_load_without_a_reload(live: Page, shown: Container) -> None:
    """The count, the rate and the last error, which has the id that its client got."""

    def total() -> int:
        return int(live.locator("#total").inner_text().replace(",", ""))

    before = total()
    for _ in range(50):
        shown.get("/hello/x")
    failed = shown.get("/fail")
    expect(live.locator("#rate")).not_to_have_text("0.0", timeout=PATIENCE)
    error = live.locator("#errors tbody tr").first
    expect(error).to_contain_text("GET /fail", timeout=PATIENCE)
    expect(error).to_contain_text("ZeroDivisionError")
    expect(error).to_contain_text(failed.headers["X-Request-ID"])
    until(lambda: total() >= before + 51, "all are counted")
    assert live.complaints == []


def test_a_worker_that_hangs_shows_with_what_and_for_how_long(live: Page, shown: Container) -> None:
    """First busy, then late; the query is not shown."""
    shown.exec("sh", "-c", f'python3 -c "{ASK.format("/sleep/60.0?<b>")}" > /dev/null 2>&1 &')
    expect(live.locator(".workers li.busy, .workers li.late").first).to_contain_text("/sleep/60.0", timeout=PATIENCE)
    expect(live.locator(".workers li.late").first).to_contain_text("busy", timeout=PATIENCE)
    expect(live.locator(".workers li.late b")).to_have_text("sleep")
    expect(live.locator("#errors")).to_contain_text("GET /sleep/60.0", timeout=PATIENCE)
    expect(live.locator("#errors")).not_to_contain_text("?")
    assert live.locator("#errors b").count() == 0
    assert live.complaints == []


def test_its_policy_allows_nothing_but_its_own_style_and_script(shown: Container) -> None:
    """Neither another host nor code that came in otherwise."""
    policy = requests.get(f"http://{ip(shown)}:9090/status", timeout=5).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
