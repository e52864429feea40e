"""Static files: types, caching, ranges, compression and fingerprints. Forbidden paths are in test_hostile.py."""

import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from conftest import APPS, REPO, Container, until

Start = Callable[..., Container]
STYLE = b"body { color: black }\n" * 100
FILES = {
    "static/style.css": STYLE,
    "static/style.3f9a1c2b7d.css": STYLE,
    "static/module-0a1b2c3d.mjs": b"export {}\n",
    "static/report.20260101.json": b"{}",
    "static/deadbeef.txt": b"a word",
    "static/picture.png": bytes(range(256)) * 20,
    "static/index.html": b"<!doctype html><title>One page</title>",
    "static/sub/page.html": b"<!doctype html><title>Sub</title>",
    "static/unknown.xyz": b"?",
    "protected/report.txt": b"for some",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an app with all kinds of files."""
    source = tmp_path_factory.mktemp("app")
    shutil.copy(APPS / "scripted/routes.py", source)
    for name, content in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    source.chmod(0o755)
    return source


@pytest.fixture(scope="module")
def served(start: Start, source: Path) -> Container:
    return start(f"--volume={source}:/app:ro").wait()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("style.css", "text/css; charset=utf-8"),
        ("module-0a1b2c3d.mjs", "application/javascript; charset=utf-8"),
        ("report.20260101.json", "application/json; charset=utf-8"),
        ("sub/page.html", "text/html; charset=utf-8"),
        ("picture.png", "image/png"),
        ("unknown.xyz", "application/octet-stream"),
    ],
)
def test_a_file_has_the_type_of_its_name_and_text_is_utf_8(served: Container, name: str, kind: str) -> None:
    response = served.get(f"/static/{name}")
    assert response.headers["Content-Type"] == kind
    assert response.content == FILES[f"static/{name}"]
    assert {"ETag", "Last-Modified"} <= response.headers.keys()


@pytest.mark.parametrize("name", ["style.3f9a1c2b7d.css", "module-0a1b2c3d.mjs"])
def test_a_fingerprinted_file_is_immutable_and_cacheable_for_a_year(served: Container, name: str) -> None:
    assert served.get(f"/static/{name}").headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", ["style.css", "report.20260101.json", "deadbeef.txt", "index.html"])
def test_other_files_are_revalidated(served: Container, name: str) -> None:
    """A date or a word of hexadecimal digits is no fingerprint."""
    response = served.get(f"/static/{name}")
    assert response.headers["Cache-Control"] == "no-cache"
    again = served.get(f"/static/{name}", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    again = served.get(f"/static/{name}", headers={"If-Modified-Since": response.headers["Last-Modified"]})
    assert again.status_code == 304
    assert again.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("ranges", "status", "content"),
    [
        ("bytes=0-9", 206, STYLE[:10]),
        ("bytes=-10", 206, STYLE[-10:]),
        ("bytes=2190-", 206, STYLE[2190:]),
        ("bytes=99999-", 416, None),
        ("lines=1-2", 200, STYLE),
    ],
)
def test_byte_ranges_are_served(served: Container, ranges: str, status: int, content: bytes | None) -> None:
    """RFC 9110, section 14."""
    response = served.get("/static/style.css", headers={"Range": ranges, "Accept-Encoding": "identity"})
    assert response.status_code == status
    assert content is None or response.content == content


def test_a_range_beyond_the_end_gets_a_416_with_our_error_page(served: Container) -> None:
    headers = {"Range": "bytes=99999-", "Accept-Encoding": "identity"}
    page = served.get("/static/style.css", headers=headers)
    assert page.headers["X-Request-ID"] in page.text
    assert page.headers["Content-Range"] == f"bytes */{len(STYLE)}"
    data = served.get("/static/style.css", headers=headers | {"Accept": "application/json"})
    assert data.json() == {"status": 416, "request_id": data.headers["X-Request-ID"]}


def test_several_ranges_are_served_as_multipart_byteranges(served: Container) -> None:
    response = served.get("/static/style.css", headers={"Range": "bytes=0-3,5-5", "Accept-Encoding": "identity"})
    assert response.status_code == 206
    assert response.headers["Content-Type"].startswith("multipart/byteranges")
    assert re.findall(rb"\r\n\r\n(.*)\r\n", response.content) == [b"body", b"{"]


def test_head_has_the_content_length_of_get_and_no_body(served: Container) -> None:
    head = requests.head(served.url("/static/style.css"), headers={"Accept-Encoding": "identity"}, timeout=5)
    assert (head.headers["Content-Length"], head.content) == (str(len(STYLE)), b"")


@pytest.mark.parametrize("path", ["/static/sub/", "/static/none.css", "/static/sub/none"])
def test_folders_and_missing_files_are_answered_by_the_app(served: Container, path: str) -> None:
    assert served.get(path).text.startswith("call ")


def test_a_failed_condition_gets_a_412_with_our_error_page(served: Container) -> None:
    response = served.get("/static/style.css", headers={"If-Match": '"other"'})
    assert response.status_code == 412
    assert response.headers["X-Request-ID"] in response.text


def test_static_index_serves_index_html_at_the_root_and_nowhere_else(
    served: Container, start: Start, source: Path
) -> None:
    assert served.get("/").text.startswith("call ")
    page = start(f"--volume={source}:/app:ro", "--env=STATIC_INDEX=on").wait()
    response = page.get("/")
    assert response.content == FILES["static/index.html"]
    assert response.headers["Cache-Control"] == "no-cache"
    assert page.get("/index.html").text.startswith("call ")
    assert requests.head(page.url("/"), timeout=5).headers["Content-Type"] == "text/html; charset=utf-8"
    assert requests.post(page.url("/"), timeout=5).text.startswith("call ")


@pytest.fixture(scope="module")
def single_page(start: Start, source: Path) -> Container:
    """Container with STATIC_INDEX=fallback, so that index.html replaces a 404 of the app."""
    return start(f"--volume={source}:/app:ro", "--env=STATIC_INDEX=fallback", "--env=CACHE=on").wait()


HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def not_found(path: str, *headers: str) -> str:
    """Return a target at `path` that the app answers with 404 and these headers."""
    return f"{path}?status=404{''.join(f'&header={header}' for header in headers)}"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_with_fallback_a_request_for_html_gets_index_html_instead_of_the_apps_404(
    single_page: Container, method: str
) -> None:
    target = not_found("/deep/link", "Set-Cookie:a=1", "X-Frame-Options:DENY", "Content-Type:text/html")
    answer = requests.request(method, single_page.url(target), headers=HTML, timeout=5)
    assert answer.status_code == 200
    assert answer.content == (FILES["static/index.html"] if method == "GET" else b"")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "frame-ancestors" in answer.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in answer.headers
    again = requests.request(
        method, single_page.url(target), headers=HTML | {"If-None-Match": answer.headers["ETag"]}, timeout=5
    )
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("method", "path", "accept"),
    [
        ("GET", "/api", "application/json"),
        ("GET", "/api:text/html", "*/*"),
        ("POST", "/api", HTML["Accept"]),
        ("GET", "/static/none.css", HTML["Accept"]),
    ],
)
def test_with_fallback_other_404_responses_of_the_app_are_unchanged(
    single_page: Container, method: str, path: str, accept: str
) -> None:
    target = not_found(path, "Content-Type:application/json", "X-Own:1")
    answer = requests.request(method, single_page.url(target), headers={"Accept": accept}, timeout=5)
    assert (answer.status_code, answer.headers["X-Own"]) == (404, "1")
    assert answer.text.startswith("call ")


@pytest.mark.parametrize("status", ["200", "204", "302", "403", "410", "500"])
def test_with_fallback_responses_of_the_app_with_another_status_are_unchanged(
    single_page: Container, status: str
) -> None:
    answer = single_page.get(f"/page?status={status}&header=X-Own:1", headers=HTML, allow_redirects=False)
    assert (str(answer.status_code), answer.headers["X-Own"]) == (status, "1")


def test_with_fallback_a_cached_404_is_not_sent_to_a_request_for_html(single_page: Container) -> None:
    target = not_found("/cached", "Cache-Control:max-age=60")
    for _ in range(2):
        assert single_page.get(target).status_code == 404
        assert single_page.get(target, headers=HTML).status_code == 200
    assert single_page.get(target).headers["X-Cache-Status"] == "HIT"


def test_with_fallback_and_a_deleted_index_html_the_apps_404_is_unchanged(
    start: Start, app: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "static").mkdir()
    index = tmp_path / "static/index.html"
    index.write_bytes(FILES["static/index.html"])
    code = """
def app(environ, start_response):
    start_response("404 Not Found", [("X-Own", "1")])
    return [b"none"]
"""
    container = start(app(code), "--env=STATIC_INDEX=fallback").wait()
    assert container.get("/deep/link", headers=HTML).status_code == 200
    index.unlink()

    def unchanged() -> bool:
        answer = container.get("/deep/link", headers=HTML)
        return (answer.status_code, answer.headers.get("X-Own"), answer.text) == (404, "1", "none")

    until(unchanged, "Nginx has closed the file and passes on the app's 404")


def test_with_fallback_the_root_is_index_html(single_page: Container) -> None:
    assert single_page.get("/").content == FILES["static/index.html"]


@pytest.mark.parametrize("path", ["/../app", "/app/../app", "/app", "/static/.."])
def test_a_static_path_that_contains_the_code_ends_the_container_with_78(start: Start, source: Path, path: str) -> None:
    container = start(f"--volume={source}:/app:ro", f"--env=STATIC_PATH={path}")
    assert container.exit_code() == 78
    assert "STATIC_PATH is" in container.log


def test_x_accel_redirect_serves_a_protected_file(served: Container) -> None:
    headers = ["X-Accel-Redirect:/.protected/report.txt", "Content-Type:text/x-mine"]
    response = served.get("/any", params={"header": headers})
    assert (response.text, response.headers["Content-Type"]) == ("for some", "text/x-mine")
    assert "for some" not in served.get("/.protected/report.txt").text


@pytest.mark.parametrize("kind", ["text/html", "text/plain"])
def test_a_protected_file_is_sent_with_the_security_headers_of_the_app(served: Container, kind: str) -> None:
    mine = {
        "Content-Security-Policy": "default-src https://a.example:8443; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    headers = [*(f"{name}:{value}" for name, value in mine.items()), f"Content-Type:{kind}"]
    got = served.get("/any", params={"header": [*headers, "X-Accel-Redirect:/.protected/report.txt"]}).headers
    assert {name: got.get(name) for name in mine} == mine


def test_a_protected_page_without_headers_of_the_app_has_those_of_any_page(served: Container) -> None:
    page = served.get("/any", params={"header": ["Content-Type:text/html"]}).headers
    sent = ["Content-Type:text/html", "X-Accel-Redirect:/.protected/report.txt"]
    protected = served.get("/any", params={"header": sent}).headers
    for name in ("Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options", "X-Frame-Options"):
        assert protected[name] == page[name]


@pytest.fixture(scope="module")
def template(container: Container) -> dict[str, str]:
    """Names of the template's static files, as its landing page links them."""
    return {name.split(".")[0]: name for name in re.findall(r'"/static/(.+?)"', container.get("/").text)}


def test_url_for_links_fingerprinted_files_and_the_plain_names_work_too(
    container: Container, template: dict[str, str]
) -> None:
    assert len(template) >= 3
    for name in template.values():
        assert "immutable" in container.get(f"/static/{name}").headers["Cache-Control"]
        plain = re.sub(r"\.[0-9a-f]{16}", "", name)
        assert plain != name
        assert container.get(f"/static/{plain}").content == container.get(f"/static/{name}").content


def test_in_development_url_for_links_the_plain_names(start: Start) -> None:
    """A browser then shows each edit at once."""
    container = start("--env=PROFILE=development").wait()
    assert '"/static/style.css"' in container.get("/").text


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("identity", None), ("br;q=0, gzip", "gzip")],
)
def test_files_are_served_in_the_compression_that_the_client_accepts(
    container: Container, template: dict[str, str], accepted: str, encoding: str | None
) -> None:
    response = requests.get(
        container.url(f"/static/{template['style']}"), headers={"Accept-Encoding": accepted}, stream=True, timeout=5
    )
    raw = response.raw.read(decode_content=False)
    assert response.headers.get("Content-Encoding") == encoding
    assert "Accept-Encoding" in response.headers["Vary"]
    assert len(raw) == int(response.headers["Content-Length"])
    if encoding == "gzip":
        raw = gzip.decompress(raw)
    if encoding != "br":
        assert raw == (REPO / "src/static/style.css").read_bytes()
    else:
        assert str(len(raw)) == container.exec("stat", "-c", "%s", "/app/static/style.css.br")


def test_small_files_and_images_are_not_compressed(container: Container, served: Container) -> None:
    assert "Content-Encoding" not in container.get("/static/icon.svg").headers
    assert "Content-Encoding" not in served.get("/static/picture.png").headers


def test_text_files_of_a_mounted_app_are_compressed_when_they_are_requested(served: Container) -> None:
    assert served.get("/static/style.css", headers={"Accept-Encoding": "gzip"}).headers["Content-Encoding"] == "gzip"
