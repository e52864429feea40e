"""What the image promises to whoever runs it, over HTTP and with docker."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import HARDENED, REPO, Container, docker, until

Start = Callable[..., Container]


def inspect(image: str, what: str) -> object:
    """A part of the image's configuration."""
    return json.loads(docker("image", "inspect", f"--format={{{{json {what}}}}}", image))


# --- The seed's promise ---


def test_the_two_commands_serve_hello(container: Container) -> None:
    """docker build, docker run, and /hello answers."""
    assert container.get("/hello").json() == {"message": "hello", "name": "username"}
    assert container.get("/hello/ada").json() == {"message": "hello", "name": "ada"}


def test_static_files_come_from_nginx_and_the_rest_from_python(container: Container) -> None:
    """nginx gives its files an ETag and the app's answers none; health is the app's."""
    assert container.get("/static/style.css").headers["ETag"]
    assert container.get("/health").json() == {"status": "ok"}
    assert "ETag" not in container.get("/health").headers


def test_supervisord_runs_nginx_and_uwsgi(container: Container) -> None:
    """supervisorctl sees both."""
    status = container.exec("supervisorctl", "status", "nginx", "uwsgi")
    assert re.findall(r"^(\w+) +RUNNING", status, re.MULTILINE) == ["nginx", "uwsgi"]


def test_another_command_runs_instead(image: str) -> None:
    """docker run wsgi sh works, and its exit code is docker's."""
    assert docker("run", "--rm", image, "sh", "-c", "id -u; exit 0") == "10001"
    assert "No such file" in docker("run", "--rm", image, "no-such-command", check=False)


def test_a_terminal_may_be_attached(start: Start) -> None:
    """docker run -ti, as in the seed."""
    assert start("-ti").wait().get("/hello").status_code == 200


# --- What is in it ---


def test_the_image_is_small(image: str) -> None:
    """At most 135 MB, as docker images shows it."""
    assert int(docker("image", "inspect", "--format={{.Size}}", image)) <= 135_000_000


@pytest.mark.parametrize("tool", ["gcc", "cc", "pip", "pip3", "make"])
def test_nothing_that_builds_is_in_the_image(container: Container, tool: str) -> None:
    """Neither compilers nor pip."""
    assert not docker("exec", container.id, "sh", "-c", f"command -v {tool}", check=False)


def test_no_build_secret_or_cache_is_left(image: str) -> None:
    """The certificates of the build's machine end in no layer, and pip's and apt's downloads neither."""
    look = "ls -d /run/secrets /root/.cache /tmp/*; find / -xdev -name '*.whl' -o -name '*.deb' -o -name '*_Packages'"
    found = docker("run", "--rm", "--user=0", "--entrypoint=sh", image, "-c", f"{look} 2> /dev/null", check=False)
    assert [line for line in found.splitlines() if not line.endswith("No such file or directory")] == []


def test_the_image_says_what_it_is(image: str) -> None:
    """OCI labels, a health check with a start period, the signal that stops it, and who it runs as."""
    labels = inspect(image, ".Config.Labels")
    assert {"title", "description", "licenses"} <= {label.rsplit(".", 1)[-1] for label in labels}
    assert inspect(image, ".Config.Healthcheck.StartPeriod") > 0
    assert inspect(image, ".Config.StopSignal") == "SIGTERM"
    assert inspect(image, ".Config.User") == "10001:0"


def test_uwsgi_has_regular_expressions(container: Container) -> None:
    """It was built with PCRE."""
    assert "libpcre2" in container.exec("ldd", "/usr/local/bin/uwsgi")


def test_the_container_becomes_healthy(start: Start) -> None:
    """docker ps says so, as HEALTH_PATH answers."""
    healthy = start("--health-interval=1s").wait()
    until(lambda: docker("inspect", "--format={{.State.Health.Status}}", healthy.id) == "healthy", "it is healthy")


def test_a_health_path_that_fails_makes_it_unhealthy(start: Start, app: Callable[[str], str]) -> None:
    """500 and above are unhealthy, whatever else works."""
    failing = app(
        "def app(environ, start_response):\n"
        "    status = '503 Busy' if environ['PATH_INFO'] == '/busy' else '200 OK'\n"
        "    start_response(status, [('Content-Type', 'text/plain')])\n"
        "    return [b'x']\n"
    )
    busy = start(failing, "--env=HEALTH_PATH=/busy").wait()
    assert "unhealthy: /busy answered 503" in docker("exec", busy.id, "healthcheck", check=False)


# --- As whom, and with how little ---


@pytest.mark.parametrize("options", [(), ("--user=12345:0",), ("--user=54321",), ("--user=0:0",), HARDENED])
def test_it_serves_as_any_user_and_hardened(start: Start, options: tuple[str, ...]) -> None:
    """Port 80 included."""
    served = start(*options).wait()
    assert served.get("/hello/ada").json()["name"] == "ada"
    assert served.get("/static/style.css").status_code == 200


def test_it_serves_with_everything_taken_away_at_once(start: Start) -> None:
    """Another user id, read-only, no capability, no new privilege, half a CPU, 128 MB, few files."""
    options = (*HARDENED, "--user=12345:0", "--cpus=0.5", "--memory=128m", "--pids-limit=64", "--ulimit=nofile=256")
    served = start(*options).wait()
    assert served.get("/hello/ada").json()["name"] == "ada"
    body = served.get("/static/style.css").text
    assert body == (REPO / "src/static/style.css").read_text()
    docker("stop", served.id)
    assert served.exit_code() == 0


@pytest.mark.parametrize("options", [(), ("--user=0",)])
def test_nothing_runs_as_root(start: Start, options: tuple[str, ...]) -> None:
    """Not even when it is started as root."""
    served = start(*options).wait()
    users = served.exec("sh", "-c", "cat /proc/[0-9]*/status | grep ^Uid").split("\n")
    # Of a container that was started as root, the command that looks is root itself.
    assert {line.split()[1] for line in users} - ({"0"} if options else set()) == {"10001"}


def test_root_without_the_means_to_become_another_user_is_told_so(start: Start) -> None:
    """One clear error rather than nginx workers that can't reach uWSGI."""
    refused = start("--user=0", "--cap-drop=ALL")
    assert refused.exit_code() == 78
    assert "--user 0" in refused.log


def test_the_app_cannot_change_its_own_code(container: Container) -> None:
    """Who serves owns neither the app nor the configuration."""
    writable = container.exec("sh", "-c", "find /app /opt/wsgi /venv -writable ! -type l | head")
    assert writable == ""


# --- Settings, on the real container ---


def test_bad_settings_end_the_container_with_78_and_one_message_that_lists_them_all(start: Start) -> None:
    """Settings, the profile, the options of uWSGI: one line, and nothing was started."""
    refused = start("--env=PORT=http", "--env=THREADS=0", "--env=UWSGI_NO_SUCH=1", "--env=STATIC_PATH=/nowhere")
    assert refused.exit_code() == 78
    (line,) = refused.lines
    assert line["level"] == "critical"
    for culprit in ("PORT is 'http'", "THREADS is '0'", "UWSGI_NO_SUCH", "STATIC_PATH is '/nowhere'"):
        assert culprit in line["message"]


def test_an_unknown_placeholder_ends_the_container_with_78(start: Start, tmp_path: Path) -> None:
    """In a nginx.conf of the user's own."""
    (tmp_path / "nginx.conf").write_text((REPO / "nginx.conf").read_text() + "\n# ${NO_SUCH_SETTING}\n")
    refused = start(f"--volume={tmp_path}/nginx.conf:/opt/wsgi/nginx.conf:ro")
    assert refused.exit_code() == 78
    assert "NO_SUCH_SETTING" in refused.log


def test_an_unknown_profile_ends_the_container_with_78(start: Start) -> None:
    """And the message names those that there are."""
    refused = start("--env=PROFILE=staging")
    assert refused.exit_code() == 78
    assert "development, production, testing" in refused.log


@pytest.mark.parametrize("text", ["- PORT: 80", "80", "[[PORT, 80]]", "PORT: [80"])
def test_a_profile_that_is_not_a_mapping_ends_the_container_with_78(start: Start, tmp_path: Path, text: str) -> None:
    profile = tmp_path / "production.yaml"
    profile.write_text(text)
    refused = start(f"--volume={profile}:/opt/wsgi/profiles/production.yaml:ro")
    assert refused.exit_code() == 78
    (line,) = refused.lines
    assert "the profile /opt/wsgi/profiles/production.yaml" in line["message"]


def test_a_secret_that_is_not_utf_8_ends_the_container_with_78(start: Start, tmp_path: Path) -> None:
    (tmp_path / "SECRET_KEY").write_bytes(b"\xff\xfe")
    tmp_path.chmod(0o755)
    refused = start(f"--volume={tmp_path}:/run/secrets:ro", "--env=THREADS=0")
    assert refused.exit_code() == 78
    (line,) = refused.lines
    assert "SECRET_KEY: the secret /run/secrets/SECRET_KEY must be UTF-8 text" in line["message"]
    assert "THREADS is '0'" in line["message"]


def test_secrets_that_must_not_be_read_end_the_container_with_78(start: Start, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    refused = start(f"--volume={tmp_path}:/run/secrets:ro", "--env=THREADS=0")
    assert refused.exit_code() == 78
    assert "/run/secrets must be readable for user 10001" in refused.log
    tmp_path.chmod(0o755)
    (tmp_path / "SECRET_KEY").touch(mode=0)
    refused = start(f"--volume={tmp_path}:/run/secrets:ro")
    assert refused.exit_code() == 78
    assert "SECRET_KEY: the secret /run/secrets/SECRET_KEY cannot be read: Permission denied" in refused.log


@pytest.mark.parametrize(
    ("options", "folders"),
    [
        ((), "/run and /tmp"),
        (("--tmpfs=/run",), "/tmp"),
        (("--tmpfs=/tmp",), "/run"),
        (("--user=12345",), "/run and /tmp"),
    ],
)
def test_a_read_only_container_without_tmpfs_ends_with_78(start: Start, options: tuple[str, ...], folders: str) -> None:
    refused = start("--read-only", *options)
    assert refused.exit_code() == 78
    (line,) = refused.lines
    assert f"startup failed: {folders} must be writable" in line["message"]
    assert "--tmpfs /run --tmpfs /tmp" in line["message"]


def test_a_full_run_folder_ends_the_container_with_78(start: Start) -> None:
    refused = start("--read-only", "--tmpfs=/tmp", "--tmpfs=/run:size=4k")
    assert refused.exit_code() == 78
    (line,) = refused.lines
    assert "/run" in line["message"]
    assert "No space left on device" in line["message"]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("PROCESSES=2", "WEB_CONCURRENCY=3"), "PROCESSES is '2' and WEB_CONCURRENCY is '3'"),
        (("GREENLETS=200", "ASYNC=300"), "GREENLETS is '200' and ASYNC is '300'"),
    ],
)
def test_two_values_of_one_setting_end_the_container_with_78(
    start: Start, names: tuple[str, ...], problem: str
) -> None:
    refused = start(*[f"--env={name}" for name in names])
    assert refused.exit_code() == 78
    assert problem in refused.log


@pytest.mark.parametrize("name", ["PROCESSES", "WEB_CONCURRENCY"])
def test_both_names_of_processes_work(start: Start, name: str) -> None:
    served = start(f"--env={name}=3").wait()
    names = served.exec("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert len(set(re.findall(r"uWSGI worker (\d+)", names))) == 3


def test_a_variable_named_in_uwsgi_ini_reaches_uwsgi(start: Start, tmp_path: Path) -> None:
    """The app's environment is uWSGI's; a name that is not in it is an error."""
    ini = (REPO / "uwsgi.ini").read_text().replace("[threads]\n", "[threads]\nprocname-prefix = $(MY_PREFIX)-\n")
    (tmp_path / "uwsgi.ini").write_text(ini)
    mount = f"--volume={tmp_path}/uwsgi.ini:/opt/wsgi/uwsgi.ini:ro"
    served = start(mount, "--env=MY_PREFIX=mine").wait()
    assert "mine-uWSGI" in served.exec("sh", "-c", "cat /proc/[0-9]*/cmdline")
    refused = start(mount)
    assert refused.exit_code() == 78
    assert "uwsgi.ini names MY_PREFIX" in refused.log


def test_the_first_line_says_what_was_chosen(start: Start) -> None:
    """Profile, port, processes and threads, and the limits that they follow from."""
    small = start("--cpus=0.5", "--memory=256m", "--env=PROFILE=testing").wait()
    message = small.lines[0]["message"]
    for chosen in ("profile testing", "port 80", "0.5 CPUs (its CPU quota)", "256 MB (its memory limit)"):
        assert chosen in message


@pytest.mark.parametrize(
    ("limits", "processes"),
    [(("--cpus=2",), 2), (("--cpus=0.5",), 1), (("--memory=128m",), 1), (("--cpuset-cpus=0",), 1)],
)
def test_auto_follows_the_containers_own_limits(start: Start, limits: tuple[str, ...], processes: int) -> None:
    """As many uWSGI workers run as fit."""
    served = start(*limits).wait()
    assert served.get("/hello").status_code == 200
    names = served.exec("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert len(set(re.findall(r"uWSGI worker (\d+)", names))) == processes


def test_a_secret_is_read_from_its_file(start: Start, app: Callable[[str], str], tmp_path: Path) -> None:
    """SECRET_KEY reaches the app, and no log."""
    (tmp_path / "SECRET_KEY").write_text("from a file\n")
    code = app(
        "import os\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [os.environ['SECRET_KEY'].encode()]\n"
    )
    served = start(code, f"--volume={tmp_path}/SECRET_KEY:/run/secrets/SECRET_KEY:ro").wait()
    assert served.get("/").text == "from a file"
    assert "from a file" not in served.log


def test_another_port_is_served(start: Start) -> None:
    """LISTEN_PORT is PORT's other name, and reaches nginx and the health check."""
    served = start("--env=LISTEN_PORT=8080")
    until(
        lambda: "healthy" in docker("exec", served.id, "healthcheck", check=False),
        "it is healthy on port 8080",
    )


def test_a_port_that_is_taken_ends_the_container_with_78(start: Start, container: Container) -> None:
    """Seen where two containers share a network."""
    second = start_beside(container, start)
    assert second.exit_code() == 78
    assert "PORT is 80: another program has it" in second.log


def start_beside(container: Container, start: Start) -> Container:
    """A container in another one's network; nothing is published of it."""
    return start(f"--network=container:{container.id}", publish=False)


def test_options_of_uwsgi_pass_and_lookalikes_of_kubernetes_are_dropped(start: Start) -> None:
    """A service named uwsgi must not configure it."""
    served = start(
        "--env=UWSGI_PORT=tcp://192.0.2.1:80", "--env=UWSGI_SERVICE_HOST=192.0.2.1", "--env=UWSGI_PROCNAME_PREFIX=mine-"
    ).wait()
    assert "mine-uWSGI" in served.exec("sh", "-c", "cat /proc/[0-9]*/cmdline")


def test_no_access_log_is_written_when_it_is_off(start: Start) -> None:
    """ACCESS_LOG=off silences it."""
    served = start("--env=ACCESS_LOG=off").wait()
    served.get("/hello/quiet")
    docker("stop", served.id)
    assert "/hello/quiet" not in served.log


# --- Development ---


def test_development_reloads_edits_shows_tracebacks_and_has_no_console(start: Start, tmp_path: Path) -> None:
    """An edit is live within 2 seconds, and so is the next; broken code leaves the old one serving."""
    source = (REPO / "src/routes.py").read_text()
    (tmp_path / "routes.py").write_text(source)
    tmp_path.chmod(0o755)
    served = start("--env=PROFILE=development", f"--volume={tmp_path}:/app:ro").wait()
    for word in ("one", "two", "three"):
        (tmp_path / "routes.py").write_text(source.replace('"hello"', f'"{word}"'))
        until(lambda word=word: word in served.get("/hello").text, f"the edit {word} is live", deadline=2)

    (tmp_path / "routes.py").write_text(source + "\n@app.get('/fail')\ndef fail():\n    return {}['nothing']\n")
    until(lambda: served.get("/fail").status_code == 500, "the new route is live")
    page = served.get("/fail").text
    assert "KeyError" in page
    assert "routes.py" in page
    for path in ("/console", "/fail?__debugger__=yes&cmd=resource&f=debugger.js", "/?__debugger__=yes&cmd=printpin"):
        assert "werkzeug" not in served.get(path).text.lower()
    assert served.get("/console").status_code == 404

    (tmp_path / "routes.py").write_text("this is no Python\n")
    until(lambda: "SyntaxError" in served.log, "the new code fails")
    assert served.get("/hello").status_code == 200


def test_production_shows_no_traceback(start: Start, app: Callable[[str], str]) -> None:
    """The page says that there was an error, and the log which one."""
    code = (REPO / "src/routes.py").read_text() + "\n@app.get('/fail')\ndef fail():\n    return {}['nothing']\n"
    served = start(app(code)).wait()
    answer = served.get("/fail")
    assert answer.status_code == 500
    assert "KeyError" not in answer.text
    until(lambda: "KeyError" in served.log, "the traceback is in the log")
