"""The README of each example."""

import re
from pathlib import Path

import pytest

from conftest import REPO

READMES = sorted((REPO / "examples").glob("*/README.md"))


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.parent.name)
def test_a_readme_is_short_and_begins_with_the_command_that_runs_the_example(readme: Path) -> None:
    lines = readme.read_text().splitlines()
    assert len(lines) <= 30
    assert lines[1:3] == ["", "```sh"]
    command = lines[3]
    assert f"examples/{readme.parent.name}" in command
    if "--file" in command:
        assert (REPO / re.search(r"--file (\S+)", command)[1]).is_file()


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.parent.name)
def test_the_files_that_a_readme_names_exist(readme: Path) -> None:
    for row in re.findall(r"^\| (`[^|]*`) \|", readme.read_text(), re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", row):
            assert (readme.parent / name).exists(), name
