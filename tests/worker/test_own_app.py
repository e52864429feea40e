"""Any app in src/ works, and no other file has to be changed for it. tests/worker/test_find_app.py finds it."""

import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from requests.auth import HTTPDigestAuth

from conftest import APPS, DEADLINE, HARDENED, REPO, SESSION_LABEL, Container, build, docker, until

Start = Callable[..., Container]
Context = Callable[..., Path]


def complaint(tree: Path) -> str:
    """What a build that must fail prints while it runs, without the commands that it echoes."""
    command = [REPO / "tools/build", "--progress=plain", "--label", SESSION_LABEL, tree]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0, "it was built"
    return "\n".join(re.findall(r"^#\d+ \d+\.\d+ (.*)", done.stderr, re.MULTILINE))


def healthy(container: Container) -> bool:
    """Whether the image's own health check is content."""
    command = json.loads(docker("inspect", "--format={{json .Config.Healthcheck.Test}}", container.id))
    return container.exec(*command[1:]).startswith("healthy")


# --- httpbin: everything that HTTP has, from a plain requirements.txt ---


@pytest.fixture(scope="module")
def httpbin(context: Context, start: Start) -> Container:
    """httpbin, as PyPI has it."""
    return start(image=build(context("httpbin"))).wait()


def chunks() -> Iterator[bytes]:
    """A body without a length: it is sent in chunks."""
    yield b"one,"
    yield b"two"


def bytes_of_seed(seed: int, count: int) -> bytes:
    """What httpbin's /bytes has to answer."""
    dice = random.Random(seed)
    return bytes(dice.randint(0, 255) for _ in range(count))


PNG = re.compile(rb"\A\x89PNG\r\n\x1a\n.*IEND....\Z", re.DOTALL)
OK, MOVED, PARTIAL, UNCHANGED = 200, 302, 206, 304

# What is sent, and what has to come back: the status, these headers among others, and a body that has this JSON in it,
# or this text, or is these bytes, or matches this pattern. HOST is host and port as the client knows them.
HTTPBIN = [
    ("GET /get?a=1&a=2&b=%C3%A9", {}, OK, {}, {"args": {"a": ["1", "2"], "b": "é"}, "url": "http://HOST/get?a=1&a=2&b=é"}),
    ("HEAD /get", {}, OK, {"Content-Type": "application/json"}, b""),
    ("GET /headers", {"headers": {"X-Some": "thing"}}, OK, {}, {"headers": {"X-Some": "thing", "Host": "HOST"}}),
    ("GET /ip", {}, OK, {}, re.compile(rb'"origin": "[0-9a-f.:]+"')),
    ("GET /user-agent", {"headers": {"User-Agent": "me/1"}}, OK, {}, {"user-agent": "me/1"}),
    ("POST /post?q=1", {"data": {"a": "b c&d"}}, OK, {}, {"form": {"a": "b c&d"}, "args": {"q": "1"}}),
    ("POST /post", {"json": {"a": [1, "é"]}}, OK, {}, {"json": {"a": [1, "é"]}}),
    ("POST /post", {"files": {"f": ("f.txt", "inside")}, "data": {"a": "b"}}, OK, {}, {"files": {"f": "inside"}}),
    ("POST /post", {"data": chunks}, OK, {}, {"data": "one,two"}),
    ("PUT /put", {"data": b"plain"}, OK, {}, {"data": "plain"}),
    ("PATCH /patch", {"json": {"a": None}}, OK, {}, {"json": {"a": None}}),
    ("DELETE /delete?id=7", {}, OK, {}, {"args": {"id": "7"}}),
    ("GET /status/418", {}, 418, {"x-more-info": "http://tools.ietf.org/html/rfc2324"}, "teapot"),
    ("GET /status/204", {}, 204, {}, b""),
    ("GET /status/503", {}, 503, {}, b""),
    ("GET /redirect/2", {}, MOVED, {"Location": "/relative-redirect/1"}, ""),
    ("GET /redirect/2", {"allow_redirects": True}, OK, {}, {"url": "http://HOST/get"}),
    ("GET /absolute-redirect/1", {}, MOVED, {"Location": "http://HOST/get"}, ""),
    ("GET /cookies", {"cookies": {"a": "b"}}, OK, {}, {"cookies": {"a": "b"}}),
    ("GET /cookies/set?a=b", {}, MOVED, {"Location": "/cookies", "Set-Cookie": "a=b; Path=/"}, ""),
    ("GET /cookies/set?a=b", {"allow_redirects": True}, OK, {}, {"cookies": {"a": "b"}}),
    ("GET /basic-auth/u/p", {}, 401, {"WWW-Authenticate": 'Basic realm="Fake Realm"'}, b""),
    ("GET /basic-auth/u/p", {"auth": ("u", "p")}, OK, {}, {"authenticated": True, "user": "u"}),
    ("GET /digest-auth/auth/u/p", {"auth": HTTPDigestAuth("u", "p")}, OK, {}, {"authenticated": True, "user": "u"}),
    ("GET /bearer", {}, 401, {"WWW-Authenticate": "Bearer"}, b""),
    ("GET /bearer", {"headers": {"Authorization": "Bearer t"}}, OK, {}, {"authenticated": True, "token": "t"}),
    ("GET /gzip", {}, OK, {"Content-Encoding": "gzip"}, {"gzipped": True}),
    ("GET /deflate", {}, OK, {"Content-Encoding": "deflate"}, {"deflated": True}),
    ("GET /encoding/utf8", {}, OK, {"Content-Type": "text/html; charset=utf-8"}, "⡌⠁⠧⠑ ⠼⠁⠒"),
    ("GET /html", {}, OK, {"Content-Type": "text/html; charset=utf-8"}, "Herman Melville - Moby-Dick"),
    ("GET /json", {}, OK, {"Content-Type": "application/json"}, {"slideshow": {"author": "Yours Truly"}}),
    ("GET /xml", {}, OK, {"Content-Type": "application/xml"}, "<?xml version='1.0' encoding='us-ascii'?>"),
    ("GET /robots.txt", {}, OK, {"Content-Type": "text/plain"}, "Disallow: /deny"),
    ("GET /stream/5", {}, OK, {"Transfer-Encoding": "chunked"}, re.compile(rb'\A({.*"id": [0-4]}\n){5}\Z')),
    ("GET /stream-bytes/5000?seed=1", {}, OK, {"Transfer-Encoding": "chunked"}, bytes_of_seed(1, 5000)),
    ("GET /drip?numbytes=5&duration=0.5&delay=0", {}, OK, {"Content-Length": "5"}, b"*****"),
    ("GET /range/99", {"headers": {"Range": "bytes=10-12"}}, PARTIAL, {"Content-Range": "bytes 10-12/99"}, b"klm"),
    ("GET /range/1024", {}, OK, {"Accept-Ranges": "bytes", "ETag": "range1024"}, "abcdefghij"),
    ("GET /bytes/1024?seed=1", {}, OK, {"Content-Length": "1024"}, bytes_of_seed(1, 1024)),
    ("GET /cache", {"headers": {"If-None-Match": "any"}}, UNCHANGED, {}, b""),
    ("GET /cache/60", {}, OK, {"Cache-Control": "public, max-age=60"}, {"url": "http://HOST/cache/60"}),
    ("GET /etag/x", {}, OK, {"ETag": "x"}, {"url": "http://HOST/etag/x"}),
    ("GET /etag/x", {"headers": {"If-None-Match": '"x"'}}, UNCHANGED, {"ETag": "x"}, b""),
    ("GET /etag/x", {"headers": {"If-Match": '"y"'}}, 412, {}, b""),
    ("GET /response-headers?X-A=b&X-A=c", {}, OK, {"X-A": "b, c"}, {"X-A": ["b", "c"]}),
    ("PUT /anything/a%2Fb/c%C3%A9", {}, OK, {}, {"method": "PUT", "url": "http://HOST/anything/a/b/cé"}),
    ("GET /base64/aMOp", {}, OK, {}, "hé"),
    ("GET /uuid", {}, OK, {}, re.compile(rb'"uuid": "[0-9a-f-]{36}"')),
    ("GET /delay/1", {}, OK, {}, {"url": "http://HOST/delay/1"}),
    ("GET /image/png", {}, OK, {"Content-Type": "image/png"}, PNG),
    ("GET /links/3/0", {}, OK, {}, "<a href='/links/3/2'>2</a>"),
    ("GET /nowhere", {}, 404, {}, "The requested URL was not found"),
    ("GET /", {}, OK, {"Content-Type": "text/html; charset=utf-8"}, "/flasgger_static/swagger-ui.css"),
    ("GET /spec.json", {}, OK, {"Content-Type": "application/json"}, {"info": {"title": "httpbin.org"}}),
    ("GET /flasgger_static/swagger-ui.css", {}, OK, {"Content-Type": "text/css; charset=utf-8"}, ".swagger-ui"),
    ("GET /static/favicon.ico", {}, OK, {"Content-Length": "22382"}, re.compile(rb"\A\x00\x00\x01\x00")),
]  # fmt: skip


def includes(whole: object, part: object) -> bool:
    """Whether `part` is in `whole`: of a dict, each of its keys is."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and includes(whole[key], value) for key, value in part.items())
    return whole == part


@pytest.mark.parametrize(("request_line", "sent", "status", "headers", "body"), HTTPBIN)
def test_httpbin_answers_as_it_does_by_itself(
    httpbin: Container,
    request_line: str,
    sent: dict[str, object],
    status: int,
    headers: dict[str, str],
    body: dict[str, object] | str | bytes | re.Pattern[bytes],
) -> None:
    """Neither Nginx nor uWSGI changes what it was asked, or what it says."""
    method, path = request_line.split(" ", 1)
    sent = {"allow_redirects": False} | sent
    if callable(sent.get("data")):
        sent["data"] = sent["data"]()
    answer = requests.request(method, httpbin.url(path), timeout=DEADLINE, **sent)

    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in headers} == {
        name: value.replace("HOST", httpbin.address) for name, value in headers.items()
    }
    if isinstance(body, dict):
        expected = json.loads(json.dumps(body).replace("HOST", httpbin.address))
        assert includes(answer.json(), expected), answer.text
    elif isinstance(body, str):
        assert body in answer.content.decode()
    elif isinstance(body, bytes):
        assert answer.content == body
    else:
        assert body.search(answer.content), answer.content


# --- Django's admin: sessions, CSRF, a database, static files of a library ---


@pytest.fixture(scope="module")
def django(context: Context, start: Start) -> Container:
    """Django's admin, in a container that may write nowhere but to /tmp and /run."""
    return start(*HARDENED, "--env=SECRET_KEY=a key for tests", image=build(context("django"))).wait()


class Admin:
    """Somebody at Django's admin."""

    def __init__(self, container: Container) -> None:
        self.origin = container.url("")
        self.session = requests.Session()

    def open(self, path: str) -> requests.Response:
        """Looks at a page."""
        return self.session.get(self.origin + path, timeout=DEADLINE)

    def submit(self, path: str, origin: str | None = None, **fields: str) -> requests.Response:
        """Fills a page's form and sends it, as a browser that says where it comes from."""
        token = re.search('name="csrfmiddlewaretoken" value="(.+?)"', self.open(path).text)
        assert token, f"{path} has no form"
        return self.session.post(
            self.origin + path,
            data={"csrfmiddlewaretoken": token[1], **fields},
            headers={"Origin": origin or self.origin, "Referer": (origin or self.origin) + path},
            timeout=DEADLINE,
        )

    def login(self, **options: str) -> requests.Response:
        """Logs in as the superuser."""
        return self.submit("/admin/login/?next=/admin/", username="ada", password="lovelace", **options)


@pytest.fixture
def admin(django: Container) -> Iterator[Admin]:
    """A browser that has been nowhere yet."""
    admin = Admin(django)
    with admin.session:
        yield admin


def test_djangos_admin_logs_in(admin: Admin) -> None:
    """The login form leads to the index, which greets the user by name."""
    index = admin.login()
    assert index.url == f"{admin.origin}/admin/"
    assert "<strong>Ada</strong>" in index.text


def test_djangos_admin_refuses_a_wrong_password(admin: Admin) -> None:
    """The form comes back, and nobody is logged in."""
    answer = admin.submit("/admin/login/?next=/admin/", username="ada", password="babbage")
    assert "Please enter the correct username and password" in answer.text
    assert "/login/" in admin.open("/admin/").url


def test_djangos_csrf_check_knows_the_published_port(admin: Admin) -> None:
    """A form from the same host and another port is refused, without CSRF_TRUSTED_ORIGINS."""
    other = admin.login(origin="http://127.0.0.1")
    assert other.status_code == 403
    assert "Origin checking failed" not in other.text, "debug is on"
    assert admin.login().status_code == 200


def test_djangos_admin_adds_an_object(admin: Admin) -> None:
    """What one worker has written, the list of the next request shows."""
    admin.login()
    added = admin.submit("/admin/auth/group/add/", name="Analysts <&>")
    assert "was added successfully" in added.text
    listed = [admin.open("/admin/auth/group/").text for _ in range(8)]
    assert all("Analysts &lt;&amp;&gt;" in page for page in listed)


def test_djangos_admin_logs_out(admin: Admin) -> None:
    """After it the index asks for a login again."""
    token = re.search('name="csrfmiddlewaretoken" value="(.+?)"', admin.login().text)
    out = admin.session.post(
        f"{admin.origin}/admin/logout/",
        data={"csrfmiddlewaretoken": token[1]},
        headers={"Origin": admin.origin},
        timeout=DEADLINE,
    )
    assert "Logged out" in out.text
    assert "/login/" in admin.open("/admin/").url


def test_djangos_static_files_are_served(admin: Admin) -> None:
    """Each style sheet and script that the admin's page names comes from Django, as /app/static has none."""
    page = admin.login().text
    files = re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js))"', page)
    assert files
    for file in files:
        answer = admin.open(file)
        assert answer.status_code == 200, file
        assert answer.headers["Content-Type"].startswith(("text/css", "text/javascript")), file


# --- Builds ---


def test_an_app_without_requirements_builds_and_serves(context: Context, start: Start) -> None:
    """A function in routes.py is enough."""
    container = start(image=build(context("plain"))).wait()
    assert container.get("/").text == "plain hello\n"
    assert container.get("/static/file.txt").text == "plain static\n"


def test_a_python_2_file_lying_around_does_not_stop_the_build(context: Context, start: Start) -> None:
    """What nobody imports needn't compile."""
    container = start(image=build(context("plain", **{"old.py": "print 'hello'\n"}))).wait()
    assert container.get("/").text == "plain hello\n"


def test_an_app_that_only_its_owner_may_read_serves_once_built_in(context: Context, start: Start) -> None:
    """The modes that a build host's umask left don't matter."""
    tree = context("plain")
    for path in (tree / "src", *(tree / "src").rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    container = start(*HARDENED, image=build(tree)).wait()
    assert container.get("/").text == "plain hello\n"
    assert container.get("/static/file.txt").text == "plain static\n"


LOCK = """\
six==1.17.0 \\
    --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274
"""


def test_a_lock_that_no_longer_fits_fails_the_build(context: Context) -> None:
    """Its message names the command that mends it."""
    said = complaint(context("plain", **{"requirements.txt": "six==1.16.0\n", "requirements.lock": LOCK}))
    assert "six==1.16.0" in said
    assert "run make lock" in said


@pytest.mark.parametrize(
    ("requirement", "named"),
    [
        pytest.param("flask==3.1.*\nwerkzeug<3", "depends on werkzeug>=3", id="a library of a library"),
        pytest.param("no-such-release-of-six==9999\nsix==9999", "no-such-release-of-six", id="nothing there"),
    ],
)
def test_requirements_that_cannot_be_met_fail_the_build(context: Context, requirement: str, named: str) -> None:
    """pip's message names the package."""
    assert named in complaint(context("plain", **{"requirements.txt": f"{requirement}\n"}))


# --- Packages ---

PACKAGES = """\
import importlib.metadata, importlib.util, json

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    packages = {each.name: each.version for each in importlib.metadata.distributions()}
    importable = [name for name in environ["QUERY_STRING"].split(",") if importlib.util.find_spec(name)]
    return [json.dumps({"packages": packages, "importable": importable}).encode()]
"""
"""An app that shows its packages, and which modules it could import."""

CONTAINER_LIBRARIES = ("yaml", "pydantic", "pydantic_settings", "supervisor", "annotated_types", "dotenv")
"""Modules of the container's packages, at their top level."""


def test_an_app_without_requirements_has_no_packages(start: Start, app: Callable[[str], str], context: Context) -> None:
    container = start(app(PACKAGES), image=build(context("plain"))).wait()
    assert container.get(f"/?{','.join(CONTAINER_LIBRARIES)}").json() == {"packages": {}, "importable": []}
    found = container.exec("python3", "-c", "import importlib.metadata as m; print(list(m.distributions()))")
    assert found == "[]"


def test_an_app_may_pin_other_versions_of_the_containers_packages(context: Context, start: Start) -> None:
    pins = {
        "python-dotenv": "1.0.1",
        "typing_extensions": "4.12.2",
        "PyYAML": "6.0.2",
        "annotated-types": "0.6.0",
        "supervisor": "4.2.5",
    }
    requirements = "".join(f"{name}=={version}\n" for name, version in pins.items())
    tree = context("plain", **{"requirements.txt": requirements, "routes.py": PACKAGES})
    container = start(image=build(tree)).wait()
    packages = container.get("/?yaml").json()["packages"]
    assert packages.items() >= pins.items()
    assert set(packages) - set(pins) <= {"setuptools"}, "a dependency of supervisor 4.2"
    assert healthy(container)


# --- Mounts, on the stock image ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the plain app, to mount over /app; anyone may write to it."""
    folder = shutil.copytree(APPS / "plain", tmp_path / "app")
    folder.chmod(0o777)
    return folder


def test_an_app_mounted_read_only_serves(start: Start, folder: Path) -> None:
    """-v src:/app:ro stands in for a build."""
    container = start(*HARDENED, f"--volume={folder}:/app:ro").wait()
    assert container.get("/").text == "plain hello\n"
    assert container.get("/static/file.txt").text == "plain static\n"


def test_an_app_mounted_read_write_serves_and_stays_clean(start: Start, folder: Path) -> None:
    """The container adds no file of its own, such as __pycache__."""
    before = sorted(folder.rglob("*"))
    container = start(f"--volume={folder}:/app").wait()
    assert container.get("/").text == "plain hello\n"
    container.exec("touch", "/app/written")
    assert sorted(folder.rglob("*")) == sorted([*before, folder / "written"])


OURS = (
    *("runtime", "settings", "logs", "health", "check", "limits", "prepare", "supervise", "profiles", "logging_"),
    *("wsgi", "app", "config", "values", "environment", "worker", "admin", "log", "start", "build", "policy", "load"),
    *("healthcheck", "instrument", "app_logs", "assets", "pid1", "metrics", "nginx"),
)
PYTHONS = (
    "signal",
    "json",
    "queue",
    "socket",
    "subprocess",
    "select",
    "pathlib",
    "contextlib",
    "http",
    "runpy",
    "logging",
)

NAMES = """\
import importlib

def app(environ, start_response):
    names = environ["QUERY_STRING"].split(",") if environ["QUERY_STRING"] else []
    start_response("200 OK", [])
    return [",".join(importlib.import_module(name).__file__ for name in names).encode()]
"""
"""Imports modules, and tells which files it got."""


@pytest.mark.parametrize("options", [(), ("--env=PYTHONPATH=/app",)], ids=["as it is", "PYTHONPATH=/app"])
def test_the_apps_own_modules_never_stand_in_for_the_containers(
    start: Start, app: Callable[[str], str], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Whatever they are called, it starts, is healthy, reloads and stops; the app gets its own."""
    mount = app(NAMES)
    for name in OURS + CONTAINER_LIBRARIES:
        (tmp_path / f"{name}.py").write_text("")
    for name in PYTHONS:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py is the app\\'s')")
    container = start(mount, "--env=PROCESSES=1", *options).wait()

    names = OURS + CONTAINER_LIBRARIES
    assert container.get(f"/?{','.join(names)}").text.split(",") == [f"/app/{name}.py" for name in names]
    assert container.get("/?routes").text == "/app/routes.py"
    assert healthy(container)
    (tmp_path / "routes.py").write_text(NAMES.replace("200 OK", "201 Created"))
    docker("kill", "--signal=HUP", container.id)
    until(lambda: container.get("/?routes").status_code == 201, "the new code serves")
    docker("kill", "--signal=TERM", container.id)
    assert container.exit_code() == 0


def test_a_flask_app_may_have_packages_with_the_names_of_the_containers(
    start: Start, app: Callable[[str], str], tmp_path: Path
) -> None:
    mount = app(
        "import importlib\n"
        "from flask import Flask, request\n"
        "app = Flask(__name__)\n"
        "app.get('/<name>')(lambda name: importlib.import_module(name).__file__)\n"
    )
    for name in OURS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    container = start(mount).wait()
    for name in OURS:
        assert container.get(f"/{name}").text == f"/app/{name}/__init__.py"


def test_a_flask_app_may_have_an_mmap_of_its_own(start: Start, app: Callable[[str], str], tmp_path: Path) -> None:
    """Which the private port's list of endpoints takes from the standard library."""
    mount = app("from flask import Flask\nimport mmap\napp = Flask(__name__)\napp.get('/')(lambda: mmap.__file__)\n")
    (tmp_path / "mmap.py").write_text("")
    assert start(mount).wait().get("/").text == "/app/mmap.py"


# --- uWSGI's own API ---


def test_timer_and_postfork_functions_of_uwsgidecorators_are_called_also_after_a_reload(
    start: Start, tmp_path: Path
) -> None:
    folder = shutil.copytree(APPS / "decorators", tmp_path / "app")
    container = start(f"--volume={folder}:/app:ro", "--env=PROCESSES=2").wait()
    until(lambda: container.get("/").json()["ticks"] > 0, "the timer ticks")
    assert container.get("/").json()["forked"]

    routes = folder / "routes.py"
    routes.write_text(routes.read_text().replace("VERSION = 1", "VERSION = 2"))
    docker("kill", "--signal=HUP", container.id)
    answers: list[dict[str, int]] = []

    def replaced() -> bool:
        answers.append(container.get("/").json())
        return {answer["worker"] for answer in answers if answer["version"] == 2} == {1, 2}

    until(replaced, "both workers run the new code")
    assert all(answer["forked"] for answer in answers)
    until(lambda: container.get("/").json()["ticks"] > 0, "the new code's timer ticks")
