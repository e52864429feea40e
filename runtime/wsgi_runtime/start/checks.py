"""Checks before a program starts. Each returns its problems, one sentence each."""

import errno
import functools
import os
import re
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from wsgi_runtime import APP, CONFIG, RUN, environment
from wsgi_runtime.start import files
from wsgi_runtime.start.settings import Settings

USER, GROUP = 10001, 0
"""The image's user, as in the Dockerfile."""

NGINX_SETTINGS = (
    *("MAX_BODY_SIZE", "STATIC_URL", "STATIC_PATH", "STATIC_INDEX", "TRUSTED_PROXIES", "RATE_LIMIT", "CACHE", "CSP"),
    *("TLS_CERT", "TLS_KEY", "HTTPS_PORT", "ACCESS_LOG", "ADMIN_PORT"),
)
"""Settings that only nginx.conf uses. The values that it names for them begin with the setting's name."""


def drop_privileges() -> list[str]:
    """Become the image's user if the container was started as root. Return the problem if that fails."""
    if os.geteuid() != 0:
        return []
    try:
        os.setgroups([])
        os.setresgid(*[GROUP] * 3)
        os.setresuid(*[USER] * 3)
    except PermissionError:
        return [f"the container was started as root and must not become user {USER}: remove --user 0 or --cap-drop"]
    return []


def folder_problems() -> list[str]:
    """Return the problems of the folders that startup and the programs read and write."""
    problems = []
    secrets = environment.SECRETS
    if secrets.is_dir() and not os.access(secrets, os.R_OK | os.X_OK):
        problems.append(f"{secrets} must be readable for user {os.getuid()}: change its mode")
    folders = " and ".join(str(folder) for folder in (RUN, Path("/tmp")) if not os.access(folder, os.W_OK))  # noqa: S108
    if folders:
        problems.append(f"{folders} must be writable: with --read-only, add --tmpfs /run --tmpfs /tmp to docker run")
    return problems


def uwsgi_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the problems of the UWSGI_* variables in the app's environment: uWSGI reads them as its options."""
    fixed = dict(re.findall(r"^([a-z-]+) *=(?: *\$\(([A-Z_]+)\)$)?", (CONFIG / "uwsgi.ini").read_text(), re.MULTILINE))
    problems = []
    for name in [name for name in environ if name.startswith("UWSGI_")]:
        option = name.removeprefix("UWSGI_").lower().replace("_", "-")
        if option in fixed:
            use = f"; use the setting {fixed[option]}" if fixed[option] in Settings.model_fields else ""
            problems.append(f"{name} has no effect: uwsgi.ini sets {option}{use}")
        elif option not in _uwsgi_options():
            problems.append(f"{name} is not an option of uWSGI")
    return problems


@functools.cache
def _uwsgi_options() -> set[str]:
    text = subprocess.run(["uwsgi", "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--([a-z0-9-]+)", text))


def ignored_settings(settings: Settings) -> list[str]:
    """Return what the app's own error pages lack, and the settings that its own nginx.conf ignores."""
    pages = [APP / "errors" / name for name in ("error.html", "error.json")]
    missing = [f"{page} is missing beside the app's other error pages" for page in pages if not page.exists()]
    if missing and pages[0].parent.is_dir():
        return missing
    if not (APP / "nginx.conf").exists():
        return []
    used = "\n".join(files.NGINX_PLACEHOLDER.findall(files.nginx_text()))
    problems = [
        f"{name} has no effect: the app's own nginx.conf does not name it"
        for name in NGINX_SETTINGS
        if name in settings.model_fields_set and not re.search(rf"^{name}(_|$)", used, re.MULTILINE)
    ]
    if not re.search("^PORT$", used, re.MULTILINE):
        problems.append("the app's own nginx.conf must listen on ${PORT}: the container opens that socket")
    return problems


def nginx_problem() -> list[str]:
    """Return the errors of `nginx -t` with file and line, if the app has its own configuration files for Nginx."""
    if not any(APP.glob("nginx*.conf")):
        return []
    command = ["nginx", "-t", "-q", "-e", "stderr", "-c", str(RUN / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True)
    problems = re.findall(r"\[(?:emerg|crit|alert|error)\] (?:\S+ )?(.*)", done.stderr) if done.returncode else []
    return problems or ([done.stderr] if done.returncode else [])


def port_problem(name: str, port: int) -> list[str]:
    """Return the problem if a port cannot be listened on. Nginx itself would retry for seconds and then exit."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            reason = {
                errno.EACCES: f"only root can use it here; set {name} to 1024 or above",
                errno.EADDRINUSE: f"another program has it; set another {name}",
            }.get(error.errno or 0, str(error))
            return [f"{name} is {port}: {reason}"]
    return []
