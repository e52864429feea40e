"""Fixtures of the tests of the examples: a project of Docker Compose, and the browser of a person."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from compose import Project, build_app, supply_images


@pytest.fixture(scope="module")
def compose(request: pytest.FixtureRequest) -> Iterator[Callable[[str, str], Project]]:
    """Start a compose file with the app of a folder, until the module's tests end: compose(FILE, FOLDER)."""
    supply_images()
    projects: list[Project] = []

    def start(file: str, folder: str) -> Project:
        projects.append(Project(build_app(folder), file))
        projects[-1].up()
        request.node.containers = [projects[-1].service("app")]
        return projects[-1]

    yield start
    for project in projects:
        project.down()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page of a new browser context: open_page(OPTION OF browser.new_context...).

    The test fails if the browser reported an error, or if a request failed. A status of 4xx that the test asked for is
    listed in the page's `expected`, and is no error.
    """
    pages: list[Page] = []
    errors: list[tuple[Page, str]] = []

    def add(page: Page, line: ConsoleMessage) -> None:
        # A browser asks for the icon by itself, some times and not others; not every app has one.
        if line.type in ("error", "warning") and not line.location["url"].endswith("/favicon.ico"):
            errors.append((page, f"{line.text} {line.location['url']}"))

    def open_page(**options: object) -> Page:
        page = browser.new_context(**options).new_page()
        pages.append(page)
        page.expected = []
        # Chromium aborts its requests (ERR_NETWORK_CHANGED) while containers start or stop, so Playwright sends them.
        page.route("**/*", lambda route: route.fulfill(response=route.fetch(max_redirects=0)))
        page.on("console", lambda line: add(page, line))
        page.on("pageerror", lambda error: errors.append((page, str(error))))
        page.on("requestfailed", lambda request: errors.append((page, f"{request.url}: {request.failure}")))
        return page

    yield open_page
    for page in pages:
        page.unroute_all(behavior="wait")
        page.context.close()
    # A page that is left aborts what it still loads.
    errors = [(page, text) for page, text in errors if not text.endswith("net::ERR_ABORTED")]
    assert [text for page, text in errors if not any(f"status of {status} " in text for status in page.expected)] == []
