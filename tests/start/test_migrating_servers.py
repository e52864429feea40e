"""Coming from gunicorn or Nginx Unit: the pages name settings that work, and a warning names what is not read."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import REPO, Container
from processes import processes
from wsgi_runtime.start.settings import Settings, names

Start = Callable[..., Container]

APP = """
import os
from flask import Flask
app = Flask(__name__)
app.get("/")(lambda: os.environ.get("GREETING", "shop"))
"""
GUNICORN, UNIT = (REPO / f"docs/migrating-{name}.md" for name in ("gunicorn", "unit"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of an app, to mount over /app."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/file.txt").write_text("asset")
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(("page", "text"), [(GUNICORN, "shop"), (UNIT, "hello")], ids=["gunicorn", "unit"])
def test_an_app_serves_with_the_variables_of_the_dockerfile_on_the_page(
    page: Path, text: str, start: Start, folder: Path
) -> None:
    """As written, except for the port."""
    written = re.findall(r"[A-Z_]+=\S+", "\n".join(re.findall("^ENV (.*)", page.read_text(), re.MULTILINE)))
    variables = {name: f"--env={name}={value}" for name, value in (each.split("=", 1) for each in written)}
    container = start(f"--volume={folder}:/app:ro", *(variables | {"PORT": "--env=PORT=80"}).values()).wait()
    assert container.get("/").text == text
    assert len(processes(container, "uWSGI worker")) == 4
    if page == UNIT:
        assert container.get("/assets/file.txt").text == "asset"


def test_what_is_not_read_is_answered_by_a_warning_that_names_settings(start: Start, folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text("workers = 4\n")
    unit = folder / "entrypoint"
    unit.mkdir()
    (unit / "config.json").write_text("{}")
    container = start(
        f"--volume={folder}:/app:ro",
        f"--volume={unit}:/docker-entrypoint.d:ro",
        "--env=GUNICORN_CMD_ARGS=--workers=4",
        "--env=APP=shop:app",
    ).wait()
    warnings = [str(line["message"]) for line in container.lines if line["level"] == "warning"]
    for name in ("GUNICORN_CMD_ARGS", "/app/gunicorn.conf.py", "/docker-entrypoint.d"):
        (warning,) = (each for each in warnings if each.startswith(f"{name} "))
        assert {"APP", "PROCESSES", "REQUEST_TIMEOUT"} < set(re.findall("[A-Z_]+", warning)) & settings()


def settings() -> set[str]:
    """Return the names of all settings."""
    return {each for name in Settings.model_fields for each in names(name)}


@pytest.mark.parametrize("page", [GUNICORN, UNIT], ids=["gunicorn", "unit"])
def test_the_settings_on_the_page_exist(page: Path) -> None:
    successors = "\n".join(re.findall(r"^\| .* \| (.*) \|$", page.read_text(), re.MULTILINE))
    named = set(re.findall(r"`([A-Z_]{4,})(?==|`)", successors))
    assert len(named) > 10
    assert named - settings() <= {"PYTHONPATH", "PUT"}
