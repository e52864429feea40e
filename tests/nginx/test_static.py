"""What nginx serves by itself: names, types, compression, ranges, and what must never be served."""

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
HIDDEN = [
    *(".env", ".git/config", "sub/.htpasswd", ".assets.json", "style.css~", "style.css.bak", "style.css.old"),
    *("style.css.orig", "routes.py", "routes.pyc", "sub/.style.css.swp", "style.css.swp", "style.css.save"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app's folder with all kinds of files."""
    source = tmp_path_factory.mktemp("app")
    shutil.copy(APPS / "front/routes.py", source)
    for name, content in {**FILES, **{f"static/{name}": b"secret" for name in HIDDEN}}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    source.chmod(0o755)
    return source


@pytest.fixture(scope="module")
def front(start: Start, source: Path) -> Container:
    """The app that answers what the query string says, with that folder."""
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
def test_a_file_has_its_type(front: Container, name: str, kind: str) -> None:
    """Text says that it is UTF-8; what nobody knows is no text."""
    answer = front.get(f"/static/{name}")
    assert answer.headers["Content-Type"] == kind
    assert answer.content == FILES[f"static/{name}"]
    assert {"ETag", "Last-Modified"} <= answer.headers.keys()


@pytest.mark.parametrize("name", ["style.3f9a1c2b7d.css", "module-0a1b2c3d.mjs"])
def test_a_name_with_a_hash_may_be_kept_for_a_year(front: Container, name: str) -> None:
    """What is in it can't change."""
    assert front.get(f"/static/{name}").headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", ["style.css", "report.20260101.json", "deadbeef.txt", "index.html"])
def test_other_names_are_asked_for_again(front: Container, name: str) -> None:
    """A date, or a word that could be a number, is no hash."""
    answer = front.get(f"/static/{name}")
    assert answer.headers["Cache-Control"] == "no-cache"
    again = front.get(f"/static/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    again = front.get(f"/static/{name}", headers={"If-Modified-Since": answer.headers["Last-Modified"]})
    assert again.status_code == 304
    assert again.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-9", 206, STYLE[:10]),
        ("bytes=-10", 206, STYLE[-10:]),
        ("bytes=2190-", 206, STYLE[2190:]),
        ("bytes=99999-", 416, None),
        ("lines=1-2", 200, STYLE),
    ],
)
def test_a_part_can_be_asked_for(front: Container, asked: str, status: int, content: bytes | None) -> None:
    """Byte ranges (RFC 9110, section 14)."""
    answer = front.get("/static/style.css", headers={"Range": asked, "Accept-Encoding": "identity"})
    assert answer.status_code == status
    assert content is None or answer.content == content


def test_several_parts_come_in_one_answer(front: Container) -> None:
    """As multipart/byteranges."""
    answer = front.get("/static/style.css", headers={"Range": "bytes=0-3,5-5", "Accept-Encoding": "identity"})
    assert answer.status_code == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges")
    assert re.findall(rb"\r\n\r\n(.*)\r\n", answer.content) == [b"body", b"{"]


def test_head_has_the_headers_of_get(front: Container) -> None:
    """And no body."""
    head = requests.head(front.url("/static/style.css"), headers={"Accept-Encoding": "identity"}, timeout=5)
    assert (head.headers["Content-Length"], head.content) == (str(len(STYLE)), b"")


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_not_meant_for_all_is_not_there(front: Container, name: str) -> None:
    """Hidden files, what editors leave, and code: 404, and the app isn't asked."""
    answer = front.get(f"/static/{name}")
    assert answer.status_code == 404
    assert "X-Cache-Status" not in answer.headers
    assert answer.headers["X-Request-ID"] in answer.text


@pytest.mark.parametrize("path", ["/static/sub/", "/static/none.css", "/static/sub/none"])
def test_what_is_not_there_is_the_apps(front: Container, path: str) -> None:
    """No folder is listed."""
    assert front.get(path).text.startswith("call ")


def test_a_failed_condition_is_our_error_page(front: Container) -> None:
    """412 of nginx's own."""
    answer = front.get("/static/style.css", headers={"If-Match": '"other"'})
    assert answer.status_code == 412
    assert answer.headers["X-Request-ID"] in answer.text


def test_the_index_is_the_apps_unless_it_is_asked_for(front: Container, start: Start, source: Path) -> None:
    """STATIC_INDEX, for single-page apps; all other paths stay the app's."""
    assert front.get("/").text.startswith("call ")
    page = start(f"--volume={source}:/app:ro", "--env=STATIC_INDEX=on").wait()
    answer = page.get("/")
    assert answer.content == FILES["static/index.html"]
    assert answer.headers["Cache-Control"] == "no-cache"
    assert page.get("/index.html").text.startswith("call ")
    assert requests.head(page.url("/"), timeout=5).headers["Content-Type"] == "text/html; charset=utf-8"
    assert requests.post(page.url("/"), timeout=5).text.startswith("call ")


@pytest.fixture(scope="module")
def single_page(start: Start, source: Path) -> Container:
    """Container with the app `front` and STATIC_INDEX=fallback."""
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
def test_the_code_is_never_a_static_folder(start: Start, source: Path, path: str) -> None:
    """STATIC_PATH, however it is written."""
    container = start(f"--volume={source}:/app:ro", f"--env=STATIC_PATH={path}")
    assert container.exit_code() == 78
    assert "STATIC_PATH is" in container.log


def test_a_protected_file_is_given_out_by_the_app_alone(front: Container) -> None:
    """By X-Accel-Redirect; nobody can ask for it."""
    given = front.get(
        "/any", params={"header": ["X-Accel-Redirect:/.protected/report.txt", "Content-Type:text/x-mine"]}
    )
    assert given.text == "for some"
    assert given.headers["Content-Type"] == "text/x-mine"
    for path in (
        "/.protected/report.txt",
        "/%2eprotected/report.txt",
        "/x/../.protected/report.txt",
        "/protected/report.txt",
    ):
        assert "for some" not in front.get(path).text


@pytest.fixture(scope="module")
def template(container: Container) -> dict[str, str]:
    """The names of the template's own files, as its page links them."""
    return {name.split(".")[0]: name for name in re.findall(r'"/static/(.+?)"', container.get("/").text)}


def test_the_templates_files_have_names_with_a_hash(container: Container, template: dict[str, str]) -> None:
    """By url_for alone; the plain names are there as well."""
    assert len(template) >= 3
    for name in template.values():
        assert "immutable" in container.get(f"/static/{name}").headers["Cache-Control"]
        plain = re.sub(r"\.[0-9a-f]{16}", "", name)
        assert plain != name
        assert container.get(f"/static/{plain}").content == container.get(f"/static/{name}").content


def test_in_development_names_are_plain(start: Start) -> None:
    """An edit shows at once."""
    container = start("--env=PROFILE=development").wait()
    assert '"/static/style.css"' in container.get("/").text


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("identity", None), ("br;q=0, gzip", "gzip")],
)
def test_what_was_compressed_at_the_build_is_sent_as_the_client_accepts_it(
    container: Container, template: dict[str, str], accepted: str, encoding: str | None
) -> None:
    """And caches are told."""
    answer = requests.get(
        container.url(f"/static/{template['style']}"), headers={"Accept-Encoding": accepted}, stream=True, timeout=5
    )
    raw = answer.raw.read(decode_content=False)
    assert answer.headers.get("Content-Encoding") == encoding
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert len(raw) == int(answer.headers["Content-Length"])
    if encoding == "gzip":
        raw = gzip.decompress(raw)
    if encoding != "br":
        assert raw == (REPO / "src/static/style.css").read_bytes()
    else:
        assert str(len(raw)) == container.exec("stat", "-c", "%s", "/app/static/style.css.br")


def test_what_is_small_or_compressed_already_is_left_alone(container: Container, front: Container) -> None:
    """There is nothing to gain."""
    listing = container.exec("ls", "/app/static")
    assert "style.css.br" in listing
    assert "icon.svg.gz" not in listing
    assert "Content-Encoding" not in front.get("/static/picture.png").headers
    answer = front.get("/static/style.css", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"  # a mounted folder was not there at the build
