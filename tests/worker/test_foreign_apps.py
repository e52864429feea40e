"""Apps and frameworks from PyPI: at the container's defaults each works as on its own server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from conftest import APPS, HARDENED, Container, build

Serve = Callable[..., Container]


@pytest.fixture(scope="module")
def serve(context: Callable[..., Path], start: Callable[..., Container]) -> Serve:
    """Build the image of an app and start it: serve(APP, OPTION OF docker run...)."""
    return lambda app, *options: start(*options, image=build(context(app))).wait()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Page of the browser. Console errors and exceptions fail the test, except that the app has no /favicon.ico."""
    page = browser.new_page()
    # Chromium aborts its requests (ERR_NETWORK_CHANGED) while any container starts or stops, so Playwright sends them.
    page.route("**/*", lambda route: route.fulfill(response=route.fetch(max_redirects=0)))
    errors: list[str] = []
    page.on(
        "console", lambda line: errors.append(f"{line.location['url']}: {line.text}") if line.type == "error" else None
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.unroute_all(behavior="wait")
    page.close()
    assert [error for error in errors if "/favicon.ico: " not in error] == []


def test_flask_admin_asks_before_it_deletes_a_row(serve: Serve, page: Page) -> None:
    """The question is an onclick attribute, which a strict policy would disable."""
    questions: list[str] = []
    accept = False

    def answer(dialog: Dialog) -> None:
        questions.append(dialog.message)
        if accept:
            dialog.accept()
        else:
            dialog.dismiss()

    page.on("dialog", answer)
    page.goto(serve("flask_admin").url("/admin/customer/"))
    delete = page.locator("tr", has_text="Ada").get_by_title("Delete record")
    delete.click()
    expect(page.locator("tr", has_text="Ada")).to_be_visible()
    assert len(questions) == 1
    accept = True
    delete.click()
    expect(page.locator("tr", has_text="Ada")).to_have_count(0)
    expect(page.locator("tr", has_text="Grace")).to_be_visible()
    assert len(questions) == 2


def test_error_pages_of_bottle_are_not_replaced(serve: Serve) -> None:
    bottle = serve("bottle")
    for path, status in (("/missing", 404), ("/fail", 500)):
        response = bottle.get(path)
        assert (response.status_code, response.text) == (status, f"<h1>Bottle's own page of a {status}</h1>")


def test_djangos_admin_logs_in_adds_an_object_and_logs_out_on_another_port_than_80(serve: Serve, page: Page) -> None:
    """Django's CSRF check compares the Origin header, which has the port, with the host that Django sees."""
    django = serve("django", *HARDENED, "--env=SECRET_KEY=for tests")
    assert not django.address.endswith(":80")
    page.goto(django.url("/admin/"))
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("lovelace")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#user-tools")).to_contain_text("Ada")
    page.goto(django.url("/admin/auth/group/add/"))
    page.get_by_label("Name:").fill("Analysts")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".success")).to_contain_text("was added successfully")
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1").last).to_have_text("Logged out")


def test_an_app_with_pydantic_1_serves_its_swagger_ui(serve: Serve, page: Page) -> None:
    """The container itself uses pydantic 2."""
    pinned = serve("pinned")
    for line in (APPS / "pinned/requirements.txt").read_text().split():
        package, version = line.split("==")
        assert pinned.get(f"/versions?package={package}").json() == {package: version}
    page.goto(pinned.url("/openapi/swagger"))
    expect(page.locator(".opblock-summary-path").first).to_contain_text("/versions")
