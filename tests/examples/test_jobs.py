"""examples/jobs as its README starts it: RQ's worker in a container of its own, Valkey, and a browser."""

import re
import time
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Page, expect

from compose import Project
from conftest import DEADLINE, Container, docker, until
from processes import counts, seconds_to_stop

pytest_plugins = ["example_fixtures"]
pytestmark = pytest.mark.timeout(600)  # the first test builds images


@pytest.fixture(scope="module")
def project(compose: Callable[[str, str], Project]) -> Project:
    return compose("examples/jobs/compose.yaml", "examples/jobs")


@pytest.fixture
def app(project: Project) -> Container:
    """Container of the app."""
    return project.service("app")


def start_job(app: Container, seconds: int) -> None:
    """Start a job as the form does."""
    response = requests.post(app.url("/jobs"), data={"seconds": seconds}, timeout=DEADLINE, allow_redirects=False)
    assert response.status_code == 302


def latest_job(app: Container) -> str:
    """Return the status of the latest job."""
    return re.search(r'<li class="(\w+)">', app.get("/").text)[1]


def runs(app: Container) -> int:
    """Return how often the scheduler has run."""
    return int(re.search(r"has run <b>(\d+)</b>", app.get("/").text)[1])


def test_a_person_starts_a_job_and_sees_its_result(
    project: Project, app: Container, open_page: Callable[..., Page]
) -> None:
    page = open_page(viewport={"width": 360, "height": 740})
    page.goto(app.url("/"))
    page.get_by_label("Seconds of work").fill("2")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("li.started progress")).to_be_visible(timeout=20_000)
    expect(page.locator("li.finished small")).to_have_text(f"by {project.service('worker').id[:12]}", timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_values_that_are_no_number_of_seconds_are_refused(app: Container) -> None:
    for seconds in ("", "0", "61", "1e9", "ten"):
        response = requests.post(app.url("/jobs"), data={"seconds": seconds}, timeout=DEADLINE)
        assert response.status_code == 422, seconds


def test_the_worker_is_healthy_and_finishes_its_job_before_it_stops(project: Project, app: Container) -> None:
    worker = project.service("worker")
    health = "--format={{.State.Health.Status}}"
    until(lambda: docker("inspect", health, worker.id) == "healthy", "the worker is healthy", 40)
    start_job(app, 3)
    until(lambda: latest_job(app) == "started", "the job runs")
    assert seconds_to_stop(worker) < 10
    assert worker.exit_code() == 0
    assert latest_job(app) == "finished"


@pytest.fixture(scope="module")
def all_in_one(project: Project) -> Container:
    """Container of the app, with the worker and the scheduler beside two processes of uWSGI."""
    project.environ["PROCESSES"] = "web=2,worker,scheduler"
    project.compose("stop", "worker")
    project.compose("up", "--detach", "--no-build", "--no-deps", "app")
    return project.service("app").wait()


def test_the_scheduler_runs_once_and_not_once_in_each_process(all_in_one: Container) -> None:
    assert counts(all_in_one)["uWSGI worker"] == 2
    first, began = runs(all_in_one), time.monotonic()
    until(lambda: runs(all_in_one) >= first + 5, "the scheduler runs five times")
    assert time.monotonic() - began > 3.5


def test_beside_uwsgi_the_worker_finishes_its_job_before_a_reload_replaces_it(all_in_one: Container) -> None:
    start_job(all_in_one, 3)
    until(lambda: latest_job(all_in_one) == "started", "the job runs")
    docker("kill", "--signal=HUP", all_in_one.id)
    until(lambda: all_in_one.log.count("Listening on jobs") == 2, "another worker has started")
    assert latest_job(all_in_one) == "finished"
    start_job(all_in_one, 1)
    until(lambda: latest_job(all_in_one) == "finished", "the new worker does a job")
    assert all_in_one.log.count("Successfully completed") == 2
