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


def build_error(tree: Path) -> str:
    """Return the output of a build that fails, without the commands that it prints."""
    command = [REPO / "tools/build", "--progress=plain", "--label", SESSION_LABEL, tree]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0, "the build did not fail"
    return "\n".join(re.findall(r"^#\d+ \d+\.\d+ (.*)", done.stderr, re.MULTILINE))


def healthy(container: Container) -> bool:
    """Return True if the health check of the image succeeds."""
    command = json.loads(docker("inspect", "--format={{json .Config.Healthcheck.Test}}", container.id))
    return container.exec(*command[1:]).startswith("healthy")


# --- httpbin: most features of HTTP, installed from a plain requirements.txt ---


@pytest.fixture(scope="module")
def httpbin(context: Context, start: Start) -> Container:
    """Container of httpbin from PyPI."""
    return start(image=build(context("httpbin"))).wait()


def chunks() -> Iterator[bytes]:
    """Yield a body that requests sends as chunks."""
    yield b"one,"
    yield b"two"


def bytes_of_seed(seed: int, count: int) -> bytes:
    """Return the response of httpbin's /bytes."""
    generator = random.Random(seed)
    return bytes(generator.randint(0, 255) for _ in range(count))


PNG = re.compile(rb"\A\x89PNG\r\n\x1a\n.*IEND....\Z", re.DOTALL)
OK, MOVED, PARTIAL, UNCHANGED = 200, 302, 206, 304

# Request line, options of requests.request, expected status, some expected headers, and the body: a part of its JSON, a
# part of its text, all of its bytes, or a pattern. HOST stands for the published host and port.
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
    """Return True if both are equal, or if each item of the dictionary `part` is in the dictionary `whole`."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and includes(whole[key], value) for key, value in part.items())
    return whole == part


@pytest.mark.parametrize(("request_line", "sent", "status", "headers", "body"), HTTPBIN)
def test_httpbin_responds_as_on_its_own_server(
    httpbin: Container,
    request_line: str,
    sent: dict[str, object],
    status: int,
    headers: dict[str, str],
    body: dict[str, object] | str | bytes | re.Pattern[bytes],
) -> None:
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


# --- Builds ---


def test_a_program_uwsgi_or_nginx_among_the_apps_packages_is_not_used(start: Start, context: Context) -> None:
    install = (
        "for name in uwsgi nginx; do printf '#!/bin/sh\\nexit 1\\n' > /venv/bin/$name; chmod +x /venv/bin/$name; done\n"
    )
    container = start(image=build(context("plain", **{"prebuild.sh": install}))).wait()
    assert container.exec("which", "uwsgi") == "/venv/bin/uwsgi"


def test_an_app_without_requirements_builds_and_serves(context: Context, start: Start) -> None:
    container = start(image=build(context("plain"))).wait()
    assert container.get("/").text == "plain hello\n"
    assert container.get("/static/file.txt").text == "plain static\n"


def test_a_file_of_python_2_that_is_not_imported_does_not_fail_the_build(context: Context, start: Start) -> None:
    container = start(image=build(context("plain", **{"old.py": "print 'hello'\n"}))).wait()
    assert container.get("/").text == "plain hello\n"


def test_an_app_that_only_its_owner_may_read_serves_after_the_build(context: Context, start: Start) -> None:
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


def test_a_lock_that_is_out_of_date_fails_the_build_and_the_message_names_make_lock(context: Context) -> None:
    error = build_error(context("plain", **{"requirements.txt": "six==1.16.0\n", "requirements.lock": LOCK}))
    assert "six==1.16.0" in error
    assert "make lock" in error


@pytest.mark.parametrize(
    ("requirement", "named"),
    [
        pytest.param("flask==3.1.*\nwerkzeug<3", "depends on werkzeug>=3", id="conflict"),
        pytest.param("no-such-release-of-six==9999\nsix==9999", "no-such-release-of-six", id="unknown package"),
    ],
)
def test_requirements_that_cannot_be_met_fail_the_build_and_the_message_names_the_package(
    context: Context, requirement: str, named: str
) -> None:
    assert named in build_error(context("plain", **{"requirements.txt": f"{requirement}\n"}))


# --- Packages ---

PACKAGES = """\
import importlib.metadata, importlib.util, json

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    packages = {each.name: each.version for each in importlib.metadata.distributions()}
    importable = [name for name in environ["QUERY_STRING"].split(",") if importlib.util.find_spec(name)]
    return [json.dumps({"packages": packages, "importable": importable}).encode()]
"""
"""App that returns its packages, and those modules of the query string that it can import."""

CONTAINER_LIBRARIES = ("yaml", "pydantic", "pydantic_settings", "supervisor", "annotated_types", "dotenv")
"""Top-level modules of the container's own packages."""


def test_an_app_without_requirements_has_no_packages(start: Start, app: Callable[[str], str], context: Context) -> None:
    container = start(app(PACKAGES), image=build(context("plain"))).wait()
    assert container.get(f"/?{','.join(CONTAINER_LIBRARIES)}").json() == {"packages": {}, "importable": []}
    found = container.exec("python3", "-c", "import importlib.metadata as m; print(list(m.distributions()))")
    assert found == "[]"


def test_an_app_can_pin_other_versions_of_the_containers_packages(context: Context, start: Start) -> None:
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
    """Copy of the plain app that any user may write to."""
    folder = shutil.copytree(APPS / "plain", tmp_path / "app")
    folder.chmod(0o777)
    return folder


def test_an_app_mounted_read_only_serves(start: Start, folder: Path) -> None:
    container = start(*HARDENED, f"--volume={folder}:/app:ro").wait()
    assert container.get("/").text == "plain hello\n"
    assert container.get("/static/file.txt").text == "plain static\n"


def test_the_container_adds_no_file_to_an_app_that_is_mounted_read_write(start: Start, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    container = start(f"--volume={folder}:/app").wait()
    assert container.get("/").text == "plain hello\n"
    container.exec("touch", "/app/written")
    assert sorted(folder.rglob("*")) == sorted([*before, folder / "written"])


CONTAINER_MODULES = """
    runtime settings logs health check limits prepare supervise profiles logging_ wsgi app config values environment
    worker admin log start build policy load healthcheck instrument app_logs assets pid1 metrics nginx
""".split()  # noqa: SIM905
STANDARD_MODULES = "signal json queue socket subprocess select pathlib contextlib http runpy logging".split()  # noqa: SIM905

NAMES = """\
import importlib

def app(environ, start_response):
    names = environ["QUERY_STRING"].split(",") if environ["QUERY_STRING"] else []
    start_response("200 OK", [])
    return [",".join(importlib.import_module(name).__file__ for name in names).encode()]
"""
"""App that imports the modules of the query string, and returns their files."""


@pytest.mark.parametrize("options", [(), ("--env=PYTHONPATH=/app",)], ids=["as it is", "PYTHONPATH=/app"])
def test_an_app_can_have_modules_with_the_names_of_the_containers_and_of_the_standard_library(
    start: Start, app: Callable[[str], str], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """The app imports its own modules, and the container still starts, is healthy, reloads and stops."""
    mount = app(NAMES)
    names = [*CONTAINER_MODULES, *CONTAINER_LIBRARIES]
    for name in names:
        (tmp_path / f"{name}.py").write_text("")
    for name in STANDARD_MODULES:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the app has its own {name}.py')")
    container = start(mount, "--env=PROCESSES=1", *options).wait()

    assert container.get(f"/?{','.join(names)}").text.split(",") == [f"/app/{name}.py" for name in names]
    assert container.get("/?routes").text == "/app/routes.py"
    assert healthy(container)
    (tmp_path / "routes.py").write_text(NAMES.replace("200 OK", "201 Created"))
    docker("kill", "--signal=HUP", container.id)
    until(lambda: container.get("/?routes").status_code == 201, "the new code serves")
    docker("kill", "--signal=TERM", container.id)
    assert container.exit_code() == 0


def test_a_flask_app_can_have_packages_with_the_names_of_the_containers_modules(
    start: Start, app: Callable[[str], str], tmp_path: Path
) -> None:
    mount = app(
        "import importlib\n"
        "from flask import Flask, request\n"
        "app = Flask(__name__)\n"
        "app.get('/<name>')(lambda name: importlib.import_module(name).__file__)\n"
    )
    for name in CONTAINER_MODULES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    container = start(mount).wait()
    for name in CONTAINER_MODULES:
        assert container.get(f"/{name}").text == f"/app/{name}/__init__.py"


def test_a_flask_app_can_have_its_own_module_mmap(start: Start, app: Callable[[str], str], tmp_path: Path) -> None:
    """The worker uses mmap of the standard library for the scoreboard."""
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
