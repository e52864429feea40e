"""The app's environment: what the user set, and a variable for each secret or file with a value."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import HARDENED, Container, docker

Start = Callable[..., Container]

ENVIRONMENT = """\
import json, os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(dict(os.environ)).encode()]
"""
"""An app that shows its environment."""

LOCALE = "LC_CTYPE"
"""Python itself sets this in a container without a locale (PEP 538)."""


@pytest.fixture
def shows_environment(app: Callable[[str], str], tmp_path: Path) -> str:
    """The mount of an app that shows its environment, and whose prestart.sh writes its own to /tmp/prestart."""
    (tmp_path / "prestart.sh").write_text("env --null > /tmp/prestart\n")
    return app(ENVIRONMENT)


@pytest.fixture
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Write a folder of secrets; return the option of docker run that mounts it."""

    def secrets(**files: str | bytes) -> str:
        folder = tmp_path_factory.mktemp("secrets")
        folder.chmod(0o755)
        for name, content in files.items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return f"--volume={folder}:/run/secrets:ro"

    return secrets


def environments(container: Container) -> dict[str, dict[str, str]]:
    """Return the environment of the worker, of prestart.sh and of app-env, without the locale."""

    def parse(text: str, separator: str) -> dict[str, str]:
        return dict(line.split("=", 1) for line in text.split(separator) if line)

    found = {
        "worker": container.get("/").json(),
        "prestart.sh": parse(container.exec("cat", "/tmp/prestart"), "\0"),
        "app-env": parse(container.exec("app-env"), "\n"),
        "command of app-env": parse(container.exec("app-env", "env"), "\n"),
    }
    found["prestart.sh"].pop("_", None)
    found["prestart.sh"].pop("PWD", None)  # the shell's
    return {name: {k: v for k, v in each.items() if k != LOCALE} for name, each in found.items()}


def container_environment(container: Container) -> dict[str, str]:
    """Return what Docker sets: the image's variables, and those of docker run."""
    variables = json.loads(docker("inspect", "--format={{json .Config.Env}}", container.id))
    return dict(variable.split("=", 1) for variable in variables) | {"HOSTNAME": container.id[:12]}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="defaults"),
        pytest.param(("--env=DEBUG=False", "--env=PORT=80", "--env=THREADS=", "--env=OTHER=a=b c"), id="variables"),
        pytest.param(("--env=LOG_LEVEL=debug", "--env=PROFILE=testing"), id="profile"),
    ],
)
def test_the_app_gets_the_containers_environment_unchanged(
    start: Start, shows_environment: str, options: tuple[str, ...]
) -> None:
    container = start(shows_environment, *options).wait()
    expected = container_environment(container)
    for name, environment in environments(container).items():
        assert environment == expected, name


@pytest.mark.parametrize("text", ["1", "on", "True"])
def test_flask_debug_is_set_in_debug_mode_only(start: Start, shows_environment: str, text: str) -> None:
    container = start(shows_environment, f"--env=DEBUG={text}").wait()
    expected = container_environment(container) | {"FLASK_DEBUG": "1"}
    assert expected["DEBUG"] == text
    for name, environment in environments(container).items():
        assert environment == expected, name


def test_each_secret_is_a_variable_without_its_last_newline(
    start: Start, shows_environment: str, secrets: Callable[..., str]
) -> None:
    mount = secrets(
        DATABASE_URL="postgres://ada:pass word@db/app\n",
        multi_line="one\n\ntwo",
        IN_BOTH="from the secret",
        EMPTY_IN_THE_ENVIRONMENT="from the secret",
        SECRET_KEY="é\n\n",
        THREADS="3",
    )
    container = start(mount, shows_environment, "--env=IN_BOTH=mine", "--env=EMPTY_IN_THE_ENVIRONMENT=").wait()
    expected = container_environment(container) | {
        "DATABASE_URL": "postgres://ada:pass word@db/app",
        "multi_line": "one\n\ntwo",
        "IN_BOTH": "mine",
        "EMPTY_IN_THE_ENVIRONMENT": "from the secret",
        "SECRET_KEY": "é\n",
        "THREADS": "3",
    }
    assert container.get("/").json().items() >= expected.items()
    assert container.exec("app-env", "printenv", "DATABASE_URL") == "postgres://ada:pass word@db/app"
    assert container.exec("app-env", "printenv", "multi_line") == "one\n\ntwo"


def test_a_file_variable_names_the_file_with_the_value(
    start: Start, shows_environment: str, secrets: Callable[..., str]
) -> None:
    values = {
        "DATABASE_URL": "postgres://ada:pass word@db/app",
        "SECRET_KEY": "key",
        "THREADS": " 3",
        "TOKEN": "1\n\n2",
    }
    mount = secrets(**{f"{name}.txt": f"{value}\n" for name, value in values.items()})
    files = {f"{name}_FILE": f"/run/secrets/{name}.txt" for name in values}
    options = [f"--env={name}={path}" for name, path in files.items()]
    container = start(mount, shows_environment, "--env=TOKEN=", *options, *HARDENED).wait()
    expected = container_environment(container) | values
    assert expected.items() >= files.items()
    assert container.get("/").json() | {LOCALE: ""} == expected | {LOCALE: ""}
    assert "of 3 threads" in str(container.lines[0]["message"])
    assert container.exec("app-env", "printenv", "DATABASE_URL") == expected["DATABASE_URL"]
    run = ("run", "--rm", mount, *options, container.image, "printenv", "DATABASE_URL", "SECRET_KEY")
    assert docker(*run).splitlines() == [expected["DATABASE_URL"], expected["SECRET_KEY"]]


def test_database_url_and_secret_key_may_come_from_a_file_in_any_folder(
    start: Start, shows_environment: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")
    folder.chmod(0o755)
    (folder / "url").write_text("postgres://db/app\n")
    (folder / "key").write_text("from a file\n")
    files = ("--env=DATABASE_URL_FILE=/etc/shop/url", "--env=SECRET_KEY_FILE=/etc/shop/key")
    container = start(f"--volume={folder}:/etc/shop:ro", *files, shows_environment).wait()
    for name, environment in environments(container).items():
        assert (environment["DATABASE_URL"], environment["SECRET_KEY"]) == ("postgres://db/app", "from a file"), name


def test_a_foreign_variable_that_ends_in_file_stays_the_apps_own(
    start: Start, shows_environment: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also if the file does not exist, and beside the variable without _FILE."""
    note = tmp_path_factory.mktemp("foreign") / "note"
    note.write_text("text")
    note.chmod(0o644)
    foreign = {
        "LOG_FILE": "/var/log/missing",
        "LOG": "stdout",
        "CONFIG_FILE": "/etc/note",
        "PROFILE_FILE": "/etc/note",
        "CACHE_FILE": "/tmp/cache.db",
        "ACCESS_LOG_FILE": "/etc/note",
        "APP_FILE": "/app/routes.py",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/aws/token",
        "EMPTY_FILE": "",
        "_FILE": "/run/secrets/nothing",
    }
    container = start(
        f"--volume={note}:/etc/note:ro", shows_environment, *(f"--env={name}={path}" for name, path in foreign.items())
    ).wait()
    expected = container_environment(container)
    assert expected.items() >= foreign.items()
    assert "SSL_CERT_FILE" in expected
    for name, environment in environments(container).items():
        assert environment == expected, name


def test_bad_file_variables_are_reported_together(image: str, secrets: Callable[..., str]) -> None:
    mount = secrets(both="value", binary=b"\xff", nul="a\0b", large="x" * (1 << 18))
    bad = {
        "DATABASE_URL_FILE": "/nowhere/url",
        "SECRET_KEY_FILE": "/run/secrets/missing",
        "API_TOKEN": "given",
        "API_TOKEN_FILE": "/run/secrets/both",
        "BINARY_FILE": "/run/secrets/binary",
        "NUL_FILE": "/run/secrets/nul",
        "LARGE_FILE": "/run/secrets/large",
        "FOLDER_FILE": "/run/secrets/.",
        "PORT": "80",
        "PORT_FILE": "/run/secrets/both",
        "STOP_DELAY_FILE": "/nowhere/delay",
    }
    options = (mount, *(f"--env={name}={value}" for name, value in bad.items()))
    done = subprocess.run(["docker", "run", "--rm", *options, image], capture_output=True, text=True)
    assert done.returncode == 78
    (line,) = (json.loads(line) for line in done.stdout.splitlines())
    problems = line["message"].removeprefix("startup failed: ").split("; ")
    for problem in (
        "DATABASE_URL_FILE is '/nowhere/url': No such file or directory",
        "SECRET_KEY_FILE is '/run/secrets/missing': No such file or directory",
        "API_TOKEN and API_TOKEN_FILE are both set",
        "BINARY_FILE is '/run/secrets/binary': the file must be UTF-8 text",
        "NUL_FILE is '/run/secrets/nul': the file must not contain a NUL byte",
        "LARGE_FILE is '/run/secrets/large': the file must be smaller than 128 KB",
        "PORT and PORT_FILE are both set",
        "STOP_DELAY_FILE is '/nowhere/delay': No such file or directory",
    ):
        assert sum(each.startswith(problem) for each in problems) == 1, problem
    assert docker("run", "--rm", *options, image, "echo", "hello").splitlines()[-1] == "hello"


def test_files_that_cannot_be_variables_are_skipped(
    start: Start, shows_environment: str, secrets: Callable[..., str]
) -> None:
    """A keystore beside the secrets must not end the container."""
    mount = secrets(
        **{"1ST": "no name", "tls.crt": "no name", "with-dash": "no name"},
        BINARY=b"\xff\xfe",
        NULL="a\0b",
        LARGE="x" * (1 << 20),
        LARGEST_VARIABLE="x" * ((128 << 10) - len("LARGEST_VARIABLE=") - 1),
    )
    container = start(mount, shows_environment).wait()
    names = container.get("/").json().keys() - container_environment(container) - {LOCALE}
    assert names == {"LARGEST_VARIABLE"}


def test_a_secret_key_in_a_profile_reaches_the_app(start: Start, shows_environment: str, tmp_path: Path) -> None:
    profile = tmp_path / "production.yaml"
    profile.write_text("SECRET_KEY: from the profile\n")
    mounts = (shows_environment, f"--volume={profile}:/opt/wsgi/profiles/production.yaml:ro")
    container = start(*mounts, *HARDENED).wait()
    for name, environment in environments(container).items():
        assert environment.get("SECRET_KEY") == "from the profile", name
    assert docker("run", "--rm", *mounts, container.image, "printenv", "SECRET_KEY") == "from the profile"
    assert "from the profile" not in container.exec("cat", "/run/values.json") + container.log


def test_a_command_of_docker_run_gets_the_apps_environment(image: str, secrets: Callable[..., str]) -> None:
    options = (secrets(DATABASE_URL="postgres://db/app"), "--env=DEBUG=on", "--read-only")
    printed = docker("run", "--rm", *options, image, "printenv", "DATABASE_URL", "DEBUG", "FLASK_DEBUG")
    assert printed.splitlines() == ["postgres://db/app", "on", "1"]


def test_a_command_of_docker_run_runs_with_bad_settings_after_a_warning(image: str) -> None:
    printed = docker("run", "--rm", "--env=PORT=http", image, "echo", "hello")
    assert printed.splitlines()[-1] == "hello"
    assert "PORT is 'http'" in printed


@pytest.mark.parametrize("run", ["run", "app-env"])
def test_run_runs_a_command_in_the_apps_folder_and_returns_its_exit_code(container: Container, run: str) -> None:
    assert docker("exec", "--workdir=/tmp", container.id, run, "pwd") == "/app"
    assert container.exec(run, "python3", "-c", "import sys; print(sys.prefix)") == "/venv"
    for command, code in (("sh", "-c", "exit 3"), 3), (("no-such-command",), 127), (("/app/routes.py",), 126):
        done = subprocess.run(["docker", "exec", container.id, run, *command], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        done = subprocess.run(["docker", "run", "--rm", container.image, run, *command], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
