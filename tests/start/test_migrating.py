"""Coming from tiangolo/uwsgi-nginx-flask: each variable and file works, or an error names what replaces it."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Container

Start = Callable[..., Container]

APP = """
from flask import Flask
app = Flask(__name__)
app.get("/")(lambda: "main")
"""

REPLACED = {
    "UWSGI_CHEAPER": ("2", "PROCESSES"),
    "UWSGI_PROCESSES": ("16", "PROCESSES"),
    "UWSGI_INI": ("/app/app/uwsgi.ini", "the setting APP"),
    "NGINX_WORKER_PROCESSES": ("auto", "docker run --cpus"),
    "NGINX_WORKER_CONNECTIONS": ("1024", "docker run --memory"),
    "NGINX_WORKER_OPEN_FILES": ("2048", "docker run --ulimit"),
}
"""Variables with a value of their documentation, and what the error names."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder to mount over /app."""
    tmp_path.chmod(0o755)
    return tmp_path


def problems(image: str, *options: str) -> list[str]:
    """Return the problems that end a container with exit code 78."""
    done = subprocess.run(["docker", "run", "--rm", *options, image], capture_output=True, text=True)
    assert done.returncode == 78, done.stdout
    message: str = json.loads(done.stdout)["message"]
    return re.split(r"; (?=/|the |[A-Z_]+ (?:has|is) )", message.removeprefix("startup failed: "))


def test_their_app_serves_with_the_variables_that_work(start: Start, folder: Path) -> None:
    (folder / "main.py").write_text(APP)
    (folder / "prestart.sh").write_text("#! /usr/bin/env bash\n[[ -e /app/main.py ]] && touch /tmp/prestart\n")
    (folder / "files").mkdir()
    (folder / "files/index.html").write_text("index")
    container = start(
        f"--volume={folder}:/app:ro",
        "--env=LISTEN_PORT=80",
        "--env=NGINX_MAX_UPLOAD=1m",
        "--env=STATIC_URL=/content",
        "--env=STATIC_PATH=/app/files",
        "--env=STATIC_INDEX=1",
    ).wait()
    assert container.get("/").text == "index"
    assert container.get("/content/index.html").text == "index"
    assert container.exec("ls", "/tmp/prestart") == "/tmp/prestart"


def test_each_variable_that_does_not_work_is_answered_with_its_successor(image: str) -> None:
    found = problems(image, *(f"--env={name}={value}" for name, (value, _) in REPLACED.items()))
    assert len(found) == len(REPLACED)
    for name, (_, successor) in REPLACED.items():
        (problem,) = (each for each in found if each.startswith(f"{name} "))
        assert successor in problem


@pytest.mark.parametrize(
    ("ini", "app"),
    [
        ("[uwsgi]\nmodule = main\ncallable = app\n", "main:app"),
        ("[uwsgi]\nmodule = app.main:api\n", "app.main:api"),
        ("[uwsgi]\nsocket = :3031\n", "main:application"),
    ],
)
def test_their_uwsgi_ini_is_answered_with_the_value_of_app(ini: str, app: str, image: str, folder: Path) -> None:
    (folder / "main.py").write_text(APP)
    (folder / "uwsgi.ini").write_text(ini)
    (problem, *_) = problems(image, f"--volume={folder}:/app:ro")
    assert problem.startswith("/app/uwsgi.ini is not read: ")
    assert f"APP={app}" in problem


@pytest.mark.parametrize(("module", "option"), [("main.py", "--env=APP=main:app"), ("routes.py", "--env=OTHER=1")])
def test_a_uwsgi_ini_does_not_matter_to_an_app_that_is_named(
    module: str, option: str, start: Start, folder: Path
) -> None:
    (folder / module).write_text(APP)
    (folder / "uwsgi.ini").write_text("[uwsgi]\nmodule = main\n")
    assert start(f"--volume={folder}:/app:ro", option).wait().get("/").text == "main"


def test_a_server_that_the_container_would_ignore_is_an_error(image: str, folder: Path) -> None:
    (folder / "custom.conf").write_text("client_max_body_size 1m;\n")
    (problem, *_) = problems(image, f"--volume={folder}:/etc/nginx/conf.d:ro")
    assert "/app/nginx-http.conf" in problem


def test_their_own_nginx_conf_is_answered_with_the_socket_and_the_port(image: str, folder: Path) -> None:
    (folder / "main.py").write_text(APP)
    (folder / "nginx.conf").write_text(
        "events {}\nhttp { server { listen 80; location / { uwsgi_pass unix:///tmp/uwsgi.sock; } } }\n"
    )
    found = problems(image, f"--volume={folder}:/app:ro")
    assert [each for each in found if "${PORT}" in each]
    assert [each for each in found if "/run/uwsgi.sock" in each]


@pytest.mark.parametrize("name", ["UWSGI_MODULE", "UWSGI_WSGI_FILE", "UWSGI_CALLABLE", "UWSGI_MOUNT"])
def test_an_option_that_loads_another_app_is_answered_with_app(name: str, image: str) -> None:
    (problem,) = problems(image, f"--env={name}=main")
    assert problem.startswith(name)
    assert problem.endswith("use the setting APP")


@pytest.mark.parametrize("name", ["UWSGI_WORKERS", "UWSGI_CHEAP", "UWSGI_CHEAPER_INITIAL", "UWSGI_CHEAPER_ALGO"])
def test_an_option_that_changes_the_number_of_processes_is_answered_with_processes(name: str, image: str) -> None:
    (problem,) = problems(image, f"--env={name}=1")
    assert problem.startswith(name)
    assert "use the setting PROCESSES" in problem
