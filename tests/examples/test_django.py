"""examples/django as its README starts it: the image, PostgreSQL, and a browser."""

import re
import subprocess
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Page, expect

from compose import Project
from conftest import DEADLINE, Container

pytest_plugins = ["example_fixtures"]
pytestmark = pytest.mark.timeout(600)  # the first test builds images


@pytest.fixture(scope="module")
def project(compose: Callable[[str, str], Project]) -> Project:
    return compose("examples/django/compose.yaml", "examples/django")


@pytest.fixture
def site(project: Project) -> Container:
    """Container of the app."""
    return project.service("app")


@pytest.fixture
def admin(site: Container, open_page: Callable[..., Page]) -> Page:
    """The admin's start page, after a person logged in."""
    page = open_page()
    page.goto(site.url("/"))
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(site.exec("cat", "/run/secrets/DJANGO_SUPERUSER_PASSWORD"))
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#user-tools")).to_contain_text("admin")
    return page


def test_a_person_adds_finds_and_deletes_a_book_in_the_admin(site: Container, admin: Page) -> None:
    admin.goto(site.url("/admin/library/book/add/"))
    admin.get_by_label("Title:").fill("Emma")
    admin.get_by_label("Author:").fill("Jane Austen")
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.locator(".success")).to_contain_text("was added successfully")
    admin.locator("#searchbar").fill("austen")
    admin.get_by_role("button", name="Search").click()
    admin.get_by_role("link", name="Emma").click()
    admin.get_by_role("link", name="Delete").click()
    admin.get_by_role("button", name="Yes").click()
    expect(admin.locator(".success")).to_contain_text("was deleted successfully")


def test_nginx_serves_the_collected_files_as_immutable(site: Container) -> None:
    page = site.get("/admin/login/").text
    path = re.search(r'href="(/static/admin/css/base[^"]*\.css)"', page)[1]
    response = site.get(path, headers={"Accept-Encoding": "br"})
    assert "immutable" in response.headers["Cache-Control"]
    assert response.headers["Content-Encoding"] == "br"


def test_the_admin_is_styled(site: Container, open_page: Callable[..., Page]) -> None:
    page = open_page(color_scheme="light")
    page.goto(site.url("/admin/login/"))
    assert page.locator("#header").evaluate("header => getComputedStyle(header).backgroundColor") == "rgb(65, 118, 144)"


def test_hosts_that_are_not_allowed_get_a_400(site: Container) -> None:
    response = requests.get(site.url("/admin/login/"), headers={"Host": "example.org"}, timeout=DEADLINE)
    assert response.status_code == 400


def test_prestart_can_run_again_and_at_the_same_time(project: Project, site: Container) -> None:
    project.compose("exec", "--no-TTY", "database", "createdb", "--username=app", "empty")
    url = "DATABASE_URL=postgresql://app@database/empty"
    command = ["docker", "exec", "--env", url, site.id, "app-env", "./prestart.sh"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(3)]
    output = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], output
    assert sum("Superuser created" in text for text in output) == 1
