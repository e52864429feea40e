"""Imports inside the runtime package: each folder is a process, and has only the code that this process needs."""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import REPO

RUNTIME = REPO / "runtime"
PACKAGE = RUNTIME / "wsgi_runtime"

MAY_IMPORT = {
    # folder: its own folder, these folders, and these packages besides the standard library
    "start": ({"start"}, {"pydantic", "pydantic_core", "pydantic_settings", "yaml"}),
    "pid1": ({"pid1", "log"}, {"supervisor"}),
    "worker": ({"worker"}, {"uwsgi"}),
    "log": ({"log"}, set()),
    "admin": ({"admin"}, {"prometheus_client"}),
    "": (set(), set()),
}
"""Every folder may import the modules at the top of the package, which import nothing but each other."""

WORKER_MAY_IMPORT = {"fingerprints", "logs", "scoreboard", "values"}
"""Modules at the top of the package that workers import: the app pays for their memory in each worker."""


def name_of(path: Path) -> str:
    """Return the name of a module."""
    return ".".join(path.relative_to(RUNTIME).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def imports(path: Path) -> Iterator[str]:
    """Yield the name of each module that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"relative import in {path}"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            yield from submodules or {node.module}


def folder_of(module: str) -> str:
    """Return the folder of a module of the package, "" for the modules at its top."""
    name = module.removeprefix("wsgi_runtime").removeprefix(".").partition(".")[0]
    return name if (PACKAGE / name).is_dir() else ""


def test_the_runtime_has_no_import_cycles() -> None:
    graph = {name: [module for module in imports(path) if module in MODULES] for name, path in MODULES.items()}
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_its_process_needs(folder: str) -> None:
    folders, packages = MAY_IMPORT[folder]
    for name, path in MODULES.items():
        if folder_of(name) != folder or name == "wsgi_runtime.__main__":
            continue
        for module in imports(path):
            if module in MODULES:
                assert folder_of(module) in {"", *folders}, f"{name} imports {module}"
            else:
                assert module.partition(".")[0] in packages | set(sys.stdlib_module_names), f"{name} imports {module}"


def test_workers_import_few_modules_of_the_container() -> None:
    shared = {
        module
        for name, path in MODULES.items()
        if folder_of(name) == "worker"
        for module in imports(path)
        if module in MODULES and not folder_of(module)
    }
    assert shared <= {"wsgi_runtime", *(f"wsgi_runtime.{name}" for name in WORKER_MAY_IMPORT)}


def test_no_file_of_the_runtime_has_more_than_250_lines() -> None:
    assert [name for name, path in MODULES.items() if len(path.read_text().splitlines()) > 250] == []
