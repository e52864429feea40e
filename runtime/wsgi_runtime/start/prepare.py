"""Everything that has to be right before anything starts: values for `auto`, rendered nginx.conf, a free port."""

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
from pathlib import Path

from wsgi_runtime import APP, CONFIG, METRICS, RUN
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
    "uwsgi.ini": re.compile(r"\$\(([^)]*)\)"),
    "supervisord.ini": re.compile(r"%\(ENV_([^)]*)\)s"),
}
"""How each program's file names a value. nginx doesn't read the environment, so its files are rendered."""

FRONT = (
    *("MAX_BODY_SIZE", "STATIC_URL", "STATIC_PATH", "STATIC_INDEX", "TRUSTED_PROXIES", "RATE_LIMIT", "CACHE", "CSP"),
    *("TLS_CERT", "TLS_KEY", "HTTPS_PORT", "ACCESS_LOG", "ADMIN_PORT"),
)
"""Settings that only nginx.conf can heed; what it names for them begins with the setting's name."""

POLICIES = {
    "off": "",
    "minimal": "object-src 'none'; base-uri 'self'$frame_ancestors",
    "strict": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'"
    "$frame_ancestors",
}
"""Values of CSP that are names; $frame_ancestors is nginx's (nginx/headers.conf)."""

FRAME_OPTIONS = dict.fromkeys(("minimal", "strict"), "SAMEORIGIN")
"""X-Frame-Options that says the same as the policy, for old browsers."""

WORKER_BYTES = 64 << 20
"""What a uWSGI process may need; `auto` puts no more of them into the memory."""

FRONT_BYTES = 32 << 20
"""What nginx, supervisord and uWSGI's master take of the memory."""

MAX_FILES = 65536
"""Programs loop over or allocate for as many files as they may open: a limit of 10^9 is none."""

# What Kubernetes puts into the environment for a service that is named uwsgi.
KUBERNETES = re.compile(r"UWSGI_(SERVICE_(HOST|PORT.*)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")


def values(settings: Settings, limit: limits.Limits) -> dict[str, str]:
    """What the configuration files may name: each setting, `auto` computed, and what follows from the machine."""
    named = settings.values()
    if settings.WEB_CONCURRENCY == "auto":
        fitting = max(1, limit.memory // WORKER_BYTES)
        named["WEB_CONCURRENCY"] = str(min(max(2, math.ceil(limit.cpus)), fitting))
    if settings.WORKER_MEMORY == "auto":
        share = (limit.memory * 8 // 10 - FRONT_BYTES) // int(named["WEB_CONCURRENCY"]) >> 20
        named["WORKER_MEMORY"] = "0" if limit.memory_from == "the machine" else str(max(WORKER_BYTES >> 20, share))
    if not settings.ADMIN_PORT or "nginx/admin.conf" not in _front():
        named["ADMIN_PORT"] = "0"
    else:
        named["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS)
    files = _raise_file_limit()
    ipv6 = "[::]" if _has_ipv6() else "127.0.0.1"
    proxies = settings.TRUSTED_PROXIES.split()
    errors = APP / "errors" if (APP / "errors").is_dir() else CONFIG / "errors"
    page = errors / "error.html"
    rate = re.match(r"\d+", settings.RATE_LIMIT)
    return named | {
        "PORTS": " ".join(named[name] for name in ports(named)),
        "FLASK_DEBUG": named["DEBUG"],
        "MAX_FILES": str(files),
        # Workers that began together shall not all be replaced together.
        "MAX_REQUESTS_DELTA": str(settings.MAX_REQUESTS // 10 + 1),
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


def leave_root() -> list[str]:
    """Becomes the image's user if the container was told to run as root; why it can't, if it can't."""
    if os.geteuid() != 0:
        return []
    try:
        os.setgroups([])
        os.setresgid(*[GROUP] * 3)
        os.setresuid(*[USER] * 3)
    except PermissionError:
        return [f"it was started as root, and may not become the user {USER}: leave out --user 0, or --cap-drop"]
    return []


def uwsgi_variables() -> list[str]:
    """Problems of the UWSGI_* variables, which uWSGI takes for its options; drops those that Kubernetes makes."""
    fixed = set(re.findall(r"^([a-z-]+) *=", (CONFIG / "uwsgi.ini").read_text(), re.MULTILINE))
    problems = []
    for name in [name for name in os.environ if name.startswith("UWSGI_")]:
        option = name.removeprefix("UWSGI_").lower().replace("_", "-")
        if KUBERNETES.fullmatch(name):
            del os.environ[name]
        elif option in fixed:
            problems.append(f"{name} has no effect: uwsgi.ini sets {option}")
        elif option not in _uwsgi_options():
            problems.append(f"{name} is not an option of uWSGI")
    return problems


@functools.cache
def _uwsgi_options() -> set[str]:
    text = subprocess.run(["uwsgi", "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--([a-z0-9-]+)", text))


def unknown_placeholders(named: dict[str, str]) -> list[str]:
    """Problems of the configuration files: names in them that have no value."""
    problems = []
    for file, pattern in PLACEHOLDERS.items():
        # uWSGI and supervisor read the whole environment; nginx gets nothing that wasn't checked.
        known = named.keys() if pattern is NGINX_PLACEHOLDER else named.keys() | os.environ.keys()
        text = _source(file).read_text() if _wanted(file, named) else ""
        for name in sorted(set(pattern.findall(text)) - known):
            problems.append(f"{file} names {name}, which has no value: it is not a setting, or not set")
    return problems


def unheeded(settings: Settings) -> list[str]:
    """What the app's own error pages lack, and which settings its own nginx.conf makes void, if it has them."""
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


def render(settings: Settings, named: dict[str, str]) -> None:
    """Writes nginx's files with the values in them, what the health check asks, and what the status page shows."""
    # Left over where a container is started again. For a reader of the fifo nginx -t would wait.
    for name in "stopping", "metrics.fifo":
        (RUN / name).unlink(missing_ok=True)
    (RUN / "nginx").mkdir(exist_ok=True)
    for file, pattern in PLACEHOLDERS.items():
        if pattern is NGINX_PLACEHOLDER:
            (RUN / file).unlink(missing_ok=True)
            if _wanted(file, named):
                text = pattern.sub(lambda match: named[match[1]], _source(file).read_text())
                (RUN / file).write_text(text)
    shutil.rmtree(named["CACHE_PATH"], ignore_errors=True)
    (RUN / "health").write_text(f"{named['PORT']}{named['HEALTH_PATH']}")
    shutil.rmtree(METRICS, ignore_errors=True)
    METRICS.mkdir()
    (RUN / "settings.json").write_text(json.dumps(settings.report(named)))


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
