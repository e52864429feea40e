"""The settings table, in-process: where values come from, and what is said of those that don't fit."""

from pathlib import Path

import pytest
from conftest import REPO

from wsgi_runtime.start import prepare, settings
from wsgi_runtime.start.limits import Limits

MACHINE = Limits(cpus=4.0, cpus_from="the machine", memory=8 << 30, memory_from="the machine")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting comes from the machine that the tests run on."""
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settings, "SECRETS", tmp_path / "secrets")


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of configuration files that a test may change."""
    (tmp_path / "nginx").mkdir()
    for file in prepare.PLACEHOLDERS:
        (tmp_path / file).write_text((REPO / file).read_text())
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/production.yaml").write_text("{}")
    monkeypatch.setattr(settings, "CONFIG", tmp_path)
    monkeypatch.setattr(prepare, "CONFIG", tmp_path)
    return tmp_path


def problems() -> list[str]:
    """What load() complains about."""
    with pytest.raises(settings.BadSettings) as caught:
        settings.load()
    return caught.value.problems


def test_without_any_source_each_setting_has_its_default() -> None:
    """The defaults are those of README's table."""
    values = settings.load().values()
    assert (values["PORT"], values["PROFILE"], values["WEB_CONCURRENCY"]) == ("80", "production", "auto")
    assert "SECRET_KEY" not in values


def test_the_environment_beats_secrets_which_beat_the_profile_which_beats_the_default(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source in turn has the say once those above it are silent."""
    assert settings.load().THREADS == settings.Settings.model_fields["THREADS"].default
    (config / "profiles/production.yaml").write_text("THREADS: 2")
    assert settings.load().THREADS == 2
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/THREADS").write_text("3\n")
    assert settings.load().THREADS == 3
    monkeypatch.setenv("THREADS", "4")
    assert settings.load().THREADS == 4


def test_a_secret_can_name_the_profile(config: Path, tmp_path: Path) -> None:
    """PROFILE is a setting like the others."""
    (config / "profiles/staging.yaml").write_text("THREADS: 5")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/PROFILE").write_text("staging")
    assert settings.load().THREADS == 5


@pytest.mark.parametrize(
    ("alias", "name", "value"), [("LISTEN_PORT", "PORT", "8080"), ("NGINX_MAX_UPLOAD", "MAX_BODY_SIZE", "1g")]
)
def test_an_alias_in_the_environment_beats_the_name_in_the_profile(
    alias: str, name: str, value: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alias has the rank of its source, and the environment's own name goes first."""
    (config / "profiles/production.yaml").write_text(f"{name}: {value}1")
    monkeypatch.setenv(alias, value)
    assert settings.load().values()[name] == value


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files pass variables that nobody has set as empty ones."""
    monkeypatch.setenv("PORT", "")
    assert settings.load().PORT == 80


@pytest.mark.parametrize("text", ["on", "off", "true", "0"])
def test_a_switch_reaches_the_programs_as_1_or_0(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """nginx and uWSGI read no other words."""
    monkeypatch.setenv("ACCESS_LOG", text)
    assert settings.load().values()["ACCESS_LOG"] == ("1" if text in ("on", "true") else "0")


BAD = {
    "PROFILE": ["nonsense", "../production"],
    "PORT": ["0", "65536", "http", "80.5"],
    "ADMIN_PORT": ["-1", "80", "65536", "private"],
    "WEB_CONCURRENCY": ["0", "many", "-1"],
    "THREADS": ["0", "auto"],
    "ASYNC": ["-1", "1", "on", "100"],
    "REQUEST_TIMEOUT": ["0", "30s"],
    "GRACE_PERIOD": ["-8"],
    "STOP_DELAY": ["-1", "soon"],
    "MAX_BODY_SIZE": ["10 m", "ten", "10t", "-1"],
    "STATIC_URL": ["static", "/", "/sta tic", "/static/", "/a;b", "/${PORT}"],
    "STATIC_PATH": ["static", "/", "/app", "/app/static/", "/nowhere"],
    "STATIC_INDEX": ["index.html"],
    "HEALTH_PATH": ["health", "/health?x=1", "/{health}"],
    "TRUSTED_PROXIES": ["10.0.0.1/8", "proxy", "10.0.0.0/8; 10.1.0.0/16"],
    "RATE_LIMIT": ["20", "0r/s", "20r/h", "on"],
    "CACHE": ["10m"],
    "CSP": ["on", "minimum", "img-src $host"],
    "TLS_CERT": ["tls.crt", "/a b", "/a;b"],
    "TLS_KEY": ["tls.key"],
    "HTTPS_PORT": ["0", "https"],
    "MAX_REQUESTS": ["-1", "off"],
    "WORKER_MEMORY": ["-1", "64m"],
    "LOG_LEVEL": ["INFO", "loud", "20"],
    "LOG_FORMAT": ["xml", "JSON"],
    "ACCESS_LOG": ["maybe", "2"],
    "DEBUG": ["yes please"],
}


def test_every_setting_that_can_be_wrong_has_a_bad_value_here() -> None:
    """A new setting brings its bad values along."""
    assert set(BAD) | {"SECRET_KEY"} == set(settings.Settings.model_fields)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value_is_named_with_what_it_got_and_what_it_takes(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One problem, which begins with the culprit."""
    monkeypatch.setenv(name, value)
    (problem,) = problems()
    assert problem.startswith(f"{name} is {value!r}: ")


def test_all_bad_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody mends them one start at a time."""
    for name, (value, *_) in BAD.items():
        monkeypatch.setenv(name, value)
    assert [problem.split()[0] for problem in problems()] == list(BAD)


def test_a_key_of_the_profile_that_is_no_setting_is_an_error_with_the_one_that_was_meant(config: Path) -> None:
    """A typing error would have no effect otherwise."""
    (config / "profiles/production.yaml").write_text("THREAD: 2")
    assert problems() == ["THREAD in the profile is not a setting (is THREADS meant?)"]


@pytest.mark.parametrize("text", ["a: b: c", "- PORT", "just words", "PORT: [80"])
def test_a_profile_that_is_not_a_mapping_is_an_error(text: str, config: Path) -> None:
    """YAML that can't be read, or says something else."""
    (config / "profiles/production.yaml").write_text(text)
    assert "the profile" in problems()[0]


def test_an_empty_profile_changes_nothing(config: Path) -> None:
    """A file of comments alone is a profile too."""
    (config / "profiles/production.yaml").write_text("# nothing yet\n")
    assert settings.load().PORT == 80


def test_what_yaml_makes_of_a_value_is_what_was_meant(config: Path) -> None:
    """A switch or a number where a setting is text, and nothing at all."""
    (config / "profiles/production.yaml").write_text("RATE_LIMIT: off\nMAX_BODY_SIZE: 0")
    assert (settings.load().RATE_LIMIT, settings.load().MAX_BODY_SIZE) == ("off", "0")
    (config / "profiles/production.yaml").write_text("SECRET_KEY:\nTLS_CERT:")
    assert settings.load().TLS_CERT is None


def test_a_profile_that_names_a_profile_is_an_error(config: Path) -> None:
    """It would have no effect."""
    (config / "profiles/production.yaml").write_text("PROFILE: production")
    assert "PROFILE" in problems()[0]


@pytest.mark.parametrize("file", sorted(path.name for path in (REPO / "profiles").iterdir()))
def test_the_profiles_of_the_repository_are_valid(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each loads, with settings that exist."""
    monkeypatch.setenv("PROFILE", Path(file).stem)
    assert settings.load().PROFILE == Path(file).stem


def test_the_public_port_may_not_be_the_private_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of them was given."""
    monkeypatch.setenv("PORT", "9090")
    assert problems() == ["ADMIN_PORT is 9090: PORT is the same; give it another, or 0 for none"]


def test_it_is_known_where_each_value_comes_from(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an alias as well; what `auto` came to is said, and secrets are hidden."""
    (config / "profiles/production.yaml").write_text("REQUEST_TIMEOUT: 5")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/SECRET_KEY").write_text("hunter2")
    monkeypatch.setenv("LISTEN_PORT", "8080")
    loaded = settings.load()
    report = {row.pop("name"): row for row in loaded.report(prepare.values(loaded, MACHINE))}
    assert list(report) == list(settings.Settings.model_fields)
    assert report["PORT"] == {"value": "8080", "origin": "environment"}
    assert report["SECRET_KEY"] == {"value": "(hidden)", "origin": "secret"}
    assert report["REQUEST_TIMEOUT"] == {"value": "5", "origin": "profile"}
    assert report["WEB_CONCURRENCY"] == {"value": "4 (auto)", "origin": "default"}


def test_the_key_of_sessions_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with the settings nor in a complaint."""
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    assert "hunter2" not in str(settings.load())
    assert settings.load().values()["SECRET_KEY"] == "hunter2"


@pytest.mark.parametrize(
    ("file", "text"), [("nginx.conf", "${NOPE}"), ("uwsgi.ini", "$(NOPE)"), ("supervisord.ini", "%(ENV_NOPE)s")]
)
def test_a_placeholder_without_a_value_is_named_with_its_file(file: str, text: str, config: Path) -> None:
    """Each program's file, in that program's own way to write one."""
    with (config / file).open("a") as stream:
        stream.write(text)
    named = prepare.values(settings.load(), MACHINE)
    (problem,) = prepare.unknown_placeholders(named)
    assert problem.startswith(f"{file} names NOPE")


@pytest.mark.parametrize(
    ("cpus", "memory", "processes"),
    [(0.25, 8 << 30, 2), (1, 8 << 30, 2), (2, 8 << 30, 2), (2.5, 8 << 30, 3), (16, 64 << 30, 16), (4, 96 << 20, 1)],
)
def test_auto_is_a_process_for_each_cpu_as_far_as_the_memory_goes(cpus: float, memory: int, processes: int) -> None:
    """At least two, so that one can be replaced while the other serves; one where two don't fit."""
    values = prepare.values(settings.load(), Limits(cpus, "its CPU quota", memory, "its memory limit"))
    assert values["WEB_CONCURRENCY"] == str(processes)


@pytest.mark.parametrize(
    ("limit", "megabytes"),
    [
        (Limits(2, "the machine", 1 << 30, "the machine"), 0),
        (Limits(2, "the machine", 1 << 30, "its memory limit"), 393),
        (Limits(2, "the machine", 96 << 20, "its memory limit"), 64),
    ],
)
def test_a_worker_gets_its_share_of_a_memory_limit(limit: Limits, megabytes: int) -> None:
    """80 % of it, less what the others need; never as little as a worker takes anyway, and none without a limit."""
    assert prepare.values(settings.load(), limit)["WORKER_MEMORY"] == str(megabytes)


@pytest.mark.parametrize(
    "name",
    ["UWSGI_PORT", "UWSGI_PORT_80_TCP", "UWSGI_PORT_80_TCP_PROTO", "UWSGI_SERVICE_HOST", "UWSGI_SERVICE_PORT_HTTP"],
)
def test_what_kubernetes_makes_of_a_service_named_uwsgi_is_dropped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """uWSGI would take it for an option of its own."""
    monkeypatch.setenv(name, "tcp://192.0.2.1:80")
    assert prepare.uwsgi_variables() == []
    assert name not in prepare.os.environ


def test_an_option_of_uwsgi_that_uwsgi_ini_sets_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file beats the variable, which would have no effect."""
    monkeypatch.setenv("UWSGI_THREADS", "2")
    assert prepare.uwsgi_variables() == ["UWSGI_THREADS has no effect: uwsgi.ini sets threads"]
