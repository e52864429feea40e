"""Sources of the settings: environment, secrets and the profile. An error in a source is reported as a Problem."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from wsgi_runtime import CONFIG, environment
from wsgi_runtime.environment import SECRETS, files, shown

COMMON_NAMES = {"ACCESS_LOG", "APP", "CACHE", "DEBUG", "PORT", "PRELOAD", "PRESTART", "PROFILE"}
"""Settings whose NAME_FILE an app may use for a file of its own, such as CACHE_FILE=/tmp/cache.db."""


class Problem(str):
    """Takes the place of a setting's value in a source with an error; the text is the error message."""


def by_precedence(settings: list[list[str]], default_profile: str) -> list[dict[str, Any]]:
    """Return what the sources have, highest precedence first; the first one has the Problems of all others.

    `settings` are the names of each setting.
    """
    names = {name for setting in settings for name in setting}
    given, secret = variables(names), secrets(names)
    chosen = profile((secret | given).get("PROFILE", default_profile))
    problems: dict[str, str] = {}
    for source in chosen, secret, given:
        problems |= {name: value for name, value in source.items() if isinstance(value, Problem)}
        problems |= conflicts(source, settings)
    return [problems, given, secret, chosen]


def variables(names: set[str]) -> dict[str, str]:
    """Return the settings of the environment that are not empty, each from NAME or from the file in NAME_FILE."""
    found, problems = environment.from_files(os.environ, frozenset(names - COMMON_NAMES))
    given = {name: os.environ.get(name) or found.get(name, "").strip() for name in names}
    given |= {name: Problem(problems[name]) for name in names & problems.keys()}
    return {name: value for name, value in given.items() if value}


def secrets(names: set[str]) -> dict[str, str]:
    """Return the secrets that are settings, without white space around them."""
    found: dict[str, str] = {}
    for path in [path for path in files(SECRETS) if path.name in names]:
        try:
            found[path.name] = path.read_bytes().decode().strip()
        except OSError as error:
            found[path.name] = Problem(f"{path.name}: the secret {path} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            found[path.name] = Problem(f"{path.name}: the secret {path} must be UTF-8 text")
        if "\0" in found.get(path.name, ""):
            found[path.name] = Problem(f"{path.name}: the secret {path} must not contain a NUL byte")
    return found


def profile(name: str) -> dict[str, Any]:
    """Return the settings of a profile; if the profile has an error, PROFILE with the Problem."""
    path = next((path for path in (CONFIG / "profiles").glob("*.yaml") if path.stem == name), None)
    if not path:  # Settings checks the name
        return {}
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        return {"PROFILE": Problem(f"the profile {path} cannot be read: {' '.join(str(error).split())}")}
    if content is None:
        return {}
    if not isinstance(content, dict):
        return {"PROFILE": Problem(f"the profile {path} must be a mapping of settings to values, such as THREADS: 4")}
    if "PROFILE" in content:
        content["PROFILE"] = Problem(f"the profile {path} sets PROFILE, which has no effect in a profile; remove it")
    return {str(key): value for key, value in content.items()}


def conflicts(source: Mapping[str, Any], settings: Iterable[list[str]]) -> dict[str, Problem]:
    """Return a Problem for each setting that has two values in `source`; `settings` are the names of each setting."""
    found = {}
    for names in settings:
        given = [f"{name} is {shown(source[name])}" for name in names if source.get(name) not in (None, "")]
        if len({str(source[name]) for name in names if source.get(name) not in (None, "")}) > 1:
            found[names[0]] = Problem(f"{' and '.join(given)}: both set the same setting; remove one of them")
    return found


def origin(names: list[str]) -> str:
    """Return the source of a setting, `environment` or `secret`; "" for the profile and the default."""
    if variables(set(names)):
        return "environment"
    return "secret" if {path.name for path in files(SECRETS)} & set(names) else ""
