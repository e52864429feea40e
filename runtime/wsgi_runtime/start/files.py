"""Configuration files: where they come from, which values they name, and how they are rendered to /run."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from wsgi_runtime import APP, CONFIG, METRICS, RUN, environment
from wsgi_runtime import values as values_file
from wsgi_runtime.start import report
from wsgi_runtime.start.settings import Settings

NGINX_PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")

FILES = (
    *("nginx/admin.conf", "nginx/cache.conf", "nginx/client.conf", "nginx/headers.conf", "nginx/log.conf"),
    *("nginx/prefix.conf", "nginx/tls.conf", "nginx/uwsgi_params"),
)
"""Files that nginx.conf includes."""

PLACEHOLDERS = {
    "nginx.conf": NGINX_PLACEHOLDER,
    **dict.fromkeys(FILES, NGINX_PLACEHOLDER),
    "uwsgi.ini": re.compile(r"\$\(([A-Za-z_]\w*)\)"),
    "supervisord.ini": re.compile(r"%\(ENV_([^)]*)\)s"),
}
"""Configuration files, and how each names a value. Those of Nginx and uWSGI are rendered to /run."""


def source(file: str) -> Path:
    """Return the path of a configuration file before it is rendered. The app may have its own nginx.conf."""
    own = APP / "nginx.conf"
    return own if file == "nginx.conf" and own.exists() else CONFIG / file


def nginx_text() -> str:
    """Return the text of nginx.conf and of the container's files that it includes."""
    text = source("nginx.conf").read_text()
    return text + "".join(source(file).read_text() for file in FILES if file in text)


def wanted(file: str, named: dict[str, str]) -> bool:
    """Return whether the settings ask for a configuration file."""
    conditions = {
        "nginx/prefix.conf": named["URL_PREFIX"] != "",
        "nginx/tls.conf": "TLS_CERT" in named,
        "nginx/admin.conf": named["ADMIN_PORT"] != "0",
        "nginx/cache.conf": named["CACHE"] == "1",
    }
    return conditions.get(file, True)


def unknown_placeholders(named: dict[str, str], app_environ: Mapping[str, str]) -> list[str]:
    """Return the problems of the configuration files: names in them that have no value."""
    known = {
        "uwsgi.ini": named.keys() | app_environ.keys(),  # uWSGI replaces the variables of its environment
        "supervisord.ini": named.keys() | os.environ.keys(),
    }
    problems = []
    for file, pattern in PLACEHOLDERS.items():
        text = source(file).read_text() if wanted(file, named) else ""
        for name in sorted(set(pattern.findall(text)) - known.get(file, named.keys())):
            problems.append(f"{file} names {name}, which has no value: it is not a setting, or not set")
    return problems


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
        if wanted(file, named):
            # uWSGI replaces variables of its environment itself, so other names stay as they are.
            text = pattern.sub(lambda match: named.get(match[1], match[0]), source(file).read_text())
            (RUN / file).write_text(text)
    shutil.rmtree(named["CACHE_PATH"], ignore_errors=True)
    (RUN / "health").write_text(f"{named['PORT']}{named['HEALTH_PATH']}")
    for folder in METRICS, environment.PROFILE_SECRETS:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    for name, text in settings.profile_secrets().items():
        (environment.PROFILE_SECRETS / name).write_text(text)
    (RUN / "settings.json").write_text(json.dumps(report.report(settings, named)))
    values_file.write(named)
