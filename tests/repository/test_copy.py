"""A copy of the template takes up the template's next version, and keeps what its user has changed."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import REPO, Container, build

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"mine"]
"""


def git(folder: Path, *words: str) -> str:
    """Run git in a folder as a user without a configuration of their own; return its output."""
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def release(template: Path, tag: str) -> None:
    """Commit all files of the template, and tag the commit."""
    git(template, "add", "--all")
    git(template, "commit", "--quiet", "--message", tag)
    git(template, "tag", tag)


def edit(path: Path, pattern: str, replacement: str) -> None:
    """Replace the first match of a pattern, which must be there."""
    text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1, f"{path} has no {pattern}"
    path.write_text(text)


def copier(folder: Path, *words: str) -> None:
    """Run copier in a folder."""
    done = subprocess.run([sys.executable, "-m", "copier", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the first version of the template: the files of this one as they are on disk."""
    folder = tmp_path_factory.mktemp("template")
    for name in git(REPO, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (REPO / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, folder / name)
    git(folder, "init", "--quiet")
    release(folder, "v1.0.0")
    return folder


@pytest.fixture(scope="module")
def copy(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's copy, edited and committed; then the template's second version, taken up."""
    folder = tmp_path_factory.mktemp("copies") / "my-app"
    copier(template, "copy", "--defaults", str(template), str(folder))
    git(folder, "init", "--quiet")
    (folder / "src/routes.py").write_text(APP)
    shutil.rmtree(folder / "src/templates")
    edit(folder / "README.md", r"\A# .*", "# My shop")
    edit(folder / "nginx.conf", r"\A", "# Edited by the user.\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "my app")

    edit(template / "nginx.conf", r"keepalive_timeout( +)65s", r"keepalive_timeout\g<1>75s")
    edit(template / "README.md", r"^MIT, see", "The license is MIT, see")
    edit(template / "src/routes.py", r"\A", "# A new demo app.\n")
    (template / "src/static/new.css").write_text("")
    (template / "tools/new").write_text("")
    release(template, "v2.0.0")
    copier(folder, "update", "--defaults")
    return folder


def test_an_update_merges_the_users_edits_with_the_next_version(copy: Path) -> None:
    nginx, readme = (copy / "nginx.conf").read_text(), (copy / "README.md").read_text()
    assert nginx.startswith("# Edited by the user.")
    assert re.search(r"keepalive_timeout +75s", nginx)
    assert readme.startswith("# My shop")
    assert "The license is MIT" in readme
    assert (copy / "tools/new").exists()
    assert "<<<<<<<" not in nginx + readme


def test_an_update_leaves_the_app_untouched(copy: Path) -> None:
    assert git(copy, "status", "--porcelain", "src") == ""


def test_a_copy_without_extras_lacks_exactly_what_readme_says_may_be_deleted(copy: Path) -> None:
    rows = re.findall(r"^\| (`.*?) \| .* \| (yes)? ?\|$", (REPO / "README.md").read_text(), re.MULTILINE)
    assert len(rows) > 5
    for names, deletable in rows:
        for name in re.findall("`([^`]+)`", names):
            assert (copy / name).exists() != (deletable == "yes"), name


def test_a_copy_builds_and_serves(copy: Path, start: Callable[..., Container]) -> None:
    assert start(image=build(copy)).wait().get("/").text == "mine"
