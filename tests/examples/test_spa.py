"""examples/spa as its README starts it, in a browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from compose import build_app
from conftest import Container

pytest_plugins = ["example_fixtures"]
pytestmark = pytest.mark.timeout(900)  # the first test installs npm in the build stage


@pytest.fixture(scope="module")
def spa(start: Callable[..., Container]) -> Container:
    return start("--env=STATIC_INDEX=fallback", image=build_app("examples/spa")).wait()


def test_a_deep_link_survives_a_reload(spa: Container, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto(spa.url("/"))
    page.get_by_role("link", name="Mars").click()
    expect(page.locator("h1")).to_have_text("Mars")
    assert page.url == spa.url("/planets/mars")
    page.reload()
    expect(page.locator("h1")).to_have_text("Mars")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Planets")
    page.go_forward()
    expect(page.locator("h1")).to_have_text("Mars")


def test_a_page_that_does_not_exist_is_the_apps_own(spa: Container, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.expected = [404]
    for path in ("/nowhere", "/planets/pluto"):
        page.goto(spa.url(path))
        expect(page.locator("h1")).to_have_text("Nothing here")


def test_unknown_paths_of_the_api_are_a_404(spa: Container) -> None:
    assert spa.get("/api/planets/mars", headers={"Accept": "application/json"}).json()["name"] == "Mars"
    assert spa.get("/api/planets/pluto", headers={"Accept": "application/json"}).status_code == 404


def test_vites_fingerprinted_files_are_immutable_and_compressed(spa: Container) -> None:
    page = spa.get("/")
    assert "immutable" not in page.headers.get("Cache-Control", "")
    paths = re.findall(r'"(/static/assets/index-[^"]+\.(?:js|css))"', page.text)
    assert len(paths) == 2
    for path in paths:
        assert "immutable" in spa.get(path).headers["Cache-Control"]
    script = re.search(r'src="(/static/[^"]+)"', page.text)[1]
    assert spa.get(script, headers={"Accept-Encoding": "br"}).headers["Content-Encoding"] == "br"


def test_neither_npm_nor_its_packages_are_in_the_image(spa: Container) -> None:
    assert spa.exec("sh", "-c", "command -v node npm; ls -d node_modules 2> /dev/null; true") == ""
