"""Values that the configuration files may name: the settings, with `auto` computed, and values of this machine."""

import math
import re
import resource
import socket
from pathlib import Path

from wsgi_runtime import APP, CONFIG
from wsgi_runtime.policy import sources
from wsgi_runtime.procfile import WEB
from wsgi_runtime.start import files, formation, limits, nginx_memory
from wsgi_runtime.start.settings import Settings

PROCESS_BYTES = 96 << 20
"""Memory that the automatic number of uWSGI processes plans for each process of any type."""

OTHER_BYTES = 64 << 20
"""Memory that WORKER_MEMORY=auto reserves for Nginx, PID 1 and uWSGI's master."""

MIN_GROWTH_MEGABYTES = 16
"""Lowest value of WORKER_MEMORY=auto."""

DEBUGPY_REQUEST_TIMEOUT = "86400"
"""REQUEST_TIMEOUT in seconds if there is a debugger: a request may stop at a breakpoint."""

MAX_FILES = 65536
"""Upper bound of the limit of open files. Programs loop over all of them, or allocate memory for each."""


def values(settings: Settings, limit: limits.Limits) -> dict[str, str]:
    """Return the values by name, as text. Raises the limit of open files of this process."""
    named = settings.values()
    types = formation.parse(settings.PROCESSES)
    others = sum(count for name, count in types.items() if name != WEB)
    types[WEB] = types[WEB] or max(1, min(math.ceil(limit.cpus), limit.memory // PROCESS_BYTES - others))
    named["PROCESSES"] = formation.join(types)
    if settings.WORKER_MEMORY == "auto":
        # While one uWSGI replaces another, there are twice as many workers.
        growth = (limit.memory * 8 // 10 - OTHER_BYTES - others * PROCESS_BYTES) // (2 * types[WEB]) >> 20
        named["WORKER_MEMORY"] = "0" if limit.memory_from == "the machine" else str(max(MIN_GROWTH_MEGABYTES, growth))
    if not settings.ADMIN_PORT or "${ADMIN_PORT}" not in files.nginx_text():
        named["ADMIN_PORT"] = "0"
    if settings.DEBUGPY:
        named["REQUEST_TIMEOUT"] = DEBUGPY_REQUEST_TIMEOUT
    max_files = _raise_file_limit()
    ipv6 = "[::]" if _has_ipv6() else "127.0.0.1"
    proxies = settings.TRUSTED_PROXIES.split()
    errors = APP / "errors" if (APP / "errors").is_dir() else CONFIG / "nginx/errors"
    page = errors / "error.html"
    rate = re.match(r"\d+", settings.RATE_LIMIT)
    return named | {
        # Nginx and the health check use the paths that clients ask for.
        "STATIC_URL": settings.URL_PREFIX + settings.STATIC_URL,
        "HEALTH_PATH": settings.URL_PREFIX + settings.HEALTH_PATH,
        "WEB_PROCESSES": str(types[WEB]),
        "PROCESS_TYPES": " ".join(name for name in types if name != WEB),
        "LOADING": "preload" if settings.PRELOAD else "lazy",
        "PORTS": " ".join(named[name] for name in ports(named)),
        # In development, an edit of a static file is served at once.
        "OPEN_FILE_CACHE": "off" if settings.DEBUG else "max=1000",
        "CONCURRENCY": "greenlets" if settings.GREENLETS else "threads",
        "MAX_FILES": str(max_files),
        "MEMORY_LIMIT": "0" if limit.memory_from == "the machine" else str(limit.memory),
        # At its level info, Nginx logs clients that close their connection.
        "NGINX_LOG_LEVEL": {"debug": "info", "info": "warn", "warning": "warn", "critical": "crit"}.get(
            settings.LOG_LEVEL, settings.LOG_LEVEL
        ),
        # uWSGI exits if its queue is longer than the kernel's limit.
        "LISTEN_BACKLOG": Path("/proc/sys/net/core/somaxconn").read_text().strip(),
        # Without IPv6, nginx.conf still needs a second address. The first includes 127.0.0.1.
        "LISTEN_IPV6": f"{ipv6}:{settings.PORT}",
        "ADMIN_IPV6": f"{ipv6}:{settings.ADMIN_PORT}",
        "HTTPS_PORT_IPV6": f"{ipv6}:{settings.HTTPS_PORT}",
        "TRUSTED_PROXIES_GEO": " ".join(f"{network} 1;" for network in proxies),
        "TRUSTED_PROXIES_REALIP": " ".join(f"set_real_ip_from {network};" for network in proxies),
        # Nginx requires a rate also if nothing is limited.
        "RATE_LIMIT_RATE": settings.RATE_LIMIT if rate else "1r/s",
        "RATE_LIMIT_BURST": rate[0] if rate else "1",
        **nginx_memory.sizes(
            limit.memory,
            limit.memory_from != "the machine",
            settings.TLS_CERT is not None,
            math.ceil(limit.cpus),
            max_files,
            settings.max_body_bytes,
            nginx_memory.spool(),
        ),
        "ERROR_PAGES": str(errors),
        "ERROR_STYLES": "".join(f" {source}" for source in sources(page.read_text() if page.exists() else "", "style")),
    }


def ports(named: dict[str, str]) -> list[str]:
    """Return the names of the settings whose ports Nginx listens on."""
    tls = ["HTTPS_PORT"] if "TLS_CERT" in named else []
    return ["PORT", *tls, *(["ADMIN_PORT"] if named["ADMIN_PORT"] != "0" else [])]


def _raise_file_limit() -> int:
    """Raise the limit of open files as far as the hard limit and MAX_FILES allow. Return the new limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
