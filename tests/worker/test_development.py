"""The development profile: edits of the app, and the page that shows an exception."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from conftest import APPS, Container, docker, until

Start = Callable[..., Container]

MAX_LIVE_SECONDS = 3
"""An edit is live within 1 s on an idle machine (docs/app.md), and within this time on a busy one."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the app that tests edit."""
    folder = tmp_path_factory.mktemp("developed") / "app"
    shutil.copytree(APPS / "developed", folder)
    folder.parent.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def developed(start: Start, source: Path) -> Container:
    """Container that serves the folder."""
    return start("--env=PROFILE=development", f"--volume={source}:/app:ro").wait()


def edit(source: Path, version: str) -> None:
    """Edit two files, and one of them in two steps."""
    for text in ("", f'VERSION = "{version}"\n'):
        (source / "version.py").write_text(text)
    (source / "routes.py").write_text((source / "routes.py").read_text() + f"# {version}\n")


@pytest.mark.alone
def test_an_edit_is_live_at_once_and_imported_once(developed: Container, source: Path) -> None:
    def is_live() -> bool:
        return developed.get("/version").text == version

    for number in range(3):
        imports, version = developed.log.count("imported"), f"edit {number}"
        edit(source, version)
        until(is_live, f"{version} is live", MAX_LIVE_SECONDS)
        until(lambda imports=imports: developed.log.count("imported") > imports, "the import is logged")
        until(
            lambda: "uwsgi-old" not in docker("exec", developed.id, "supervisorctl", "status", check=False),
            "the old code is retired",
        )
        assert developed.log.count("imported") == imports + 1


def test_templates_and_static_files_change_at_once(developed: Container, source: Path) -> None:
    for path, file in (("/page", "templates/page.html"), ("/static/file.txt", "static/file.txt")):
        for word in ("new", "newer"):
            (source / file).write_text(f"{word}\n")
            assert developed.get(path).text.strip() == word


def test_new_code_that_fails_to_import_is_logged_and_the_old_code_serves(developed: Container, source: Path) -> None:
    before = developed.get("/version").text
    (source / "version.py").write_text("this is no Python\n")
    until(lambda: "SyntaxError" in developed.log, "the reason is logged")
    assert developed.get("/version").text == before
    edit(source, "corrected")
    until(lambda: developed.get("/version").text == "corrected", "the corrected code serves")


def test_the_page_of_an_exception_shows_the_source_lines_of_each_frame(developed: Container) -> None:
    response = developed.get("/fail")
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    files = re.findall(r'class="filename">\W*?(/[\w/.-]+)', response.text)
    assert files.count("/app/routes.py") == 4  # the middleware, both exceptions
    assert not any(file.startswith("/opt/wsgi") for file in files)
    assert re.search(r'class="line current"><span class="ws">    </span>return {}\[name\]', response.text)
    assert "The above exception was the direct cause" in response.text
    assert "<h1>ValueError: no such name</h1>" in response.text
    assert "<script" not in response.text


def test_an_exception_of_middleware_shows_its_traceback(developed: Container) -> None:
    assert "<h1>RuntimeError: in the middleware</h1>" in developed.get("/middleware").text


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("", id="the page itself"),
        pytest.param("?__debugger__=yes&cmd=resource&f=debugger.js", id="its script"),
        pytest.param("?__debugger__=yes&cmd=printpin&s=secret", id="its PIN"),
        pytest.param("?__debugger__=yes&cmd=pinauth&pin=123-456-789&s=secret", id="its prompt"),
        pytest.param("?__debugger__=yes&cmd=1%2B1&frm=0&s=secret", id="a command"),
    ],
)
def test_werkzeugs_console_cannot_be_reached(developed: Container, query: str) -> None:
    page = developed.get(f"/fail{query}").text
    assert "<h1>ValueError: no such name</h1>" in page
    for part in ("<form", "<input", "EVALEX", "SECRET", "pin-prompt", "__debugger__"):
        assert part not in page
    assert developed.get(f"/console{query}").status_code == 404


def test_the_page_of_an_exception_shows_in_a_browser_and_runs_no_script(developed: Container, browser: Browser) -> None:
    page = browser.new_page()
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text) if "status of 500" not in line.text else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.route("**/*", lambda route: route.fulfill(response=route.fetch()))
    page.goto(developed.url("/fail"))
    assert page.locator(".frame").count() > 4
    own, library = page.locator(".source:not(.library)").first, page.locator(".source.library").first
    assert own.locator(".line:visible").count() > 5
    assert library.locator(".line:visible").count() == 1
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.source .current')).backgroundColor")
        != "rgba(0, 0, 0, 0)"
    )
    assert problems == []
    page.close()


def test_without_werkzeug_the_traceback_is_plain_text(start: Start, app: Callable[[str], str]) -> None:
    code = "import sys\nsys.modules['werkzeug'] = None\ndef app(environ, start_response):\n    return {}['nothing']\n"
    container = start("--env=PROFILE=development", app(code))
    until(lambda: "loaded the app" in container.log, "the app is loaded")
    response = container.get("/")
    assert response.status_code == 500
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.text.startswith("Traceback (most recent call last):")
    assert response.text.rstrip().endswith("KeyError: 'nothing'")
    assert "/opt/wsgi" not in response.text
