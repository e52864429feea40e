"""README and docs/ are true: commands run, files and links exist, tables are generated."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import REPO, Container, certificate, docker
from wsgi_runtime.start import report

PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
OPTIONAL_FILES = (
    *("src/protected/", "src/errors/", "src/prestart.sh", "src/nginx.conf", "src/nginx-http.conf"),
    *("src/nginx-server.conf", "src/packages.txt", "src/packages-build.txt", "src/prebuild.sh", "src/Procfile"),
    *("main.py", "app.py", "wsgi.py", "application.py", "app/main.py", "uwsgi.ini"),
)
"""Files that an app may have, and the demo app has not."""

TARGETS = re.findall(r"^([a-z0-9-]+):", (REPO / "Makefile").read_text(), re.MULTILINE)
MAX_README_LINES = 150


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_is_short() -> None:
    assert len((REPO / "README.md").read_text().splitlines()) <= MAX_README_LINES


def test_the_table_of_settings_is_the_one_that_the_code_prints() -> None:
    assert report.table() in (REPO / "docs/settings.md").read_text()


def test_the_settings_in_readme_have_the_defaults_of_the_table() -> None:
    defaults = dict(re.findall(r"^\| `(\w+)`.*? \| (.*?) \|", report.table(), re.MULTILINE))
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \| (.*?) \|", (REPO / "README.md").read_text(), re.MULTILINE)
    assert len(rows) == 10
    for names, default in rows:
        for name in re.findall("[A-Z_]+", names):
            assert defaults[name] == default, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    links = re.findall(r"(?:\]\(|src(?:set)?=\")([^)\"]+)", page.read_text())
    for link in links:
        if not link.startswith("http"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", TEXT, re.MULTILINE))))
def test_make_has_each_target_that_is_named(target: str) -> None:
    assert target in TARGETS


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("docker build")])
def test_each_build_command_builds(command: str, image: str) -> None:
    """As written, except for the tag, this machine's certificates, and the day of the packages."""
    words = shlex.split(command.replace("-t wsgi", "-t wsgi-test"))
    words.insert(2, f"--build-arg=PACKAGES_DATE={os.environ['PACKAGES_DATE']}")
    if "--secret" not in words:
        words[:2] = [str(REPO / "tools/build")]
    built = subprocess.run(words, cwd=REPO, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    layers = "--format={{.RootFS.Layers}}"
    assert docker("image", "inspect", layers, "wsgi-test") == docker("image", "inspect", layers, image)
    docker("image", "rm", "wsgi-test")


@pytest.mark.parametrize(
    "command", [line.removesuffix(" wsgi") for line in COMMANDS if re.match("docker run .* wsgi$", line)]
)
def test_each_run_command_serves(command: str, start: Callable[..., Container], tmp_path: Path) -> None:
    """As written, except for the host's ports, which may be taken."""
    tmp_path.chmod(0o755)
    certificate(tmp_path)
    for written, here in (("-p 80:80", ""), ("-p 443:443", ""), (":9090:9090", "::9090"), ("$PWD/tls", str(tmp_path))):
        command = command.replace(written, here)
    assert start(*shlex.split(command)[2:]).wait().get("/health").json() == {"status": "ok"}


def test_the_metric_in_the_docs_is_the_one_of_the_tested_app() -> None:
    (code,) = re.findall(r"^```python\n(from prometheus_client.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    routes = (REPO / "tests/apps/metrics/routes.py").read_text().splitlines()
    assert [line for line in code.splitlines() if line not in routes] == ['    return f"hello {name}"']


def test_each_command_in_a_block_is_of_a_kind_that_a_test_runs() -> None:
    assert COMMANDS
    for command in COMMANDS:
        assert command.startswith(("docker build ", "docker run ", "make ")), command


def test_each_file_that_is_named_exists() -> None:
    named = re.findall(
        r"`((?:src|runtime|profiles|tests|tools|deploy|nginx)/[\w./-]*|[\w-]+\.(?:ini|conf|py)|Dockerfile|LICENSE)`",
        TEXT,
    )
    assert len(named) > 10
    for path in named:
        places = REPO / path, REPO / "src" / path, REPO / "runtime/wsgi_runtime" / path
        assert {path, f"src/{path}"} & set(OPTIONAL_FILES) or any(place.exists() for place in places), path
