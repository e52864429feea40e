"""Settings, in-process: sources, precedence, aliases and error messages."""

import re
import shutil
from pathlib import Path

import pytest

from conftest import REPO
from wsgi_runtime import environment, procfile
from wsgi_runtime.start import checks, computed, field_types, files, report, settings, sources
from wsgi_runtime.start.limits import Limits
from wsgi_runtime.start.load import BadSettings, load

MACHINE = Limits(cpus=4.0, cpus_from="the machine", memory=8 << 30, memory_from="the machine")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the settings of this machine's environment, and read secrets from a folder of the test."""
    for name in settings.Settings.model_fields:
        for each in settings.names(name):
            monkeypatch.delenv(each, raising=False)
            monkeypatch.delenv(f"{each}_FILE", raising=False)
    for module in field_types, sources, environment:
        monkeypatch.setattr(module, "SECRETS", tmp_path / "secrets")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Folder of secrets, empty."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folder of configuration files that a test may change; the profile is empty."""
    shutil.copytree(REPO / "nginx", tmp_path / "nginx")
    for file in "nginx.conf", "uwsgi.ini", "supervisord.ini":
        (tmp_path / file).write_text((REPO / file).read_text())
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/production.yaml").write_text("{}")
    for module in checks, computed, field_types, files, sources:
        monkeypatch.setattr(module, "CONFIG", tmp_path)
    return tmp_path


def problems() -> list[str]:
    """Load the settings; return the reported problems."""
    with pytest.raises(BadSettings) as caught:
        load()
    return caught.value.problems


def test_without_any_source_each_setting_has_its_default() -> None:
    values = load().values()
    assert (values["PORT"], values["PROFILE"], values["PROCESSES"]) == ("80", "production", "web")
    assert "SECRET_KEY" not in values


def test_the_environment_beats_secrets_which_beat_the_profile_which_beats_the_default(
    config: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load().THREADS == settings.Settings.model_fields["THREADS"].default
    (config / "profiles/production.yaml").write_text("THREADS: 2")
    assert load().THREADS == 2
    (secrets / "THREADS").write_text("3\n")
    assert load().THREADS == 3
    monkeypatch.setenv("THREADS", "4")
    assert load().THREADS == 4


def test_a_secret_can_name_the_profile(config: Path, secrets: Path) -> None:
    (config / "profiles/staging.yaml").write_text("THREADS: 5")
    (secrets / "PROFILE").write_text("staging")
    assert load().THREADS == 5


@pytest.mark.parametrize(
    ("alias", "name", "value"), [("LISTEN_PORT", "PORT", "8080"), ("NGINX_MAX_UPLOAD", "MAX_BODY_SIZE", "1g")]
)
def test_an_alias_in_the_environment_beats_the_name_in_the_profile(
    alias: str, name: str, value: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config / "profiles/production.yaml").write_text(f"{name}: {value}1")
    monkeypatch.setenv(alias, value)
    assert load().values()[name] == value


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes unset variables as empty ones."""
    monkeypatch.setenv("PORT", "")
    assert load().PORT == 80


@pytest.mark.parametrize("text", ["on", "off", "true", "0"])
def test_a_switch_reaches_the_programs_as_1_or_0(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nginx and uWSGI read no other values."""
    monkeypatch.setenv("ACCESS_LOG", text)
    assert load().values()["ACCESS_LOG"] == ("1" if text in ("on", "true") else "0")


BAD = {
    "PROFILE": ["nonsense", "../production"],
    "APP": ["main:", "my-app:app", "main:app:app", "main:create_app("],
    "PORT": ["0", "65536", "http", "80.5"],
    "ADMIN_PORT": ["-1", "80", "65536", "private"],
    "PROCESSES": ["0", "many", "-1", "1025", "web=0", "web,web=2", "web worker", "web,", "worker=1"],
    "THREADS": ["0", "auto"],
    "GREENLETS": ["-1", "1", "on", "100"],
    "PRELOAD": ["maybe"],
    "PRESTART": ["later"],
    "REQUEST_TIMEOUT": ["0", "30s"],
    "GRACE_PERIOD": ["-8"],
    "STOP_DELAY": ["-1", "soon"],
    "MAX_BODY_SIZE": ["10 m", "ten", "10t", "-1"],
    "URL_PREFIX": ["shop", "/shop/", "/", "/.container"],
    "STATIC_URL": ["static", "/", "/sta tic", "/static/", "/a;b", "/${PORT}"],
    "STATIC_PATH": ["static", "/", "/app", "/app/static/", "/nowhere"],
    "STATIC_INDEX": ["index.html"],
    "HEALTH_PATH": ["health", "/health?x=1", "/{health}"],
    "TRUSTED_PROXIES": ["10.0.0.1/8", "proxy", "10.0.0.0/8; 10.1.0.0/16"],
    "RATE_LIMIT": ["20", "0r/s", "20r/h", "on"],
    "CACHE": ["10m"],
    "CSP": ["on", "minimum", "img-src $host", 'img-src "x"'],
    "TLS_CERT": ["tls.crt", "/a b", "/a;b"],
    "TLS_KEY": ["tls.key"],
    "HTTPS_PORT": ["0", "https"],
    "MAX_REQUESTS": ["-1", "off"],
    "WORKER_MEMORY": ["-1", "64m"],
    "LOG_LEVEL": ["INFO", "loud", "20"],
    "LOG_FORMAT": ["xml", "JSON"],
    "ACCESS_LOG": ["maybe", "2"],
    "DEBUG": ["yes please"],
    "DEBUGPY": ["on", "70000"],
}


def test_the_list_of_bad_values_has_every_setting() -> None:
    """Except SECRET_KEY, which takes any text."""
    assert set(BAD) | {"SECRET_KEY"} == set(settings.Settings.model_fields)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value_is_reported_with_its_name_and_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    (problem,) = problems()
    assert problem.startswith(f"{name} is {value!r}: ")


@pytest.mark.parametrize(
    ("bad", "other"), [(("PORT", "eighty"), ("ADMIN_PORT", "80")), (("ADMIN_PORT", "x"), ("PORT", "9090"))]
)
def test_a_port_that_is_the_default_of_a_bad_one_is_no_problem(
    bad: tuple[str, str], other: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bad, other:
        monkeypatch.setenv(name, value)
    (problem,) = problems()
    assert problem.startswith(f"{bad[0]} is {bad[1]!r}: ")


def test_all_bad_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (value, *_) in BAD.items():
        monkeypatch.setenv(name, value)
    assert [problem.split()[0] for problem in problems()] == list(BAD)


@pytest.mark.parametrize(
    ("bad", "contradiction"),
    [
        (("DEBUG", "maybe"), ("HTTPS_PORT", "444")),
        (("PORT", "9090"), ("TLS_CERT", "/etc/hostname")),
        (("PROFILE", "nonsense"), ("STATIC_INDEX", "on")),
    ],
)
def test_a_setting_that_contradicts_another_is_reported_beside_a_bad_value(
    bad: tuple[str, str], contradiction: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bad, contradiction:
        monkeypatch.setenv(name, value)
    _, problem = problems()
    assert problem.startswith(contradiction[0])


@pytest.mark.parametrize(
    ("bad", "other"), [("TLS_CERT", "TLS_KEY"), ("TLS_CERT", "HTTPS_PORT"), ("STATIC_PATH", "STATIC_INDEX")]
)
def test_a_setting_that_only_contradicts_the_default_of_a_bad_one_is_not_reported(
    bad: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(bad, "relative")
    monkeypatch.setenv(other, {"TLS_KEY": "/etc/hostname", "HTTPS_PORT": "444", "STATIC_INDEX": "on"}[other])
    (problem,) = problems()
    assert problem.startswith(f"{bad} is 'relative'")


def test_an_unknown_key_in_the_profile_is_reported_with_the_most_similar_setting(config: Path) -> None:
    (config / "profiles/production.yaml").write_text("THREAD: 2")
    (problem,) = problems()
    assert re.findall(r"\bTHREADS?\b", problem) == ["THREAD", "THREADS"]


@pytest.mark.parametrize(
    "text", ["a: b: c", "- PORT", "- PORT: 80", "[]", "[[PORT, 80]]", "80", "just words", "PORT: [80"]
)
def test_a_profile_that_is_not_a_mapping_is_reported_beside_the_other_problems(
    text: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config / "profiles/production.yaml").write_text(text)
    monkeypatch.setenv("THREADS", "0")
    profile, threads = problems()
    assert profile.startswith(f"the profile {config}/profiles/production.yaml ")
    assert threads.startswith("THREADS is '0'")


def test_a_profile_of_comments_alone_is_valid(config: Path) -> None:
    (config / "profiles/production.yaml").write_text("# nothing yet\n")
    assert load().PORT == 80


def test_yaml_booleans_numbers_and_nulls_are_accepted_for_settings_that_are_text(config: Path) -> None:
    (config / "profiles/production.yaml").write_text("RATE_LIMIT: off\nMAX_BODY_SIZE: 0")
    assert (load().RATE_LIMIT, load().MAX_BODY_SIZE) == ("off", "0")
    (config / "profiles/production.yaml").write_text("SECRET_KEY:\nTLS_CERT:")
    assert load().TLS_CERT is None


def test_a_profile_must_not_set_profile(config: Path) -> None:
    """The setting would have no effect."""
    (config / "profiles/production.yaml").write_text("PROFILE: production\nTHREADS: 0")
    profile, threads = problems()
    assert "PROFILE" in profile
    assert threads.startswith("THREADS is 0")


@pytest.mark.parametrize("file", sorted(path.name for path in (REPO / "profiles").iterdir()))
def test_the_profiles_of_the_repository_are_valid(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFILE", Path(file).stem)
    assert load().PROFILE == Path(file).stem


def test_port_and_admin_port_must_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9090")
    (problem,) = problems()
    assert problem.startswith("ADMIN_PORT is 9090: ")


def test_the_report_has_value_and_source_of_each_setting_and_hides_secrets(
    config: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config / "profiles/production.yaml").write_text("REQUEST_TIMEOUT: 5")
    (secrets / "SECRET_KEY").write_text("hunter2")
    monkeypatch.setenv("LISTEN_PORT", "8080")
    loaded = load()
    rows = {row.pop("name"): row for row in report.report(loaded, computed.values(loaded, MACHINE))}
    assert list(rows) == list(settings.Settings.model_fields)
    assert rows["PORT"] == {"value": "8080", "origin": "environment"}
    assert rows["SECRET_KEY"] == {"value": "(hidden)", "origin": "secret"}
    assert rows["REQUEST_TIMEOUT"] == {"value": "5", "origin": "profile"}
    assert rows["PROCESSES"] == {"value": "web=4", "origin": "default"}


def test_secret_key_is_neither_printed_nor_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    assert "hunter2" not in str(load())
    assert "SECRET_KEY" not in load().values()


@pytest.mark.parametrize(
    ("file", "text"), [("nginx.conf", "${NOPE}"), ("uwsgi.ini", "$(NOPE)"), ("supervisord.ini", "%(ENV_NOPE)s")]
)
def test_an_unknown_placeholder_is_reported_with_its_file(file: str, text: str, config: Path) -> None:
    with (config / file).open("a") as stream:
        stream.write(text)
    named = computed.values(load(), MACHINE)
    (problem,) = files.unknown_placeholders(named, {})
    assert problem.startswith(file)
    assert "NOPE" in problem


@pytest.mark.parametrize(
    ("cpus", "memory", "processes"),
    [
        (0.25, 8 << 30, 1),
        (1, 8 << 30, 1),
        (2, 8 << 30, 2),
        (2.5, 8 << 30, 3),
        (16, 64 << 30, 16),
        (4, 96 << 20, 1),
        (4, 64 << 20, 1),
        (4, 300 << 20, 3),
    ],
)
def test_processes_auto_is_one_for_each_cpu_that_fits_into_the_memory(cpus: float, memory: int, processes: int) -> None:
    values = computed.values(load(), Limits(cpus, "its CPU quota", memory, "its memory limit"))
    assert (values["WEB_PROCESSES"], values["PROCESSES"]) == (str(processes), f"web={processes}")


FORMATIONS = {
    "auto": ("web=4", ""),
    "web": ("web=4", ""),
    "3": ("web=3", ""),
    "web=2": ("web=2", ""),
    "web,worker": ("web=4,worker=1", "worker"),
    "scheduler, web=1, worker=2": ("scheduler=1,web=1,worker=2", "scheduler worker"),
}


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Procfile with two process types besides `web`."""
    (tmp_path / "Procfile").write_text("web: x\nworker: python worker.py\nscheduler: y\nnginx: z\n# old: x\n")
    monkeypatch.setattr(procfile, "PATH", tmp_path / "Procfile")
    return tmp_path / "Procfile"


@pytest.mark.parametrize("text", FORMATIONS)
def test_processes_says_which_process_types_run_and_how_many_of_each(
    text: str, types: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", text)
    values = computed.values(load(), MACHINE)
    assert (values["PROCESSES"], values["PROCESS_TYPES"]) == FORMATIONS[text]


def test_other_processes_leave_less_memory_to_uwsgi(types: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSES", "web,worker=2")
    values = computed.values(load(), Limits(4, "its CPU quota", 400 << 20, "its memory limit"))
    assert values["WEB_PROCESSES"] == "2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web,wroker", ("wroker is not in", "which has worker, scheduler, nginx", "wroker: python wroker.py")),
        ("worker", ("must contain web", "docker run IMAGE run worker")),
        ("web,nginx", ("nginx is the name of a program of the container",)),
        ("web,worker,worker=2", ("worker occurs twice",)),
    ],
)
def test_process_types_that_cannot_run_are_reported_with_the_fix(
    text: str, words: tuple[str, ...], types: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCESSES", text)
    (problem,) = problems()
    assert problem.startswith(f"PROCESSES is {text!r}: ")
    assert all(each in problem for each in words), problem


def test_without_a_procfile_there_is_only_web(types: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    types.unlink()
    monkeypatch.setenv("PROCESSES", "web,worker")
    assert "which is missing" in problems()[0]


@pytest.mark.parametrize(
    ("limit", "megabytes"),
    [
        (Limits(2, "the machine", 1 << 30, "the machine"), 0),
        (Limits(2, "the machine", 1 << 30, "its memory limit"), 188),
        (Limits(2, "the machine", 96 << 20, "its memory limit"), 16),
    ],
)
def test_worker_memory_auto_follows_the_memory_limit(limit: Limits, megabytes: int) -> None:
    assert computed.values(load(), limit)["WORKER_MEMORY"] == str(megabytes)


@pytest.mark.parametrize(
    "name",
    ["UWSGI_PORT", "UWSGI_PORT_80_TCP", "UWSGI_PORT_80_TCP_PROTO", "UWSGI_SERVICE_HOST", "UWSGI_SERVICE_PORT_HTTP"],
)
def test_variables_that_kubernetes_sets_for_a_service_named_uwsgi_are_dropped(name: str) -> None:
    assert environment.for_app({name: "tcp://192.0.2.1:80"}, {}) == {}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("UWSGI_THREADS", "the setting THREADS"),
        ("UWSGI_PROCESSES", "the setting PROCESSES"),
        ("UWSGI_LAZY_APPS", "the setting PRELOAD"),
        ("UWSGI_MASTER", ""),
    ],
)
def test_an_option_of_uwsgi_that_uwsgi_ini_sets_is_an_error_that_names_our_setting(name: str, setting: str) -> None:
    (problem,) = checks.uwsgi_variables({name: "2"})
    assert problem.startswith(f"{name} has no effect: ")
    assert setting in problem


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("UWSGI_APP", "; did you mean the setting APP?"),
        ("UWSGI_REQUEST_TIMEOUT", "; did you mean the setting REQUEST_TIMEOUT?"),
        ("UWSGI_PROCESES", "; did you mean the setting PROCESSES?"),
        ("UWSGI_FOO", ""),
    ],
)
def test_a_variable_that_is_no_option_of_uwsgi_is_an_error_that_names_the_most_similar_setting(
    name: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_uwsgi_options", lambda: {"harakiri"})
    assert checks.uwsgi_variables({name: "2", "UWSGI_HARAKIRI": "9"}) == [f"{name} is not an option of uWSGI{hint}"]


@pytest.mark.parametrize("name", ["UWSGI_MULES", "UWSGI_FARM", "UWSGI_SPOOLER", "UWSGI_SPOOLER_PROCESSES"])
def test_mules_and_the_spooler_need_preload(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = checks.preload_problems({name: "1", "UWSGI_MULE": "/app/mule.py"}, load())
    assert problem.startswith(f"{name} needs PRELOAD=on")
    monkeypatch.setenv("PRELOAD", "on")
    assert checks.preload_problems({name: "1"}, load()) == []


@pytest.mark.parametrize(
    ("first", "second"), [("PORT", "LISTEN_PORT"), ("PROCESSES", "WEB_CONCURRENCY"), ("GREENLETS", "ASYNC")]
)
def test_two_names_of_one_setting_must_have_the_same_value(
    first: str, second: str, config: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = f"{first} is '20' and {second} is '30': both set the same setting; remove one of them"
    monkeypatch.setenv(first, "20")
    monkeypatch.setenv(second, "30")
    assert problems() == [problem]
    if first != "GREENLETS":  # gevent is not installed here
        monkeypatch.setenv(second, "20")
        assert load().values()[first].removeprefix("web=") == "20"
    monkeypatch.delenv(first)
    monkeypatch.delenv(second)

    (secrets / first).write_text("20\n")
    (secrets / second).write_text("30\n")
    assert problems() == [problem]
    shutil.rmtree(secrets)

    (config / "profiles/production.yaml").write_text(f"{first}: 20\n{second}: 30")
    assert problems() == [problem.replace("'", "")]


def test_an_old_name_in_one_source_and_the_new_name_in_another_follow_the_precedence(
    config: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config / "profiles/production.yaml").write_text("WEB_CONCURRENCY: 2")
    assert load().PROCESSES == "web=2"
    (secrets / "PROCESSES").write_text("3")
    assert load().PROCESSES == "web=3"
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    assert load().PROCESSES == "web=4"


def test_a_bad_value_is_reported_by_the_name_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PORT", "http")
    assert problems() == ["LISTEN_PORT is 'http': must be an integer from 1 to 65535"]


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("PORT", "an integer from 1 to 65535"),
        ("PROCESSES", "auto, a number from 1 to 1024, or process types such as web,worker or web=4,worker=2"),
        ("DEBUG", "on or off"),
        ("LOG_FORMAT", "one of json, text"),
        ("MAX_BODY_SIZE", "a number of bytes, or a size such as 10m"),
        ("CSP", "off, minimal, strict, or a policy of up to 3000 characters, such as default-src 'self'"),
        ("TLS_CERT", "an absolute path of up to 255 letters, digits and . _ -"),
        ("RATE_LIMIT", "off, or a rate such as 20r/s or 100r/m"),
        ("HEALTH_PATH", "an absolute path of up to 255 letters, digits and . _ ~ -, without a slash at its end"),
    ],
)
def test_a_bad_value_is_reported_with_what_the_setting_takes(
    name: str, takes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "no value")
    assert problems() == [f"{name} is 'no value': must be {takes}"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("true", "on"),
        ("1", "on"),
        ("off", "off"),
        ("False", "off"),
        ("0", "off"),
        ("fallback", "fallback"),
    ],
)
def test_static_index_takes_fallback_and_the_words_of_a_switch(
    text: str, value: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index.html").write_text("")
    monkeypatch.setenv("STATIC_PATH", str(tmp_path))
    (config / "profiles/production.yaml").write_text(f"STATIC_INDEX: {text}")
    assert load().values()["STATIC_INDEX"] == value
    (config / "profiles/production.yaml").write_text("{}")
    monkeypatch.setenv("STATIC_INDEX", text)
    assert load().values()["STATIC_INDEX"] == value


@pytest.mark.parametrize("app", ["main", "shop.main:app", "main:create_app()", "main:create_app('a b', key=1)", "auto"])
def test_app_takes_a_module_a_name_or_a_call_of_a_factory(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP", app)
    assert load().APP == app


def test_a_file_variable_has_the_precedence_of_the_environment(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "value"
    file.write_text(" 4\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/THREADS").write_text("3")
    (config / "profiles/production.yaml").write_text("THREADS: 2")
    monkeypatch.setenv("THREADS_FILE", str(file))
    assert load().THREADS == 4
    monkeypatch.setenv("THREADS", "")
    assert load().THREADS == 4
    rows = {row["name"]: row for row in report.report(load(), load().values())}
    assert rows["THREADS"]["origin"] == "environment"
    monkeypatch.setenv("THREADS", "5")
    monkeypatch.setenv("STOP_DELAY_FILE", str(tmp_path / "missing"))
    assert problems() == [
        "THREADS and THREADS_FILE are both set; remove one of them",
        f"STOP_DELAY_FILE is '{tmp_path / 'missing'}': No such file or directory",
    ]


@pytest.mark.parametrize("name", sorted(sources.COMMON_NAMES))
def test_a_file_outside_the_secrets_that_an_app_may_mean_is_not_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "note"
    file.write_text("no value of a setting")
    monkeypatch.setenv(f"{name}_FILE", str(file))
    load()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/note.txt").write_text("no value of a setting")
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secrets/note.txt"))
    assert problems()[0].startswith(f"{name} is 'no value of a setting': ")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("SECRET_KEY", b"\xff\xfe", "must be UTF-8 text"),
        ("SECRET_KEY", b"a\0b", "must not contain a NUL byte"),
        ("LISTEN_PORT", b"\xff", "must be UTF-8 text"),
    ],
)
def test_a_secret_that_is_not_text_is_reported_beside_the_other_problems(
    name: str, content: bytes, reason: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = secrets / name
    secret.write_bytes(content)
    (secrets / "keystore").write_bytes(b"\xff")
    monkeypatch.setenv("THREADS", "0")
    assert set(problems()) == {
        f"{name}: the secret {secret} {reason}",
        "THREADS is '0': must be an integer from 1 to 1024",
    }
