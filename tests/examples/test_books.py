"""examples/books as its README starts it: the image, PostgreSQL, and a browser."""

import subprocess
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Page, expect

from compose import Project
from conftest import DEADLINE, Container, until

pytest_plugins = ["example_fixtures"]
pytestmark = pytest.mark.timeout(600)  # the first test builds images

PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def project(compose: Callable[[str, str], Project]) -> Project:
    return compose("examples/books/compose.yaml", "examples/books")


@pytest.fixture
def shelf(project: Project) -> Container:
    """Container of the app."""
    return project.service("app")


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


def send(shelf: Container, method: str, path: str, **options: object) -> requests.Response:
    """Send a request as a program does, without following redirects."""
    options.setdefault("headers", JSON)
    return requests.request(method, shelf.url(path), timeout=DEADLINE, allow_redirects=False, **options)


def add(shelf: Container, title: str, **values: object) -> dict[str, object]:
    """Add a book, and return it."""
    response = send(shelf, "POST", "/books", json={"title": title, "author": "Anonymous"} | values)
    assert response.status_code == 201, response.text
    return response.json()


# --- in a browser ---


def test_a_person_adds_edits_and_removes_a_book(shelf: Container, page: Page) -> None:
    page.goto(shelf.url("/"))
    page.get_by_role("link", name="Add a book").click()
    page.get_by_label("Title").fill("Emma")
    page.get_by_label("Author").fill("Jane Austen")
    page.get_by_label("Year").fill("1815")
    page.get_by_label("Reading").check()
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".flash.success")).to_contain_text("Emma")
    expect(page.locator("h1")).to_have_text("Emma")
    expect(page.locator(".details")).to_contain_text("Jane Austen, 1815")
    address = page.url
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Notes").fill("<b>Badly done, indeed!</b>")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".notes")).to_have_text("<b>Badly done, indeed!</b>")
    assert page.url == address
    page.get_by_text("Remove…").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator(".flash.info")).to_contain_text("Emma")
    page.expected = [404]
    page.goto(address)
    expect(page.locator("h1")).to_have_text("Not Found")


def test_wrong_values_get_a_message_at_their_field_and_are_not_lost(shelf: Container, page: Page) -> None:
    page.expected = [422]
    page.goto(shelf.url("/books/new"))
    page.get_by_label("Author").fill("Jane Austen")
    page.get_by_label("Year").fill("soon")
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".flash.error")).to_be_visible()
    expect(page.get_by_label("Title")).to_have_accessible_description("Enter the title.")
    expect(page.get_by_label("Year")).to_have_accessible_description("Enter a year of up to four digits, such as 1931.")
    expect(page.get_by_label("Year")).to_have_value("soon")
    expect(page.get_by_label("Author")).to_have_value("Jane Austen")
    expect(page.get_by_label("Author")).to_have_accessible_description("")


def test_a_book_that_is_there_already_is_a_message_at_its_title(shelf: Container, page: Page) -> None:
    page.expected = [422]
    page.goto(shelf.url("/books/new"))
    page.get_by_label("Title").fill("Middlemarch")
    page.get_by_label("Author").fill("George Eliot")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#title-message")).to_contain_text("already")


def test_search_matches_title_and_author_literally(shelf: Container, page: Page) -> None:
    page.goto(shelf.url("/"))
    page.get_by_label("Title or author").fill("ELIOT")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".shelf li")).to_have_count(1)
    expect(page.get_by_role("link", name="Middlemarch")).to_be_visible()
    page.get_by_label("Title or author").fill("100%_'<")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".empty")).to_be_visible()
    expect(page.get_by_label("Title or author")).to_have_value("100%_'<")


def test_a_cookie_remembers_the_order(shelf: Container, page: Page) -> None:
    page.goto(shelf.url("/"))
    page.get_by_label("Order").select_option("year")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".shelf a").first).to_have_accessible_name("Frankenstein by Mary Shelley")
    page.goto(shelf.url("/"))
    expect(page.get_by_label("Order")).to_have_value("year")


def test_a_session_counts_visits_until_log_out(shelf: Container, page: Page) -> None:
    page.goto(shelf.url("/"))
    expect(page.locator("footer")).to_contain_text("Visit 1.")
    page.get_by_role("link", name="Log in").click()
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".flash.success")).to_have_text("Welcome, Ada.")
    expect(page.locator("footer")).to_contain_text("Visit 2 of Ada.")
    page.get_by_role("button", name="Log out").click()
    expect(page.locator(".flash.info")).to_be_visible()
    expect(page.locator("footer")).to_contain_text("Visit 1.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_page_fits_its_screen_under_a_strict_content_policy(
    shelf: Container, open_page: Callable[..., Page], size: dict[str, int], scheme: str
) -> None:
    page = open_page(viewport=size, color_scheme=scheme)
    page.expected = [404]
    add(shelf, f"{scheme} {size['width']} " + 150 * "W", author=200 * "M", notes=300 * "i")
    last = send(shelf, "GET", "/books?order=newest").json()["books"][0]["id"]
    for path in ("/books", f"/books/{last}", f"/books/{last}/edit", "/books/new", "/session/new", "/books/0"):
        response = page.goto(shelf.url(path))
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
        ground = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        assert ground == {"light": "rgb(246, 241, 231)", "dark": "rgb(23, 20, 19)"}[scheme]


# --- as a program ---


def test_json_has_all_seven_routes_but_the_forms(shelf: Container) -> None:
    created = send(shelf, "POST", "/books", json={"title": "Persuasion", "author": "Jane Austen", "notes": "Bath"})
    path = created.headers["Location"]
    assert (created.status_code, created.json()["status"]) == (201, "wanted")
    assert send(shelf, "GET", path).json() == created.json()
    assert send(shelf, "PATCH", path, json={"year": 1817}).json() == created.json() | {"year": 1817}
    replaced = send(shelf, "PUT", path, json={"title": "Persuasion", "author": "J. Austen", "status": "read"})
    assert (replaced.json()["year"], replaced.json()["notes"], replaced.json()["status"]) == (None, "", "read")
    found = send(shelf, "GET", "/books?search=persuasion").json()
    assert found == {"books": [replaced.json()], "next": None}
    deleted = send(shelf, "DELETE", path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        missing = send(shelf, method, path, json={"title": "Persuasion", "author": "Jane Austen"})
        assert (missing.status_code, list(missing.json())) == (404, ["error"])


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, {"title", "author"}),
        ({"title": " ", "author": None}, {"title", "author"}),
        ({"title": "a" * 201, "author": "b"}, {"title"}),
        ({"title": "a", "author": "b", "year": -1, "status": "lost", "notes": "n" * 5001}, {"year", "status", "notes"}),
        ({"title": "a", "author": "b", "year": [1931]}, {"year"}),
        ({"title": "Middlemarch", "author": "George Eliot"}, {"title"}),
    ],
)
def test_wrong_values_are_422_with_the_fields_by_name(
    shelf: Container, values: dict[str, object], fields: set[str]
) -> None:
    response = send(shelf, "POST", "/books", json=values)
    assert (response.status_code, set(response.json()["errors"])) == (422, fields)


@pytest.mark.parametrize("accept", [JSON, {"Accept": "text/html"}], ids=["JSON", "HTML"])
def test_what_no_database_can_store_is_refused_or_cleaned_and_never_a_500(
    shelf: Container, accept: dict[str, str]
) -> None:
    for path in ("/books?search=%00", f"/books?page={10**30}", f"/books/{10**30}", "/books?search=%ff&order=drop"):
        assert send(shelf, "GET", path, headers=accept).status_code in (200, 400, 404), path
    for body in ("[]", "1", "{", '{"title": "a\\u0000\\ud800"}'):
        headers = accept | {"Content-Type": "application/json"}
        assert send(shelf, "POST", "/books", data=body, headers=headers).status_code in (400, 422), body
    title = add(shelf, f"\0 A snowman \ud83d\u2603 {accept}")["title"]
    assert title == f"A snowman ?☃ {accept}"


def test_lists_are_paged(shelf: Container) -> None:
    for number in range(30):
        add(shelf, f"Volume {number:02}")
    first = send(shelf, "GET", "/books?search=volume").json()
    second = send(shelf, "GET", first["next"]).json()
    assert [len(first["books"]), len(second["books"]), second["next"]] == [24, 6, None]
    assert [book["title"] for book in first["books"] + second["books"]] == [f"Volume {n:02}" for n in range(30)]


def test_caches_are_told_that_the_response_depends_on_accept(shelf: Container) -> None:
    for accept in ("text/html", "application/json"):
        response = send(shelf, "GET", "/books", headers={"Accept": accept})
        assert response.headers["Content-Type"].startswith(accept)
        assert "Accept" in response.headers["Vary"]


# --- forms of other sites ---


def test_a_form_of_another_site_changes_nothing(shelf: Container, page: Page) -> None:
    path = f"/books/{add(shelf, 'Rebecca')['id']}"
    page.expected = [403]
    page.goto("about:blank")
    field = '<input name="_method" value="DELETE">'
    page.set_content(f'<form method="post" action="{shelf.url(path)}">{field}<button>Win!</button></form>')
    page.get_by_role("button").click()
    expect(page.locator("h1")).to_have_text("Forbidden")
    assert send(shelf, "GET", path).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://shop.example.org"}, 403),
        ({"Origin": "http://example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 422),
        ({"Sec-Fetch-Site": "none"}, 422),
        ({"Origin": "{own}"}, 422),
        ({}, 422),
    ],
)
def test_changes_are_accepted_from_the_own_pages_and_from_programs(
    shelf: Container, headers: dict[str, str], status: int
) -> None:
    headers = {name: value.replace("{own}", f"http://{shelf.address}") for name, value in headers.items()}
    for data in ({}, {"_method": "PATCH"}):
        path = "/books/1" if data else "/books"
        response = send(shelf, "POST", path, data=data | {"title": ""}, headers=headers)
        assert response.status_code == status


def test_a_link_cannot_change_anything(shelf: Container) -> None:
    assert send(shelf, "GET", "/books/1?_method=DELETE").status_code == 200
    assert send(shelf, "POST", "/books/1", data={"_method": "GET"}).status_code == 405
    assert send(shelf, "GET", "/books/1").status_code == 200


# --- migrations and the database ---


def test_migrations_can_run_again_and_at_the_same_time(project: Project, shelf: Container) -> None:
    project.compose("exec", "--no-TTY", "database", "createdb", "--username=app", "empty")
    url = "DATABASE_URL=postgresql://app@database/empty"
    command = ["docker", "exec", "--env", url, shelf.id, "app-env", "./prestart.sh"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(4)]
    output = "".join(run.communicate()[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0, 0, 0], output
    count = "SELECT count(*) FROM book"
    rows = project.compose("exec", "--no-TTY", "database", "psql", "--username=app", "-At", "-c", count, "empty")
    assert rows == "8"
    assert shelf.exec("app-env", "./prestart.sh") == ""


def test_a_database_that_is_down_is_a_503_and_comes_back_without_a_restart(project: Project, shelf: Container) -> None:
    project.compose("stop", "database")
    for headers in (JSON, {"Accept": "text/html"}):
        response = send(shelf, "GET", "/books", headers=headers)
        assert (response.status_code, "database" in response.text) == (503, True)
    assert send(shelf, "GET", "/health").status_code == 200
    project.compose("start", "database")
    until(lambda: send(shelf, "GET", "/books").status_code == 200, "books are listed again", 60)
    assert {send(shelf, "GET", "/books").status_code for _ in range(20)} == {200}


def test_idle_connections_that_broke_cost_no_request(project: Project, shelf: Container) -> None:
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app' AND pid <> pg_backend_pid()"
    assert send(shelf, "GET", "/books").status_code == 200
    project.compose("exec", "--no-TTY", "database", "psql", "--username=app", "-c", kill, "app")
    assert {send(shelf, "GET", "/books").status_code for _ in range(20)} == {200}
