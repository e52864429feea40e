"""URL_PREFIX: the app is reached below a path, and everything agrees on it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from conftest import DEADLINE, HARDENED, Container, certificate

Start = Callable[..., Container]

APP = """
from flask import Flask, redirect, request, session, url_for
app = Flask(__name__)
app.secret_key = "for tests"

@app.get("/")
def index():
    session["visits"] = 1
    return {name: request.environ[name] for name in ("SCRIPT_NAME", "PATH_INFO", "REQUEST_URI")}

@app.get("/<path:path>")
def page(path):
    return index()

@app.get("/old")
def old():
    return redirect(url_for("page", path="new"))

@app.get("/static-url")
def static_url():
    return url_for("static", filename="note.txt")

@app.get("/health")
def health():
    return "healthy"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the app."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "routes.py").write_text(APP)
    (folder / "static").mkdir()
    (folder / "static/note.txt").write_text("note\n")
    (folder / "static/index.html").write_text("index\n")
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def shop(start: Start, folder: Path) -> Container:
    """The app below /shop."""
    container = start(f"--volume={folder}:/app:ro", "--env=URL_PREFIX=/shop.1", *HARDENED)
    container.answers = lambda path="/shop.1/health": Container.answers(container, path)  # type: ignore[method-assign]
    return container.wait()


@pytest.mark.parametrize(
    ("path", "path_info"),
    [
        ("/shop.1/a/b", "/a/b"),
        ("/shop.1/a//b%20c", "/a//b c"),
        ("/shop.1/shop.1/x", "/shop.1/x"),
        ("/shop.1/", "/"),
    ],
)
def test_the_app_gets_the_prefix_as_script_name_and_the_rest_as_path_info(
    path: str, path_info: str, shop: Container
) -> None:
    environ = shop.get(path).json()
    assert environ == {"SCRIPT_NAME": "/shop.1", "PATH_INFO": path_info, "REQUEST_URI": path}


@pytest.mark.parametrize("path", ["/", "/health", "/static/note.txt", "/shop.1x", "/shop-1/", "/shop.1/../x", "/shop"])
def test_nginx_answers_requests_outside_the_prefix_with_its_404(path: str, shop: Container) -> None:
    request = requests.Request("GET", shop.url("/")).prepare()
    request.url = shop.url(path)
    response = requests.Session().send(request, timeout=DEADLINE)
    assert response.status_code == 404
    assert "Page not found" in response.text


def test_links_redirects_static_files_and_cookies_stay_below_the_prefix(shop: Container) -> None:
    assert shop.get("/shop.1/static-url").text == "/shop.1/static/note.txt"
    assert shop.get("/shop.1/static/note.txt").text == "note\n"
    assert "max-age" not in shop.get("/shop.1/static/note.txt").headers["Cache-Control"]
    assert shop.get("/shop.1/old", allow_redirects=False).headers["Location"] == "/shop.1/new"
    assert "Path=/shop.1" in shop.get("/shop.1/").headers["Set-Cookie"]
    assert shop.get("/shop.1", allow_redirects=False).status_code in (200, 308)


def test_health_check_and_error_page_work_below_the_prefix(shop: Container) -> None:
    assert "healthy: /shop.1/health answered 200" in shop.exec("healthcheck")
    assert '"path":"/shop.1/health"' not in shop.log
    page = shop.get("/shop.1/static/.hidden")
    assert page.status_code == 404
    assert "Page not found" in page.text


def test_static_index_and_https_redirect_work_below_the_prefix(
    start: Start, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tls = tmp_path_factory.mktemp("tls")
    certificate(tls)
    tls.chmod(0o755)
    container = start(
        f"--volume={folder}:/app:ro",
        f"--volume={tls}:/tls:ro",
        "--env=URL_PREFIX=/shop",
        "--env=STATIC_INDEX=on",
        "--env=TLS_CERT_FILE=/tls/tls.crt",
        "--env=TLS_KEY_FILE=/tls/tls.key",
    )
    container.answers = lambda path="/shop/health": Container.answers(container, path)  # type: ignore[method-assign]
    container.wait()
    assert container.get("/shop/health").text == "healthy"
    redirect = container.get("/shop/", allow_redirects=False)
    assert (redirect.status_code, redirect.headers["Location"].endswith("/shop/")) == (308, True)
    index = container.exec(
        "python3",
        "-c",
        (
            "import ssl, urllib.request; context = ssl._create_unverified_context();"
            "print(urllib.request.urlopen('https://localhost/shop/', context=context).read().decode())"
        ),
    )
    assert index.strip() == "index"
