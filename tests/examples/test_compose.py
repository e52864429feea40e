"""compose.yaml: the app of src/ beside PostgreSQL."""

import json
from collections.abc import Callable

import pytest

from compose import Project
from conftest import Container, docker, until

pytest_plugins = ["example_fixtures"]
pytestmark = pytest.mark.timeout(600)  # the first test builds images


@pytest.fixture(scope="module")
def project(compose: Callable[[str, str], Project]) -> Project:
    return compose("compose.yaml", "src")


@pytest.fixture
def app(project: Project) -> Container:
    """Container of the app."""
    return project.service("app")


def health(container: Container) -> str:
    """Return what the engine's health check found: `starting`, `healthy` or `unhealthy`."""
    return docker("inspect", "--format={{.State.Health.Status}}", container.id)


def test_the_app_serves_and_becomes_healthy(app: Container) -> None:
    assert app.get("/hello").json() == {"message": "hello", "name": "username"}
    until(lambda: health(app) == "healthy", "the app is healthy", 90)


@pytest.mark.parametrize("name", ["app", "database"])
def test_services_run_without_privileges_and_within_limits(project: Project, name: str) -> None:
    service = project.service(name)
    config = json.loads(docker("inspect", service.id))[0]["HostConfig"]
    assert config["ReadonlyRootfs"]
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"] == ["no-new-privileges:true"]
    assert min(config["Memory"], config["PidsLimit"]) > 0
    assert service.exec("id", "-u") != "0"
    assert "Read-only file system" in docker("exec", service.id, "touch", "/file", check=False)


def test_only_the_app_has_a_published_port(project: Project, app: Container) -> None:
    assert app.address.startswith("127.0.0.1:")
    assert docker("port", project.service("database").id) == ""


def test_uploads_are_written_to_the_disk_and_not_to_memory(app: Container) -> None:
    assert app.exec("stat", "--file-system", "--format=%T", "/tmp") != "tmpfs"
    assert app.exec("stat", "--file-system", "--format=%T", "/run") == "tmpfs"


def test_the_app_reaches_the_database_with_a_password_that_is_in_no_configuration(
    project: Project, app: Container
) -> None:
    environ = dict(line.split("=", 1) for line in app.exec("app-env").splitlines())
    assert environ["DATABASE_URL"] == "postgresql://app@database/app"
    assert len(environ["PGPASSWORD"]) >= 40
    assert len(environ["SECRET_KEY"]) >= 40
    for secret in (environ["PGPASSWORD"], environ["SECRET_KEY"]):
        assert secret not in docker("inspect", app.id, project.service("database").id)
    login = ["psql", "--host=database", "--username=app", "--no-password", "-At", "-c", "SELECT 1", "app"]
    command = ["exec", "--no-TTY", "--env"]
    assert project.compose(*command, f"PGPASSWORD={environ['PGPASSWORD']}", "database", *login) == "1"
    assert "authentication failed" in project.compose(*command, "PGPASSWORD=wrong", "database", *login, check=False)


def test_secrets_and_data_survive_down_and_up(project: Project, app: Container) -> None:
    table = ["exec", "--no-TTY", "database", "psql", "--username=app", "-At", "-c"]
    project.compose(*table, "CREATE TABLE IF NOT EXISTS kept (); SELECT 1", "app")
    before = app.exec("app-env", "sh", "-c", "echo $SECRET_KEY")
    project.compose("down")
    project.up()
    assert project.service("app").exec("app-env", "sh", "-c", "echo $SECRET_KEY") == before
    assert project.compose(*table, "SELECT count(*) FROM kept", "app") == "0"


def test_services_stop_cleanly(project: Project) -> None:
    app, database = project.service("app"), project.service("database")
    project.compose("stop")
    assert (app.exit_code(), database.exit_code()) == (0, 0)
    project.up()
