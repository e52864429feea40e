"""The image: content, users and settings."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import HARDENED, REPO, Container, docker, until
from processes import processes

Start = Callable[..., Container]


def inspect(image: str, what: str) -> object:
    """Return a part of the image's configuration."""
    return json.loads(docker("image", "inspect", f"--format={{{{json {what}}}}}", image))


# --- Running it ---


def test_docker_build_and_docker_run_serve_the_app(container: Container) -> None:
    assert container.get("/hello").json() == {"message": "hello", "name": "username"}
    assert container.get("/hello/ada").json() == {"message": "hello", "name": "ada"}


def test_static_files_come_from_nginx_and_the_rest_from_the_app(container: Container) -> None:
    """Nginx sends an ETag with files, and the app sends none."""
    assert container.get("/static/style.css").headers["ETag"]
    assert container.get("/health").json() == {"status": "ok"}
    assert "ETag" not in container.get("/health").headers


def test_supervisord_runs_nginx_and_uwsgi(container: Container) -> None:
    status = container.exec("supervisorctl", "status", "nginx", "uwsgi")
    assert re.findall(r"^(\w+) +RUNNING", status, re.MULTILINE) == ["nginx", "uwsgi"]


def test_docker_run_with_a_command_runs_it_and_returns_its_exit_code(image: str) -> None:
    done = subprocess.run(["docker", "run", "--rm", image, "sh", "-c", "id -u; exit 3"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "10001\n")


def test_a_container_with_a_terminal_serves(start: Start) -> None:
    assert start("-ti").wait().get("/hello").status_code == 200


# --- Content ---


def test_the_image_has_at_most_133_mb(image: str) -> None:
    assert int(docker("image", "inspect", "--format={{.Size}}", image)) <= 133_000_000


@pytest.mark.parametrize("tool", ["gcc", "cc", "pip", "pip3", "make"])
def test_the_image_has_no_build_tools(container: Container, tool: str) -> None:
    assert not docker("exec", container.id, "sh", "-c", f"command -v {tool}", check=False)


def test_the_image_has_no_build_secrets_caches_or_downloads(image: str) -> None:
    look = (
        "ls -d /run/secrets /root/.cache /tmp/* /mnt/* /etc/*- /var/lib/apt/lists/* /var/lib/dpkg/*-old; "
        "find / -xdev -name '*.whl' -o -name '*.deb' -o -path '/var/log/*' -type f"
    )
    found = docker("run", "--rm", "--user=0", "--entrypoint=sh", image, "-c", f"{look} 2> /dev/null", check=False)
    assert [line for line in found.splitlines() if not line.endswith("No such file or directory")] == []


def test_the_image_has_labels_a_health_check_a_stop_signal_a_port_and_a_user(image: str) -> None:
    labels = inspect(image, ".Config.Labels")
    assert {"title", "description", "licenses"} <= {label.rsplit(".", 1)[-1] for label in labels}
    assert inspect(image, ".Config.Healthcheck.StartPeriod") > 0
    assert inspect(image, ".Config.StopSignal") == "SIGTERM"
    assert inspect(image, ".Config.ExposedPorts") == {"80/tcp": {}}
    assert inspect(image, ".Config.User") == "10001:0"


def test_uwsgi_is_built_with_regular_expressions(container: Container) -> None:
    assert "libpcre2" in container.exec("ldd", "/usr/local/bin/uwsgi")


def test_the_container_becomes_healthy(start: Start) -> None:
    container = start("--health-interval=1s").wait()
    until(lambda: docker("inspect", "--format={{.State.Health.Status}}", container.id) == "healthy", "it is healthy")


@pytest.mark.parametrize(("path", "reason"), [("/busy", "503"), ("/hang", "TimeoutError")])
def test_the_health_check_reports_a_health_path_that_fails_or_hangs_before_the_engine_kills_it(
    start: Start, app: Callable[[str], str], path: str, reason: str
) -> None:
    code = app(
        "import time\n"
        "def app(environ, start_response):\n"
        "    time.sleep(60 * (environ['PATH_INFO'] == '/hang'))\n"
        "    start_response('503 Busy' if environ['PATH_INFO'] == '/busy' else '200 OK', [])\n"
        "    return [b'x']\n"
    )
    container = start(code, "--health-interval=1s", f"--env=HEALTH_PATH={path}")

    def reported() -> bool:
        results = json.loads(docker("inspect", "--format={{json .State.Health.Log}}", container.id))
        return any(result["ExitCode"] == 1 and reason in result["Output"] for result in results)

    until(reported, "the engine has a result of the health check with the reason", deadline=60)


# --- Users and permissions ---


@pytest.mark.parametrize("options", [(), ("--user=12345:0",), ("--user=54321",), ("--user=0:0",), HARDENED])
def test_any_user_can_serve_port_80_also_in_a_hardened_container(start: Start, options: tuple[str, ...]) -> None:
    served = start(*options).wait()
    assert served.get("/hello/ada").json()["name"] == "ada"
    assert served.get("/static/style.css").status_code == 200


def test_a_hardened_container_of_another_user_with_small_limits_serves_and_stops_with_0(start: Start) -> None:
    options = (*HARDENED, "--user=12345:0", "--cpus=0.5", "--memory=128m", "--pids-limit=64", "--ulimit=nofile=256")
    served = start(*options).wait()
    assert served.get("/hello/ada").json()["name"] == "ada"
    body = served.get("/static/style.css").text
    assert body == (REPO / "src/static/style.css").read_text()
    docker("stop", served.id)
    assert served.exit_code() == 0


def test_a_user_who_may_not_open_port_80_gets_78_and_a_message_with_the_fix(start: Start) -> None:
    """As podman, CRI-O and older containerd start containers."""
    refused = start("--sysctl=net.ipv4.ip_unprivileged_port_start=1024")
    assert refused.exit_code() == 78
    (line,) = refused.lines
    assert "PORT is 80" in line["message"]
    assert "set PORT to 1024 or above" in line["message"]


def test_any_user_of_group_0_serves_another_port_where_port_80_is_not_allowed(start: Start) -> None:
    """As OpenShift starts containers, with users that are not in /etc/passwd."""
    options = ("--user=1000650000:0", "--sysctl=net.ipv4.ip_unprivileged_port_start=1024", "--env=PORT=8080")
    served = start(*HARDENED, *options, publish=False)
    until(lambda: "spawned: 'admin'" in served.log, "a worker serves")
    assert served.exec("healthcheck").startswith("healthy")
    docker("stop", served.id)
    assert served.exit_code() == 0


@pytest.mark.parametrize("options", [(), ("--user=0",)])
def test_no_process_runs_as_root_even_if_the_container_is_started_as_root(
    start: Start, options: tuple[str, ...]
) -> None:
    served = start(*options).wait()
    users = served.exec("sh", "-c", "cat /proc/[0-9]*/status | grep ^Uid").split("\n")
    # In a container that was started as root, this command itself runs as root.
    assert {line.split()[1] for line in users} - ({"0"} if options else set()) == {"10001"}


def test_a_container_of_root_without_capabilities_ends_with_78(start: Start) -> None:
    """It can't drop root's privileges."""
    refused = start("--user=0", "--cap-drop=ALL")
    assert refused.exit_code() == 78
    assert "--user 0" in refused.log


def test_the_app_cannot_write_to_its_code_or_to_the_configuration(container: Container) -> None:
    writable = container.exec("sh", "-c", "find /app /opt/wsgi /venv -writable ! -type l | head")
    assert writable == ""


# --- Settings ---


def test_bad_settings_end_the_container_with_78_and_one_message_that_lists_them_all(start: Start) -> None:
    refused = start("--env=PORT=http", "--env=THREADS=0", "--env=UWSGI_NO_SUCH=1", "--env=STATIC_PATH=/nowhere")
    assert refused.exit_code() == 78
    (line,) = refused.lines
    assert line["level"] == "critical"
    for culprit in ("PORT is 'http'", "THREADS is '0'", "UWSGI_NO_SUCH", "STATIC_PATH is '/nowhere'"):
        assert culprit in line["message"]


def test_an_unknown_placeholder_in_nginx_conf_ends_the_container_with_78(start: Start, tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text((REPO / "nginx.conf").read_text() + "\n# ${NO_SUCH_SETTING}\n")
    refused = start(f"--volume={tmp_path}/nginx.conf:/opt/wsgi/nginx.conf:ro")
    assert refused.exit_code() == 78
    assert "NO_SUCH_SETTING" in refused.log


def test_an_unknown_profile_ends_the_container_with_78_and_the_message_names_the_profiles(start: Start) -> None:
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


def test_secrets_without_read_permission_end_the_container_with_78(start: Start, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    refused = start(f"--volume={tmp_path}:/run/secrets:ro", "--env=THREADS=0")
    assert refused.exit_code() == 78
    assert "/run/secrets must be readable" in refused.log
    tmp_path.chmod(0o755)
    (tmp_path / "SECRET_KEY").touch(mode=0)
    refused = start(f"--volume={tmp_path}:/run/secrets:ro")
    assert refused.exit_code() == 78
    assert "/run/secrets/SECRET_KEY" in refused.log


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
    assert "--tmpfs /run --volume /tmp" in line["message"]


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
    assert len(processes(start(f"--env={name}=3").wait(), "uWSGI worker")) == 3


def test_uwsgi_ini_can_use_variables_of_the_environment_and_an_unset_one_ends_the_container_with_78(
    start: Start, tmp_path: Path
) -> None:
    ini = (REPO / "uwsgi.ini").read_text().replace("[threads]\n", "[threads]\nprocname-prefix = $(MY_PREFIX)-\n")
    (tmp_path / "uwsgi.ini").write_text(ini)
    mount = f"--volume={tmp_path}/uwsgi.ini:/opt/wsgi/uwsgi.ini:ro"
    served = start(mount, "--env=MY_PREFIX=mine").wait()
    assert "mine-uWSGI" in served.exec("sh", "-c", "cat /proc/[0-9]*/cmdline")
    refused = start(mount)
    assert refused.exit_code() == 78
    assert "MY_PREFIX" in refused.log


def test_the_first_log_line_has_profile_port_and_limits(start: Start) -> None:
    container = start("--cpus=0.5", "--memory=256m", "--env=PROFILE=testing").wait()
    message = container.lines[0]["message"]
    for value in ("profile testing", "port 80", "0.5 CPUs", "256 MB"):
        assert value in message


@pytest.mark.parametrize(
    ("limits", "workers"),
    [(("--cpus=2",), 2), (("--cpus=0.5",), 1), (("--memory=128m",), 1), (("--cpuset-cpus=0",), 1)],
)
def test_the_default_number_of_workers_fits_the_containers_limits(
    start: Start, limits: tuple[str, ...], workers: int
) -> None:
    assert len(processes(start(*limits).wait(), "uWSGI worker")) == workers


def test_a_secret_reaches_the_app_from_its_file_and_is_not_logged(
    start: Start, app: Callable[[str], str], tmp_path: Path
) -> None:
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


def test_listen_port_is_an_alias_of_port_for_nginx_and_the_health_check(start: Start) -> None:
    container = start("--env=LISTEN_PORT=8080")
    until(lambda: docker("exec", container.id, "healthcheck", check=False).startswith("healthy"), "it is healthy")


def test_a_port_that_another_program_uses_ends_the_container_with_78(start: Start, container: Container) -> None:
    second = start(f"--network=container:{container.id}", publish=False)
    assert second.exit_code() == 78
    assert "PORT is 80" in second.log


def test_uwsgi_variables_configure_uwsgi_except_those_that_kubernetes_sets_for_a_service_named_uwsgi(
    start: Start,
) -> None:
    served = start(
        "--env=UWSGI_PORT=tcp://192.0.2.1:80", "--env=UWSGI_SERVICE_HOST=192.0.2.1", "--env=UWSGI_PROCNAME_PREFIX=mine-"
    ).wait()
    assert "mine-uWSGI" in served.exec("sh", "-c", "cat /proc/[0-9]*/cmdline")


def test_access_log_off_writes_no_access_log(start: Start) -> None:
    served = start("--env=ACCESS_LOG=off").wait()
    served.get("/hello/quiet")
    docker("stop", served.id)
    assert "/hello/quiet" not in served.log


def test_production_logs_the_traceback_and_does_not_show_it(start: Start, app: Callable[[str], str]) -> None:
    code = (REPO / "src/routes.py").read_text() + "\n@app.get('/fail')\ndef fail():\n    return {}['nothing']\n"
    served = start(app(code)).wait()
    answer = served.get("/fail")
    assert answer.status_code == 500
    assert "KeyError" not in answer.text
    until(lambda: "KeyError" in served.log, "the traceback is in the log")
