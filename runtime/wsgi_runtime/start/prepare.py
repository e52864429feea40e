"""Checks and preparations before a program starts: values for `auto`, rendered configuration files, free ports."""

import errno
import functools
import json
import math
import os
import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from wsgi_runtime import APP, CONFIG, METRICS, RUN, environment
from wsgi_runtime import values as values_file
from wsgi_runtime.policy import sources
from wsgi_runtime.start import limits, nginx_memory
from wsgi_runtime.start.settings import Settings

USER, GROUP = 10001, 0
"""Who serves. The same as the Dockerfile's USER."""

NGINX_PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")

FILES = (
    *("nginx/admin.conf", "nginx/cache.conf", "nginx/client.conf", "nginx/headers.conf", "nginx/log.conf"),
    *("nginx/tls.conf", "nginx/uwsgi_params"),
)
"""What nginx.conf includes of ours."""

PLACEHOLDERS = {
    "nginx.conf": NGINX_PLACEHOLDER,
    **dict.fromkeys(FILES, NGINX_PLACEHOLDER),
    "uwsgi.ini": re.compile(r"\$\(([A-Za-z_]\w*)\)"),
    "supervisord.ini": re.compile(r"%\(ENV_([^)]*)\)s"),
}
"""How each program's file names a value. The files of Nginx and uWSGI are rendered to /run."""

FRONT = (
    *("MAX_BODY_SIZE", "STATIC_URL", "STATIC_PATH", "STATIC_INDEX", "TRUSTED_PROXIES", "RATE_LIMIT", "CACHE", "CSP"),
    *("TLS_CERT", "TLS_KEY", "HTTPS_PORT", "ACCESS_LOG", "ADMIN_PORT"),
)
"""Settings that only nginx.conf can heed; what it names for them begins with the setting's name."""

PROCESS_BYTES = 96 << 20
"""Memory that PROCESSES=auto plans for each uWSGI process."""

POLICIES = {
    "off": "",
    "minimal": "object-src 'none'; base-uri 'self'$frame_ancestors",
    "strict": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'"
    "$frame_ancestors",
}
"""Values of CSP that are names; $frame_ancestors is nginx's (nginx/headers.conf)."""

FRAME_OPTIONS = dict.fromkeys(("minimal", "strict"), "SAMEORIGIN")
"""X-Frame-Options that says the same as the policy, for old browsers."""

OTHER_BYTES = 64 << 20
"""Memory that WORKER_MEMORY=auto leaves to Nginx, PID 1 and uWSGI's master."""

MIN_GROWTH_MEGABYTES = 16
"""The lowest value of WORKER_MEMORY=auto."""

MAX_FILES = 65536
"""Programs loop over or allocate for as many files as they may open: a limit of 10^9 is none."""


def values(settings: Settings, limit: limits.Limits) -> dict[str, str]:
    """What the configuration files may name: each setting, `auto` computed, and what follows from the machine."""
    named = settings.values()
    if settings.PROCESSES == "auto":
        named["PROCESSES"] = str(max(1, min(math.ceil(limit.cpus), limit.memory // PROCESS_BYTES)))
    if settings.WORKER_MEMORY == "auto":
        # While one uWSGI replaces another, there are twice as many workers.
        growth = (limit.memory * 8 // 10 - OTHER_BYTES) // (2 * int(named["PROCESSES"])) >> 20
        named["WORKER_MEMORY"] = "0" if limit.memory_from == "the machine" else str(max(MIN_GROWTH_MEGABYTES, growth))
    if not settings.ADMIN_PORT or "nginx/admin.conf" not in _front():
        named["ADMIN_PORT"] = "0"
    files = _raise_file_limit()
    ipv6 = "[::]" if _has_ipv6() else "127.0.0.1"
    proxies = settings.TRUSTED_PROXIES.split()
    errors = APP / "errors" if (APP / "errors").is_dir() else CONFIG / "errors"
    page = errors / "error.html"
    rate = re.match(r"\d+", settings.RATE_LIMIT)
    return named | {
        "PORTS": " ".join(named[name] for name in ports(named)),
        "CONCURRENCY": "greenlets" if settings.GREENLETS else "threads",
        "MAX_FILES": str(files),
        # nginx's info is what clients do: they close connections, say.
        "NGINX_LOG_LEVEL": {"debug": "info", "info": "warn", "warning": "warn", "critical": "crit"}.get(
            settings.LOG_LEVEL, settings.LOG_LEVEL
        ),
        # uWSGI refuses a longer queue than the kernel's.
        "LISTEN_BACKLOG": Path("/proc/sys/net/core/somaxconn").read_text().strip(),
        # Without IPv6 nginx, which wants an address there, gets one that the other includes.
        "LISTEN_IPV6": f"{ipv6}:{settings.PORT}",
        "ADMIN_IPV6": f"{ipv6}:{settings.ADMIN_PORT}",
        "HTTPS_PORT_IPV6": f"{ipv6}:{settings.HTTPS_PORT}",
        "HTTPS_PORT_IF_ODD": "" if settings.HTTPS_PORT == 443 else f":{settings.HTTPS_PORT}",
        "TRUSTED_PROXIES_GEO": " ".join(f"{network} 1;" for network in proxies),
        "TRUSTED_PROXIES_REALIP": " ".join(f"set_real_ip_from {network};" for network in proxies),
        # An empty key is not counted.
        "RATE_LIMIT_KEY": "$client_network" if rate else '""',
        "RATE_LIMIT_RATE": settings.RATE_LIMIT if rate else "1r/s",
        "RATE_LIMIT_BURST": rate[0] if rate else "1",
        "CSP_POLICY": POLICIES.get(settings.CSP, settings.CSP),
        "FRAME_OPTIONS": FRAME_OPTIONS.get(settings.CSP, ""),
        **nginx_memory.sizes(
            limit.memory,
            limit.memory_from != "the machine",
            math.ceil(limit.cpus),
            files,
            settings.max_body_bytes,
            nginx_memory.spool(),
        ),
        "ERROR_PAGES": str(errors),
        "ERROR_STYLES": "".join(f" {source}" for source in sources(page.read_text() if page.exists() else "", "style")),
    }


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


def unknown_placeholders(named: dict[str, str], app_environ: Mapping[str, str]) -> list[str]:
    """Return the problems of the configuration files: names in them that have no value."""
    known = {
        "uwsgi.ini": named.keys() | app_environ.keys(),  # uWSGI replaces the variables of its environment
        "supervisord.ini": named.keys() | os.environ.keys(),
    }
    problems = []
    for file, pattern in PLACEHOLDERS.items():
        text = _source(file).read_text() if _wanted(file, named) else ""
        for name in sorted(set(pattern.findall(text)) - known.get(file, named.keys())):
            problems.append(f"{file} names {name}, which has no value: it is not a setting, or not set")
    return problems


def ignored_settings(settings: Settings) -> list[str]:
    """Return what the app's own error pages lack, and the settings that its own nginx.conf ignores."""
    pages = [APP / "errors" / name for name in ("error.html", "error.json")]
    missing = [f"there is no {page}, but other error pages" for page in pages if not page.exists()]
    if missing and pages[0].parent.is_dir():
        return missing
    if not (APP / "nginx.conf").exists():
        return []
    heeded = "\n".join(NGINX_PLACEHOLDER.findall(_front()))
    problems = [
        f"{name} has no effect: the app's own nginx.conf doesn't name it"
        for name in FRONT
        if name in settings.model_fields_set and not re.search(rf"^{name}(_|$)", heeded, re.MULTILINE)
    ]
    if not re.search("^PORT$", heeded, re.MULTILINE):
        problems.append("the app's own nginx.conf has to listen on ${PORT}: the container holds that socket")
    return problems


def _source(file: str) -> Path:
    """Where a configuration file comes from: the app may bring an nginx.conf of its own."""
    own = APP / "nginx.conf"
    return own if file == "nginx.conf" and own.exists() else CONFIG / file


def _front() -> str:
    """nginx.conf, and those of the files beside it that it includes."""
    text = _source("nginx.conf").read_text()
    return text + "".join(_source(file).read_text() for file in FILES if file in text)


def _wanted(file: str, named: dict[str, str]) -> bool:
    wanted = {
        "nginx/tls.conf": "TLS_CERT" in named,
        "nginx/admin.conf": named["ADMIN_PORT"] != "0",
        "nginx/cache.conf": named["CACHE"] == "1",
    }
    return wanted.get(file, True)


def ports(named: dict[str, str]) -> list[str]:
    """The settings that name a port which is listened on."""
    tls = ["HTTPS_PORT"] if "TLS_CERT" in named else []
    return ["PORT", *tls, *(["ADMIN_PORT"] if named["ADMIN_PORT"] != "0" else [])]


def render(settings: Settings, named: dict[str, str]) -> list[str]:
    """Write to /run what the programs read. Return the problem if that fails, for example when /run is full."""
    try:
        _render(settings, named)
    except OSError as error:
        return [f"{error.filename or RUN} cannot be written: {error.strerror}"]
    return []


def _render(settings: Settings, named: dict[str, str]) -> None:
    # A container that starts again has the files of its last run. nginx -t would wait for a reader of the FIFO.
    for name in "stopping", "metrics.fifo":
        (RUN / name).unlink(missing_ok=True)
    (RUN / "nginx").mkdir(exist_ok=True)
    for file, pattern in PLACEHOLDERS.items():
        if file == "supervisord.ini":
            continue
        (RUN / file).unlink(missing_ok=True)
        if _wanted(file, named):
            # uWSGI replaces variables of its environment itself, so other names stay as they are.
            text = pattern.sub(lambda match: named.get(match[1], match[0]), _source(file).read_text())
            (RUN / file).write_text(text)
    shutil.rmtree(named["CACHE_PATH"], ignore_errors=True)
    (RUN / "health").write_text(f"{named['PORT']}{named['HEALTH_PATH']}")
    for folder in METRICS, environment.PROFILE_SECRETS:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    for name, text in settings.profile_secrets().items():
        (environment.PROFILE_SECRETS / name).write_text(text)
    (RUN / "settings.json").write_text(json.dumps(settings.report(named)))
    values_file.write(named)


def nginx_problem() -> list[str]:
    """What nginx says of the rendered files, if the app added to them; it names the file and the line."""
    if not any(APP.glob("nginx*.conf")):
        return []
    command = ["nginx", "-t", "-q", "-e", "stderr", "-c", str(RUN / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True)
    problems = re.findall(r"\[(?:emerg|crit|alert|error)\] (?:\S+ )?(.*)", done.stderr) if done.returncode else []
    return problems or ([done.stderr] if done.returncode else [])


def port_problem(name: str, port: int) -> list[str]:
    """Why nginx would not get its port; trying it here gives one clear error instead of nginx's retries."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            mend = {
                errno.EACCES: f"only root may use it here; give a {name} from 1024 on",
                errno.EADDRINUSE: f"another program has it; give another {name}",
            }.get(error.errno or 0, str(error))
            return [f"{name} is {port}: {mend}"]
    return []


def _raise_file_limit() -> int:
    """Lets the programs open as many files as they are allowed to, within reason; returns how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return files


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
