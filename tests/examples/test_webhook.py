"""examples/webhook: pushes to a real repository, and the requests that GitHub sends after them."""

import hmac
import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from compose import build_app
from conftest import Container, docker, until
from load import load

pytestmark = pytest.mark.timeout(600)  # the first test builds images

Start = Callable[..., Container]

SECRET = "It's a secret to everybody"
APP = """
VERSION = "{}"

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [VERSION.encode()]
"""
TESTS = """
import os, time, unittest, routes

class Tests(unittest.TestCase):
    def test_version(self):
        self.assertNotEqual(routes.VERSION, "failing")
        self.assertNotIn("WEBHOOK_SECRET", os.environ)
        while os.path.exists("/tmp/wait"):
            time.sleep(0.02)
"""


class Project:
    """A git repository that a container serves, and a clone of it."""

    def __init__(self, server: Container, clone: Path) -> None:
        self.server = server
        self.clone = clone
        address = docker("inspect", "--format={{.NetworkSettings.IPAddress}}", server.id)
        self.url = f"git://{address}/project.git"
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", self.url)

    def git(self, *words: str) -> str:
        """Run git in the clone; return its output."""
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *words]
        return subprocess.run(command, cwd=self.clone, check=True, capture_output=True, text=True).stdout.strip()

    def push(self, version: str, app: str = APP) -> str:
        """Push a version; return the commit."""
        (self.clone / "routes.py").write_text(app.replace("{}", version))
        (self.clone / "test_routes.py").write_text(TESTS)
        self.git("add", ".")
        self.git("commit", "--quiet", "--allow-empty", f"--message={version}")
        self.git("push", "--quiet", "origin", "main")
        return self.git("rev-parse", "HEAD")


@pytest.fixture(scope="module")
def image() -> str:
    return build_app("examples/webhook")


@pytest.fixture(scope="module")
def project(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Project:
    create = "git init --quiet --bare --initial-branch=main /data/project.git"
    serve = "exec git daemon --export-all --enable=receive-pack --base-path=/data"
    server = start(command=("sh", "-c", f"{create} && {serve}"), publish=False)
    project = Project(server, tmp_path_factory.mktemp("clone"))

    def pushed() -> bool:
        return subprocess.run(["git", "ls-remote", project.url], capture_output=True).returncode == 0

    until(pushed, "the repository is served")
    project.push("one")
    return project


@pytest.fixture(scope="module")
def site(project: Project, start: Start) -> Container:
    options = [f"--env=REPOSITORY={project.url}", f"--env=WEBHOOK_SECRET={SECRET}", "--env=PROCESSES=2"]
    return start(
        *options, "--env=REQUEST_TIMEOUT=300", "--read-only", "--tmpfs=/tmp", "--tmpfs=/run", "--volume=/data"
    ).wait()


def sign(body: bytes, algorithm: str = "sha256", secret: str = SECRET) -> str:
    """Return the value of GitHub's header."""
    return f"{algorithm}={hmac.new(secret.encode(), body, algorithm).hexdigest()}"


def deliver(site: Container, event: str = "push", ref: str = "refs/heads/main", **headers: str) -> requests.Response:
    """Send a request as GitHub sends it; `headers` replace its headers."""
    body = json.dumps({"ref": ref, "after": "0" * 40}).encode()
    sent = {"Content-Type": "application/json", "X-GitHub-Event": event, "X-Hub-Signature-256": sign(body)}
    return requests.post(site.url("/webhook"), body, headers=sent | headers, timeout=120, allow_redirects=False)


def versions(site: Container) -> set[str]:
    """Return the distinct answers of the project to 20 requests."""
    return {site.get("/").text for _ in range(20)}


def releases(site: Container) -> list[str]:
    """Return the names of the releases on the volume, and the one that serves."""
    return site.exec("sh", "-c", "ls /data/releases; readlink /data/current").split()


@pytest.fixture
def served(site: Container) -> str:
    """Version that serves when the test begins."""
    (version,) = versions(site)
    return version


def test_the_first_start_deploys_the_branch(site: Container) -> None:
    assert versions(site) == {"one"}


def test_pushes_are_deployed_without_a_lost_request(site: Container, project: Project) -> None:
    with load(site, clients=4, path="/") as clients:
        for version in ("two", "three"):
            clients.until_answered(100)
            commit = project.push(version)
            response = deliver(site)
            assert (response.status_code, response.text) == (200, f"deployed {commit}\n")
            until(lambda version=version: versions(site) == {version}, "only the new version answers")
    assert clients.lost == []
    assert len(releases(site)) == 3  # this one, the one before, and the link


def test_a_request_that_github_did_not_sign_is_refused(site: Container, project: Project, served: str) -> None:
    project.push("forged")
    body = json.dumps({"ref": "refs/heads/main", "after": "0" * 40}).encode()
    for signature in ("", sign(body).upper(), sign(body)[:-1], sign(body + b" "), sign(body, secret=""), "sha256=é"):
        response = deliver(site, **{"X-Hub-Signature-256": signature.encode().decode("latin-1")})
        assert response.status_code == 403, signature
    old = {"X-Hub-Signature": sign(body, "sha1"), "X-Hub-Signature-256": ""}
    assert deliver(site, **old).status_code == 403
    assert deliver(site, **{"X-Hub-Signature-256": sign(body, "sha1")}).status_code == 403
    assert versions(site) == {served}


def test_what_is_not_a_push_to_the_branch_deploys_nothing(site: Container, project: Project, served: str) -> None:
    project.push("ignored")
    found = [
        deliver(site, event="ping").status_code,
        deliver(site, event="issues").status_code,
        deliver(site, ref="refs/heads/other").status_code,
        deliver(site, ref="refs/tags/main").status_code,
        deliver(site, **{"Content-Type": "application/x-www-form-urlencoded"}).status_code,
        deliver(site, ref="x" * 5_000_000).status_code,
    ]
    assert found == [200, 400, 200, 200, 415, 413]
    for body in (b"", b"[]", b"{}", b"{", b"\xff"):
        headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": sign(body), "Content-Type": "application/json"}
        assert requests.post(site.url("/webhook"), body, headers=headers, timeout=20).status_code in (200, 400)
    assert versions(site) == {served}


BROKEN = "import sys\nif 'unittest' not in sys.modules:\n    {}\n" + APP.replace("{}", "broken")


@pytest.mark.parametrize(
    ("version", "app", "status", "message"),
    [
        ("failing", APP, 422, "tests failed"),
        ("1 / 0", BROKEN, 500, "reload failed"),
    ],
    ids=["tests fail", "reload fails"],
)
def test_a_commit_that_fails_leaves_the_old_version_and_nothing_else(
    site: Container, project: Project, served: str, version: str, app: str, status: int, message: str
) -> None:
    before = releases(site)
    with load(site, clients=4, path="/") as clients:
        project.push(version, app=app)
        response = deliver(site)
        clients.until_answered(100)
    assert (response.status_code, message in response.text) == (status, True)
    assert clients.lost == []
    assert versions(site) == {served}
    assert releases(site) == before


def test_a_repository_that_cannot_be_cloned_leaves_the_old_version(
    site: Container, project: Project, served: str
) -> None:
    before = releases(site)
    project.server.exec("mv", "/data/project.git", "/data/away.git")
    response = deliver(site)
    project.server.exec("mv", "/data/away.git", "/data/project.git")
    assert (response.status_code, "pull failed" in response.text) == (502, True)
    assert versions(site) == {served}
    assert releases(site) == before


def test_of_many_pushes_at_once_one_deploys_one_waits_and_the_last_one_serves(
    site: Container, project: Project
) -> None:
    site.exec("touch", "/tmp/wait")
    with ThreadPoolExecutor() as pool:
        project.push("first")
        responses = [pool.submit(deliver, site)]
        until(lambda: "unittest" in docker("top", site.id), "the tests of the first run")
        project.push("last")
        responses += [pool.submit(deliver, site) for _ in range(4)]
        until(lambda: sum(response.done() for response in responses) == 3, "three of four do not wait")
        site.exec("rm", "/tmp/wait")
        found = [response.result().status_code for response in responses]
    assert sorted(found) == [200, 200, 202, 202, 202]
    assert found[0] == 200
    assert versions(site) == {"last"}


def test_a_restart_serves_the_release_that_served_last(site: Container, project: Project, served: str) -> None:
    project.push("not delivered")
    docker("restart", site.id)
    site.wait()
    assert versions(site) == {served}
