"""Load the settings, and describe those that are wrong."""

import os
import re
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from wsgi_runtime.environment import shown
from wsgi_runtime.start.settings import Settings, names
from wsgi_runtime.start.sources import Problem

PORTS = {"PORT", "ADMIN_PORT"}
"""Settings that must differ, which Settings itself checks."""


class BadSettings(Exception):
    """The container must not start.

    `problems` has one sentence for each problem. In `settings`, a setting with a problem has its default.
    """

    def __init__(self, problems: list[str], settings: Settings) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.settings = settings


def load() -> Settings:
    """Return the settings of this container.

    Raises BadSettings with each setting that is wrong: its name, what it got and what it takes.
    """
    values = Settings.values_of_sources()
    problems: list[str] = []
    wrong: set[str] = set()
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems = [_problem(detail) for detail in error.errors()]
        wrong = {str(detail["loc"][0]) for detail in error.errors()}
        # PORT may be the default of ADMIN_PORT, and the other way round.
        left_out = wrong | PORTS if wrong & PORTS else wrong
        settings = Settings(**{name: value for name, value in values.items() if name not in left_out})
    # A combination with a setting that is wrong was not checked: its value is the default.
    problems += [each for each in settings.wrong_combinations() if wrong.isdisjoint(re.findall("[A-Z_]+", each))]
    if problems:
        raise BadSettings(list(dict.fromkeys(problems)), settings)
    return settings


def _problem(detail: Any) -> str:
    """Return one error of pydantic as a sentence. Alternatives of a union give the same sentence."""
    reason = detail["msg"].removeprefix("Value error, ")
    if isinstance(detail["input"], Problem):
        return detail["input"]
    name = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        meant = get_close_matches(name, Settings.model_fields, 1)
        return f"{name} in the profile is not a setting" + (f"; did you mean {meant[0]}?" if meant else "")
    schema = Settings.model_json_schema(by_alias=False)["properties"][name]
    if detail["type"] != "value_error":
        reason = f"must be {_takes(schema)}"
    value = "(hidden)" if "'format': 'password'" in str(schema) else shown(detail["input"])
    given = next((each for each in names(name) if os.environ.get(each)), name)
    return f"{given} is {value}: {reason}"


def _takes(schema: dict[str, Any]) -> str:
    """Return the values that a setting takes, in words, from its JSON schema."""
    if "anyOf" in schema:
        return " or ".join(_takes(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    if schema["type"] == "integer":
        return f"an integer from {schema['minimum']} to {schema['maximum']}"
    if schema["type"] == "boolean":
        return "on or off"
    if "pattern" in schema:
        return str(schema["title"])
    return "text"
