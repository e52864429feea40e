"""Packages of the image: known to dpkg, in the bill of materials, as new as the archive, downloaded with a hash."""

import json
import os
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from conftest import REPO, SESSION_LABEL, Container, build_error, docker, lay_out

PYTHON_PACKAGES = """\
import importlib.metadata, sys
folder = f"lib/python3.{sys.version_info.minor}/site-packages"
for each in importlib.metadata.distributions(path=[f"/venv/{folder}", f"/opt/wsgi/venv/{folder}"]):
    print(each.name.lower(), each.version)
"""


@pytest.fixture
def changed(image: str) -> Iterator[Callable[[str], str]]:
    """Return the id of an image in which root has run a command: changed(COMMAND)."""
    name = f"wsgi-test-{uuid.uuid4().hex[:8]}"
    docker("tag", image, name)

    def changed(command: str) -> str:
        file = f"FROM {name}\nUSER 0\nRUN {command}\n"
        words = ["docker", "build", "--quiet", "--label", SESSION_LABEL, "-"]
        return subprocess.run(words, input=file, check=True, capture_output=True, text=True).stdout.strip()

    yield changed
    docker("image", "rm", "--force", name)


# --- dpkg and the bill of materials ---


def test_dpkg_knows_each_file_that_the_processes_have_mapped_except_for_python_packages(container: Container) -> None:
    maps = container.exec("sh", "-c", "cat /proc/[0-9]*/maps")
    mapped = set(re.findall(r"r-xp .* (/(?!opt/wsgi/venv/|venv/).*)$", maps, re.MULTILINE))
    assert {"/usr/sbin/nginx", "/usr/local/bin/python3"} < mapped
    owners = container.exec("dpkg", "--search", *mapped)
    assert {line.split(": ")[1] for line in owners.splitlines()} == mapped


def test_the_bill_of_materials_is_valid_and_names_what_runs(container: Container) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "sbom", f"IMAGE={container.image}"], cwd=REPO, capture_output=True, text=True
    )
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(done.stdout) is None
    versions = {each["name"]: each["version"] for each in json.loads(done.stdout)["components"]}
    installed = container.exec("python3", "-I", "-c", PYTHON_PACKAGES).splitlines()
    assert len(installed) > 10
    for line in installed:
        name, version = line.split()
        assert versions[re.sub(r"[-_.]+", "-", name)] == version
    assert container.exec("uwsgi", "--version") == versions["uwsgi"]
    nginx, python, openssl = (
        container.exec(
            *(
                "sh",
                "-c",
                "nginx -v; python3 -c 'import platform, ssl; print(platform.python_version(), ssl.OPENSSL_VERSION)'",
            )
        )
        .replace("nginx version: nginx/", "")
        .replace(" OpenSSL ", "\n")
        .splitlines()
    )
    assert versions["nginx"].startswith(f"{nginx}-")
    assert versions["wsgi-python3"].startswith(f"{python}-")
    assert versions["libpython3.13-stdlib"] == versions["wsgi-python3"]
    assert versions["libssl3t64"].startswith(f"{openssl.split()[0]}-")


# --- Newer packages ---


def update_check(image: str) -> tuple[int, set[str]]:
    """Return the exit code and the listed lines."""
    done = subprocess.run([REPO / "tools/update-check", image], capture_output=True, text=True)
    return done.returncode, set(done.stdout.splitlines())


def test_update_check_fails_and_lists_packages_that_are_newer_in_the_archive(
    image: str, changed: Callable[[str], str]
) -> None:
    """Debian may have published a package since the image was built."""
    code, newer = update_check(image)
    assert code == bool(newer)
    old = r"sed -i '/^Package: \(libexpat1\|wsgi-python3\)$/,/^Version/s/^Version: .*/Version: 1/' /var/lib/dpkg/status"
    code, listed = update_check(changed(old))
    assert code == 1
    assert {line.split(",")[0] for line in listed - newer} == {
        "libexpat1 1 is installed",
        "wsgi-python3 1 is installed",
    }


def test_update_check_fails_with_another_code_if_the_archive_cannot_be_read(
    changed: Callable[[str], str],
) -> None:
    broken = changed("echo 'deb file:/nowhere trixie main' > /etc/apt/sources.list")
    assert update_check(broken) == (2, set())


def test_a_build_of_another_day_with_the_same_packages_has_the_same_layers(image: str, tmp_path: Path) -> None:
    environment = os.environ | {"PACKAGES_DATE": uuid.uuid4().hex}
    command = [REPO / "tools/build", "--progress=plain", "--label", SESSION_LABEL, "--iidfile", tmp_path / "id", REPO]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert "apt-get update" in done.stderr
    layers = "--format={{.RootFS.Layers}}"
    assert docker("image", "inspect", layers, (tmp_path / "id").read_text()) == docker(
        "image", "inspect", layers, image
    )


# --- What a build downloads ---


@pytest.mark.parametrize(
    ("path", "pattern", "replacement", "error"),
    [
        ("requirements.lock", r"sha256:\w+", f"sha256:{'0' * 64}", "THESE PACKAGES DO NOT MATCH THE HASHES"),
        ("build/requirements.lock", r"sha256:\w+", f"sha256:{'0' * 64}", "THESE PACKAGES DO NOT MATCH THE HASHES"),
        ("build/requirements.lock", r"setuptools==(.|\n)*?(?=\nuv)", "", "setuptools"),
    ],
    ids=["runtime", "build", "no setuptools"],
)
def test_a_build_accepts_only_what_the_locks_name(
    tmp_path: Path, path: str, pattern: str, replacement: str, error: str
) -> None:
    """Without its setuptools, uWSGI's source is not compiled with another one."""
    lock = lay_out(tmp_path, "plain") / "runtime" / path
    lock.write_text(re.sub(pattern, replacement, lock.read_text()))
    assert error in build_error(tmp_path)


# --- What users of Python images expect ---


def test_nothing_grants_privileges_and_nobody_has_a_password(container: Container) -> None:
    assert docker("exec", "--user=0", container.id, "find", "/", "-xdev", "-perm", "/6000", "-type", "f") == ""
    passwords = docker("exec", "--user=0", container.id, "cut", "-d:", "-f2", "/etc/shadow").split()
    assert set(passwords) <= {"*", "!", "!*"}


@pytest.mark.parametrize("python", ["/venv/bin/python3", "/opt/wsgi/venv/bin/python3"])
def test_python_has_its_standard_library_and_utc(container: Container, python: str) -> None:
    code = """\
import bz2, ctypes, curses, dbm.ndbm, decimal, hashlib, lzma, readline, sqlite3, ssl, sys, time, uuid, venv, zlib
import zoneinfo
for module in bz2, lzma, zlib:
    assert module.decompress(module.compress(b"x")) == b"x"
assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
assert ssl.create_default_context().get_ca_certs()
assert ctypes.CDLL(None).getpid() > 0
assert hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
assert zoneinfo.ZoneInfo("Europe/Berlin")
assert (time.tzname, time.timezone) == (("UTC", "UTC"), 0)
print(sys.prefix)
"""
    assert container.exec(python, "-I", "-c", code) == python.removesuffix("/bin/python3")


@pytest.mark.parametrize(
    ("command", "printed"),
    [(("python3", "-c", "import flask; print('ok')"), "ok"), (("sh", "-c", "echo $0"), "sh"), (("date", "+%Z"), "UTC")],
    ids=["python3", "sh", "date"],
)
def test_another_command_replaces_the_server(image: str, command: tuple[str, ...], printed: str) -> None:
    assert docker("run", "--rm", image, *command) == printed
