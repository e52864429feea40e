"""Settings as a way into the configuration files: values made by hypothesis from the table of settings.

A value is refused by a message that names its setting, or it fills its own places in the files and nothing else.
"""

import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import crossplane
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from conftest import certificate
from wsgi_runtime import environment
from wsgi_runtime.start import computed, field_types, files, sources
from wsgi_runtime.start.limits import Limits
from wsgi_runtime.start.load import BadSettings, load
from wsgi_runtime.start.settings import Settings, names

MACHINE = Limits(cpus=4.0, cpus_from="the machine", memory=8 << 30, memory_from="the machine")

MAX_PROBLEM_CHARACTERS = 1000
NAMES = [name for setting in Settings.model_fields for name in names(setting)]

HOSTILE = (
    *("\n", "\r", "\t", "\0", '"', "'", "`", ";", "{", "}", "#", "\\", "$", "%", "*", "=", "//", "..", "\u2028"),
    *("${PORT}", "$host", "$(THREADS)", "$(id)", "%(ENV_PATH)s", "%p", "@(/etc/passwd)", "é", "\udcff", "٣"),
    *(
        "; return 444; ",
        "}\nserver { listen 81; }",
        "\n[uwsgi]\nexec = id\n",
        "off",
        "auto",
        " ",
        "x" * 5000,
        "1" * 5000,
    ),
)
"""Pieces that mean something to Nginx, uWSGI, supervisord, a shell or a decoder."""


def patterns(schema: Any) -> Iterator[str]:
    """Yield the patterns in the JSON schema of a setting."""
    if isinstance(schema, dict):
        if "pattern" in schema:
            yield schema["pattern"]
        for value in schema.values():
            yield from patterns(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from patterns(value)


def seeds(name: str) -> st.SearchStrategy[str]:
    """Return texts that a setting may take: its default, and texts of its pattern."""
    setting = next(each for each in Settings.model_fields if name in names(each))
    schema = Settings.model_json_schema(by_alias=False)["properties"][setting]
    found: list[st.SearchStrategy[str]] = [st.from_regex(pattern) for pattern in patterns(schema)]
    found.append(st.sampled_from([str(Settings.model_fields[setting].default), "on", "1", "10.0.0.0/8", "/a/b.c"]))
    return st.one_of(found)


@st.composite
def hostile_texts(draw: st.DrawFn, name: str) -> str:
    """Return a text for a setting, with hostile pieces at any place of it, or without."""
    text = draw(seeds(name) | st.text(max_size=20))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(HOSTILE)) + text[at:]
    return text


cases = st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), hostile_texts(name)))

fuzzed = hypothesis_settings(
    derandomize=True,
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folder of the secrets and of the profile, without settings in the environment."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    for module in field_types, sources, environment:
        monkeypatch.setattr(module, "SECRETS", tmp_path / "secrets")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "profiles").mkdir()
    for module in field_types, sources:
        monkeypatch.setattr(module, "CONFIG", tmp_path)
    (tmp_path / "profiles/production.yaml").write_text("{}")
    return tmp_path


def by_variable(folder: Path, name: str, text: str) -> Callable[[], None] | None:
    """Set the variable NAME; return how to undo that. A variable cannot contain NUL."""
    if "\0" in text:
        return None
    try:
        os.environ[name] = text
    except UnicodeEncodeError:
        return None
    return lambda: os.environ.pop(name)


def by_secret(folder: Path, name: str, text: str) -> Callable[[], None]:
    """Write the secret NAME."""
    secret = folder / "secrets" / name
    secret.write_bytes(text.encode(errors="surrogatepass"))
    return secret.unlink


def by_file(folder: Path, name: str, text: str) -> Callable[[], None]:
    """Write a file of any name into the secrets, and set NAME_FILE to its path."""
    secret = folder / "secrets/a $(id);'\"{\n.txt"
    secret.write_bytes(text.encode(errors="surrogatepass"))
    os.environ[f"{name}_FILE"] = str(secret)

    def undo() -> None:
        secret.unlink()
        os.environ.pop(f"{name}_FILE")

    return undo


def by_file_name(folder: Path, name: str, text: str) -> Callable[[], None] | None:
    """Set NAME_FILE to a path below the secrets that ends in the text."""
    return by_variable(folder, f"{name}_FILE", f"{folder}/secrets/{text}")


def by_profile(folder: Path, name: str, text: str) -> Callable[[], None]:
    """Write the setting, and a key that is its value, into the profile."""
    profile = folder / "profiles/production.yaml"
    profile.write_text(yaml.safe_dump({name: text}), errors="surrogatepass")
    return lambda: profile.write_text("{}")


@functools.cache
def structure(text: str, folder: Path) -> list[Any]:
    """Return the directives of a file of Nginx: name, number of arguments, and block of each."""
    file = folder / "parsed.conf"
    file.write_text(text)
    parsed = crossplane.parse(str(file), single=True, check_ctx=False, check_args=False, comments=True)
    assert parsed["status"] == "ok", parsed["errors"]

    def shape(directives: list[dict[str, Any]], table: bool = False) -> list[Any]:
        """The lines of a table, such as a map, begin with values."""
        return [
            (
                "" if table else each["directive"],
                len(each["args"]),
                shape(each.get("block", []), each["directive"] == "map"),
            )
            for each in directives
        ]

    return shape(parsed["config"][0]["parsed"])


def rendered(named: dict[str, str], folder: Path) -> dict[str, Any]:
    """Return the structure of each configuration file that the values are put into."""
    found: dict[str, Any] = {}
    for file, (text, placeholder) in files.templates(named).items():
        text = placeholder.sub(lambda match: named.get(match[1], match[0]), text)
        if placeholder is files.NGINX_PLACEHOLDER:
            found[file] = structure(text, folder)
        else:
            parser = RawConfigParser(strict=False)
            parser.read_string(text)
            found[file] = {section: list(parser[section]) for section in parser.sections()}
    return found


def judge(folder: Path, name: str) -> dict[str, str] | None:
    """Assert that the settings are refused by name, or fill their places only. Return the values, if any."""
    try:
        loaded = load()
    except BadSettings as error:
        (setting,) = (each for each in Settings.model_fields if name in names(each))
        assert [problem for problem in error.problems if any(each in problem for each in names(setting))]
        assert all(problem.isprintable() for problem in error.problems)
        assert len(error.problems) == 1, error.problems
        assert setting != "SECRET_KEY" or "(hidden)" in error.problems[0] or "secret" in error.problems[0]
        assert len(error.problems[0]) < MAX_PROBLEM_CHARACTERS
        return None
    named = computed.values(loaded, MACHINE)
    harmless = named | {each: "x" for each in Settings.model_fields if each in named and each not in OPTIONAL}
    assert rendered(named, folder) == rendered(harmless, folder)
    return named


OPTIONAL = ("ADMIN_PORT", "CACHE", "URL_PREFIX", "TLS_CERT")
"""Settings that decide which files there are."""

SOURCES = (by_variable, by_secret, by_file, by_file_name, by_profile)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_a_setting_is_refused_by_name_or_fills_its_own_places_only(source: Callable[..., Any], folder: Path) -> None:
    accepted = []

    @fuzzed
    @given(cases)
    def fuzz(case: tuple[str, str]) -> None:
        name, text = case
        undo = source(folder, name, text)
        if undo:
            try:
                if judge(folder, name):
                    accepted.append(case)
            finally:
                undo()

    fuzz()
    assert len(accepted) > 10 or source is by_file_name, "few of the values are valid"


@pytest.mark.parametrize("text", ["a\0b", "x" * 140_000], ids=["NUL", "140 kB"])
def test_a_secret_of_the_profile_that_cannot_be_a_variable_is_refused(text: str, folder: Path) -> None:
    by_profile(folder, "SECRET_KEY", text)
    with pytest.raises(
        BadSettings, match=r"SECRET_KEY is .hidden.: must be UTF-8 text of less than 100 KB, without NUL"
    ):
        load()


PARSED = ("URL_PREFIX", "STATIC_URL", "HEALTH_PATH", "TRUSTED_PROXIES", "RATE_LIMIT", "CSP", "MAX_BODY_SIZE")
"""Texts that startup puts into the configuration of Nginx."""

LONGEST = {
    "URL_PREFIX": "/" + "p" * 199,
    "STATIC_URL": "/" + "s" * 199,
    "HEALTH_PATH": "/" + "h" * 199,
    "CSP": "img-src " + "*" * 2992,
    "TRUSTED_PROXIES": " ".join(f"10.0.{number}.0/24" for number in range(250)),
}

CHECK = """
cd /samples
for sample in [0-9]*; do
    nginx -t -q -e stderr -c /samples/$sample/nginx.conf || echo "nginx refuses $sample"
    uwsgi --ini /samples/$sample/uwsgi.ini --get processes > /dev/null 2>&1 || echo "uWSGI refuses $sample"
done
"""


def test_nginx_and_uwsgi_take_the_files_of_every_accepted_value(folder: Path, image: str) -> None:
    samples = folder / "samples"
    samples.mkdir()
    certificate(samples)

    def render(given: dict[str, str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TLS_CERT", "/samples/tls.crt")
            patch.setenv("TLS_KEY", "/samples/tls.key")
            for name, text in given.items():
                patch.setenv(name, text.replace("\0", ""))
                try:
                    load()
                except BadSettings:
                    patch.delenv(name)
            named = computed.values(load(), MACHINE)
        sample = samples / str(len(list(samples.iterdir())))
        for file, (text, placeholder) in files.templates(named).items():
            (sample / file).parent.mkdir(parents=True, exist_ok=True)
            (sample / file).write_text(placeholder.sub(lambda match: named.get(match[1], match[0]), text))

    @hypothesis_settings(fuzzed, max_examples=60)
    @given(st.fixed_dictionaries({}, optional={name: seeds(name) for name in PARSED}))
    def fuzz(given: dict[str, str]) -> None:
        render(given)

    fuzz()
    render(LONGEST)
    assert len(list(samples.iterdir())) > 20
    for path in [folder, *folder.parents][:3]:
        path.chmod(0o755)
    words = ["docker", "run", "--rm", f"--volume={samples}:/samples:ro", "--entrypoint=sh", image, "-c", CHECK]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.stdout == ""
