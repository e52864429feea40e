"""Checks before the programs start. Each returns its problems, one sentence each."""

import errno
import functools
import os
import re
import socket
import subprocess
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from wsgi_runtime import APP, CONFIG, RUN, environment, procfile
from wsgi_runtime.start import files
from wsgi_runtime.start.settings import Settings, names

UWSGI = "/usr/local/bin/uwsgi"
USER, GROUP = 10001, 0
"""The image's user, as in the Dockerfile."""

NGINX_SETTINGS = (
    *("MAX_BODY_SIZE", "URL_PREFIX", "STATIC_URL", "STATIC_PATH", "STATIC_INDEX", "TRUSTED_PROXIES", "RATE_LIMIT"),
    *("CACHE", "CSP", "TLS_CERT", "TLS_KEY", "HTTPS_PORT", "ACCESS_LOG", "ADMIN_PORT"),
)
"""Settings that only nginx.conf uses, under their own names or names that begin with them."""

UWSGI_SUCCESSORS = {
    **dict.fromkeys(("module", "wsgi", "wsgi-file", "file", "callable", "mount"), "use the setting APP"),
    "ini": "use UWSGI_* variables for options, and the setting APP for module and callable",
    **dict.fromkeys(("processes", "workers"), "use the setting PROCESSES"),
    "cheap": "use the setting PROCESSES, which is a fixed number",
    "async": "use the setting GREENLETS",
    "lazy-apps": "use the setting PRELOAD",
}
"""Replacement of an option of uWSGI that would break the container or have no effect."""

NGINX_VARIABLES = {
    "NGINX_WORKER_PROCESSES": "Nginx starts one worker for each CPU, so use docker run --cpus",
    "NGINX_WORKER_CONNECTIONS": "the number follows the container's memory, so use docker run --memory",
    "NGINX_WORKER_OPEN_FILES": "the number follows the container's limit, so use docker run --ulimit nofile=NUMBER",
}
"""Variables of the tiangolo/uwsgi-nginx images that are not settings, and what to use instead."""

NGINX_FOLDER = Path("/etc/nginx/conf.d")
"""Debian's nginx.conf reads this folder; ours does not."""


def drop_privileges() -> list[str]:
    """Switch to the image's user if the container was started as root. Return the problem if that fails."""
    if os.geteuid() != 0:
        return []
    try:
        os.setgroups([])
        os.setresgid(*[GROUP] * 3)
        os.setresuid(*[USER] * 3)
    except PermissionError:
        return [f"the container was started as root and cannot switch to user {USER}: remove --user 0 or --cap-drop"]
    return []


def folder_problems() -> list[str]:
    """Return the problems of the folders that startup and the programs use."""
    problems = []
    secrets = environment.SECRETS
    if secrets.is_dir() and not os.access(secrets, os.R_OK | os.X_OK):
        problems.append(f"{secrets} must be readable by user {os.getuid()}: change its mode")
    folders = " and ".join(str(folder) for folder in (RUN, Path("/tmp")) if not os.access(folder, os.W_OK))  # noqa: S108
    if folders:
        problems.append(f"{folders} must be writable: with --read-only, add --tmpfs /run --volume /tmp to docker run")
    return problems


def uwsgi_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the problems of the UWSGI_* variables in the app's environment, which uWSGI reads as its options."""
    fixed = dict(re.findall(r"^([a-z-]+) *=(?: *\$\(([A-Z_]+)\)$)?", (CONFIG / "uwsgi.ini").read_text(), re.MULTILINE))
    problems = []
    for name in [name for name in environ if name.startswith("UWSGI_")]:
        option = name.removeprefix("UWSGI_").lower().replace("_", "-")
        setting = fixed.get(option)
        use = UWSGI_SUCCESSORS.get("cheap" if option.startswith("cheaper") else option, "")
        use = f"use the setting {setting}" if setting in Settings.model_fields else use
        if option in fixed:
            problems.append(f"{name} has no effect: uwsgi.ini sets {option}" + (f"; {use}" if use else ""))
        elif use:
            problems.append(f"{name} is not supported: {use}")
        elif option not in _uwsgi_options():
            settings = [each for field in Settings.model_fields for each in names(field)]
            meant = get_close_matches(name.removeprefix("UWSGI_"), settings, 1)
            hint = f"; did you mean the setting {meant[0]}?" if meant else ""
            problems.append(f"{name} is not an option of uWSGI{hint}")
    return problems


def preload_problems(environ: Mapping[str, str], settings: Settings) -> list[str]:
    """Return the problems of variables that start uWSGI's mules or spooler, which lack the app's functions then."""
    given = [name for name in environ if re.fullmatch("UWSGI_(MULES|FARM|SPOOLER.*)", name)]
    reason = f"otherwise only uWSGI's workers load the app. Or use a process type in {procfile.PATH}"
    return [] if settings.PRELOAD is True else [f"{name} needs PRELOAD=on: {reason}" for name in given]


def tiangolo_problems(environ: Mapping[str, str], settings: Settings) -> list[str]:
    """Return what an image of tiangolo/uwsgi-nginx or tiangolo/uwsgi-nginx-flask has and this container ignores."""
    problems = [f"{name} is not supported: {use}" for name, use in NGINX_VARIABLES.items() if environ.get(name)]
    options = APP / "uwsgi.ini"
    if settings.APP == "auto" and options.exists() and not (APP / "routes.py").exists():
        text = options.read_text(errors="replace")
        given = dict(re.findall(r"^\s*(module|callable)\s*=\s*(\S+)", text, re.MULTILINE))
        module, _, name = given.get("module", "main").partition(":")
        app = f"{module}:{name or given.get('callable', 'application')}"
        problems.append(f"{options} is not read: set APP={app}, and UWSGI_* variables for other options")
    if any(NGINX_FOLDER.glob("*.conf")):
        problems.append(
            f"{NGINX_FOLDER} is not read: move its files into {APP}/nginx-http.conf or {APP}/nginx-server.conf"
        )
    return problems


@functools.cache
def _uwsgi_options() -> set[str]:
    text = subprocess.run([UWSGI, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--([a-z0-9-]+)", text))


def ignored_settings(settings: Settings) -> list[str]:
    """Return the error pages that the app lacks beside its own, and the settings that its own nginx.conf ignores."""
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
    if "/tmp/uwsgi.sock" in files.nginx_text():  # noqa: S108 - tiangolo's images
        problems.append("the app's own nginx.conf must use unix:/run/uwsgi.sock: uWSGI listens there")
    return problems


def nginx_problem() -> list[str]:
    """Return the errors of `nginx -t` with file and line, if the app has its own configuration files for Nginx."""
    if not any(APP.glob("nginx*.conf")):
        return []
    command = ["/usr/sbin/nginx", "-t", "-q", "-e", "stderr", "-c", str(RUN / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True)
    problems = re.findall(r"\[(?:emerg|crit|alert|error)\] (?:\S+ )?(.*)", done.stderr) if done.returncode else []
    return problems or ([done.stderr] if done.returncode else [])


def port_problem(name: str, port: int) -> list[str]:
    """Return the problem if the port cannot be opened. Nginx itself would retry for seconds and then exit."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            reason = {
                errno.EACCES: f"the container's user may not open it here; set {name} to 1024 or above, "
                "or start the container with --sysctl net.ipv4.ip_unprivileged_port_start=0",
                errno.EADDRINUSE: f"another program uses this port; set another {name}",
            }.get(error.errno or 0, str(error))
            return [f"{name} is {port}: {reason}"]
    return []
