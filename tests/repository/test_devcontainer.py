""".devcontainer/devcontainer.json, started as an editor does (https://containers.dev/implementors/spec)."""

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from conftest import REPO, SESSION_LABEL, Container, until

pytestmark = pytest.mark.timeout(300)  # the image with debugpy is built

FILE = REPO / ".devcontainer/devcontainer.json"


def test_the_container_serves_the_folder_src_and_a_debugger_can_attach(start: Callable[..., Container]) -> None:
    text = re.sub(r"^\s*//.*$", "", FILE.read_text(), flags=re.MULTILINE)
    config: dict[str, Any] = json.loads(text.replace("${localWorkspaceFolder}", str(REPO)))
    build = config["build"]
    words = f"--quiet --label {SESSION_LABEL} --file {FILE.parent / build['dockerfile']}".split()
    words += [f"--build-arg={name}={value}" for name, value in build["args"].items()]
    done = subprocess.run(
        [REPO / "tools/build", *words, FILE.parent / build["context"]], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    container = start(
        *(f"--env={name}={value}" for name, value in config["containerEnv"].items()),
        *(f"--mount={mount}" for mount in config["mounts"]),
        f"--user={config['containerUser']}",
        image=done.stdout.strip(),
    ).wait()
    assert container.get("/hello/ada").json()["name"] == "ada"
    connect = config["customizations"]["vscode"]["settings"]["launch"]["configurations"][0]["connect"]
    until(lambda: f"debugpy listens on port {connect['port']}" in container.log, "a debugger can attach")
