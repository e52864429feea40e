"""Finding the app: by a usual name, by APP, and the error if there is none."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import HARDENED, Container, docker, until
from wsgi_runtime.worker.find import AppNotFound, find

Start = Callable[..., Container]

APP = "def {name}(environ, start_response):\n    start_response('200 OK', [])\n    return [__name__.encode()]\n"
FACTORY = "def create_app(kind='plain'):\n    app = lambda environ, start_response: [kind]\n    return app\n"
DJANGO = (
    "import os\n"
    "from django.core.wsgi import get_wsgi_application\n"
    "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n"
    "application = get_wsgi_application()\n"
)


def app(name: str = "app") -> str:
    """Return the code of a module that defines an app with this name."""
    return APP.format(name=name)


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files by their paths in a folder, readable for the container's user; return the folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder that modules are imported from."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("routes", "app"):  # other tests import src/routes.py
        monkeypatch.delitem(sys.modules, name, raising=False)
    before = set(sys.modules)
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def run(start: Start, tmp_path: Path) -> Callable[..., Container]:
    """Start a container whose /app has these files: run({path: text}, OPTION OF docker run...)."""
    return lambda files, *options: start(f"--volume={write(tmp_path, files)}:/app:ro", *options)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"routes.py": app(), "main.py": app(), "app.py": app()}, "routes:app"),
        ({"main.py": app("application"), "app.py": app()}, "main:application"),
        ({"app.py": app("application") + app()}, "app:app"),
        ({"wsgi.py": app("application")}, "wsgi:application"),
        ({"application.py": app("application")}, "application:application"),
        ({"app.py": FACTORY}, "app:create_app()"),
        ({"app/__init__.py": FACTORY, "app/main.py": "bp = None\n"}, "app:create_app()"),
        ({"app/__init__.py": FACTORY, "wsgi.py": "from app import create_app\napp = create_app()\n"}, "wsgi:app"),
        ({"app/__init__.py": "", "app/main.py": app()}, "app.main:app"),
        ({"app/main.py": app()}, "app.main:app"),
        ({"app/__init__.py": app(), "app/views.py": ""}, "app:app"),
        ({"routes/__init__.py": "bp = None\n", "app.py": "import routes\n" + app()}, "app:app"),
        ({"routes.py": "bp = None\n", "app.py": "import routes\n" + app()}, "app:app"),
        ({"routes.py": "app = None\n", "main.py": app()}, "main:app"),
        ({"mysite/wsgi.py": app("application"), "manage.py": ""}, "mysite.wsgi:application"),
        ({"app/__init__.py": "", "app/models.py": "", "mysite/wsgi.py": app("application")}, "mysite.wsgi:application"),
    ],
)
def test_the_app_is_found_under_a_usual_name(files: dict[str, str], found: str, folder: Path) -> None:
    assert find("auto", write(folder, files))[1] == found


def test_a_module_outside_the_apps_folder_is_not_the_app(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = write(tmp_path_factory.mktemp("other"), {"main.py": app()})
    sys.path.insert(1, str(other))
    assert find("auto", write(folder, {"wsgi.py": app()}))[1] == "wsgi:app"


@pytest.mark.parametrize(
    ("setting", "answer"),
    [
        ("shop:api", "a function"),
        ("shop:holder.api", "a function"),
        ("shop:create_app", "plain"),
        ("shop:create_app()", "plain"),
        ("shop:create_app('test')", "test"),
        ("shop:create_app(kind='test')", "test"),
        ("shop.inner", "the package's module"),
    ],
)
def test_app_names_a_callable_or_a_factory(setting: str, answer: str, folder: Path) -> None:
    code = FACTORY + (
        "def api(environ, start_response):\n    return ['a function']\nclass holder:\n    api = staticmethod(api)\n"
    )
    inner = "app = lambda environ, start_response: ['the package\\'s module']\n"
    found, _ = find(setting, write(folder, {"shop/__init__.py": code, "shop/inner.py": inner}))
    assert found({}, None) == [answer]


def test_a_decorated_wsgi_function_is_not_taken_for_a_factory(folder: Path) -> None:
    code = "def plain(f):\n    return lambda *args, **keywords: f(*args, **keywords)\n@plain\n" + app("api")
    found, _ = find("shop:api", write(folder, {"shop.py": code}))
    assert found({}, lambda status, headers: None) == [b"shop"]


NOTHING = {"tool.py": "", "package/module.py": ""}


@pytest.mark.parametrize(
    ("files", "setting", "named"),
    [
        (NOTHING, "auto", ["routes.py", "create_app", "*/wsgi.py", "package/, tool.py", "APP=module:name"]),
        ({}, "auto", ["nothing", "APP=module:name"]),
        ({"main.py": "app = 1\nserver = print\n"}, "auto", ["main has app (int, not callable)"]),
        (
            {"main.py": FACTORY.replace("kind='plain'", "kind")},
            "auto",
            ["main:create_app", "'kind'", 'APP="main:create_app('],
        ),
        ({"main.py": "class App:\n    async def __call__(self): pass\napp = App()\n"}, "auto", ["main:app", "ASGI"]),
        ({"main.py": "import flask\nfrom flask import current_app as app\n"}, "auto", ["main has app (LocalProxy"]),
        (NOTHING, "shop:app", ["'shop:app'", "no module shop", "tool.py"]),
        (NOTHING, "package.shop:app", ["no module package.shop"]),
        ({"shop.py": app()}, "shop:api", ["shop has no api", "app (function)"]),
        ({"shop.py": FACTORY}, "shop:create_app(1, 2)", ["too many positional arguments"]),
        ({"shop.py": FACTORY}, "shop:create_app(kind)", ["must be literals"]),
        ({"shop.py": "def create_app():\n    return 1\n"}, "shop:create_app", ["must be a WSGI callable, not int"]),
    ],
)
def test_the_error_names_what_was_looked_for_what_there_is_and_the_setting(
    files: dict[str, str], setting: str, named: list[str], folder: Path
) -> None:
    with pytest.raises(AppNotFound) as caught:
        find(setting, write(folder, files))
    for words in named:
        assert words in str(caught.value)


@pytest.mark.parametrize("setting", ["auto", "app", "app:app"])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import no_such_library\n", ModuleNotFoundError),
        ("import app.views\n", ModuleNotFoundError),
        ("1 / 0", ZeroDivisionError),
    ],
)
def test_an_exception_of_the_apps_own_code_is_not_taken_for_a_missing_app(
    setting: str, code: str, error: type[Exception], folder: Path
) -> None:
    with pytest.raises(error):
        find(setting, write(folder, {"app.py": code}))


def loaded(container: Container) -> list[object]:
    """Return the messages that say which app was loaded."""
    return [line["message"] for line in container.lines if str(line["message"]).startswith("loaded the app")]


def test_the_log_says_once_which_app_was_found(run: Callable[..., Container]) -> None:
    container = run({"app/main.py": app()}, "--env=PROCESSES=4", *HARDENED).wait()
    assert container.get("/").text == "app.main"
    until(lambda: loaded(container), "the log says it")
    assert loaded(container) == ["loaded the app app.main:app"]


def test_a_container_without_an_app_exits_with_22_and_a_message(run: Callable[..., Container]) -> None:
    container = run({"tool.py": ""}, "--env=PROCESSES=1")
    assert container.exit_code() == 22
    (message, *_) = (
        str(line["message"]) for line in container.lines if line["source"] == "uwsgi" and line["level"] == "critical"
    )
    for words in ("routes.py", "tool.py", "APP=module:name"):
        assert words in message
    assert "Traceback" not in container.log


def test_the_traceback_of_an_app_that_cannot_be_imported_is_logged(run: Callable[..., Container]) -> None:
    container = run({"main.py": "import package\n", "package/__init__.py": "import no_such_library\n"})
    assert container.exit_code() == 22
    (error, *_) = (line for line in container.lines if "exc_info" in line)
    assert "no_such_library" in str(error["message"])
    assert "/app/package/__init__.py" in str(error["exc_info"])


def test_the_log_says_where_an_app_can_write(run: Callable[..., Container]) -> None:
    container = run({"routes.py": "open('app.log', 'w')\n"}, "--env=PROCESSES=2")
    assert container.exit_code() == 22
    assert "app.log is not writable: the app can write to /tmp" in container.log


def test_an_app_that_may_not_read_a_file_gets_no_advice_on_writing(run: Callable[..., Container]) -> None:
    container = run({"routes.py": "open('/etc/shadow')\n"})
    assert container.exit_code() == 22
    assert "Permission denied: '/etc/shadow'" in container.log
    assert "is not writable" not in container.log


@pytest.mark.parametrize(
    ("code", "option"),
    [
        ("def make():\n    return app\n", "--env=APP=shop:make"),
        ("def make(kind):\n    return app\n", "--env=APP=shop:make('x')"),
        ("", "--env=APP=shop"),
    ],
)
def test_app_is_a_setting_of_the_container(code: str, option: str, run: Callable[..., Container]) -> None:
    assert run({"shop.py": app() + code, "routes.py": "1 / 0\n"}, option).wait().get("/").text == "shop"


FLASK = "from flask import Flask\napp = Flask(__name__)\napp.get('/found')(lambda: 'found')\n"


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ({"app/main.py": FLASK}, ()),
        ({"shop.py": FLASK.replace("app", "api")}, ("--env=APP=shop:api",)),
    ],
)
def test_the_flask_command_finds_the_app_that_is_served(
    files: dict[str, str], options: tuple[str, ...], run: Callable[..., Container]
) -> None:
    container = run(files, *options).wait()
    assert "/found" in container.exec("run", "flask", "routes")
    mount = docker("inspect", "--format={{json .HostConfig.Binds}}", container.id)
    volume = f"--volume={json.loads(mount)[0]}"
    for command in ("flask", "routes"), ("run", "flask", "routes"):
        assert "/found" in docker("run", "--rm", volume, *options, container.image, *command)
