"""Configuration files: their templates, the values that these name, and rendering to /run."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from wsgi_runtime import APP, CONFIG, HEALTH, METRICS, RUN, environment
from wsgi_runtime import values as values_file
from wsgi_runtime.start import formation, report
from wsgi_runtime.start.settings import Settings

NGINX_PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
UWSGI_PLACEHOLDER = re.compile(r"\$\(([A-Za-z_]\w*)\)")
SUPERVISOR_PLACEHOLDER = re.compile(r"%\(ENV_([^)]*)\)s")


def nginx_files() -> list[str]:
    """Return the names of the container's files that nginx.conf may include, such as nginx/http.d/log.conf."""
    paths = CONFIG / "nginx/uwsgi_params", *CONFIG.glob("nginx/*.d/*.conf")
    return sorted(str(path.relative_to(CONFIG)) for path in paths)


def optional_files(named: dict[str, str]) -> dict[str, bool]:
    """Return for each optional file of nginx/*.d whether the values ask for it."""
    return {
        "admin.conf": named["ADMIN_PORT"] != "0",
        "cache.conf": named["CACHE"] == "1",
        "prefix.conf": named["URL_PREFIX"] != "",
        "tls.conf": {"TLS_CERT", "TLS_KEY"} <= named.keys(),
    }


def templates(named: dict[str, str]) -> dict[str, tuple[str, re.Pattern[str]]]:
    """Return text and placeholder of each configuration file that the values ask for, by name."""
    optional = optional_files(named)
    nginx = ["nginx.conf", *(file for file in nginx_files() if optional.get(Path(file).name, True))]
    placeholders = dict.fromkeys(nginx, NGINX_PLACEHOLDER)
    placeholders |= {"uwsgi.ini": UWSGI_PLACEHOLDER, "supervisord.ini": SUPERVISOR_PLACEHOLDER}
    return {file: (source(file).read_text(), pattern) for file, pattern in placeholders.items()}


def source(file: str) -> Path:
    """Return the path of a configuration file before it is rendered. The app may have its own nginx.conf."""
    own = APP / "nginx.conf"
    return own if file == "nginx.conf" and own.exists() else CONFIG / file


def nginx_text() -> str:
    """Return the text of nginx.conf and of the container's files that it includes."""
    text = source("nginx.conf").read_text()
    included = re.findall(r"\binclude\s+(nginx/[^\s;]+)", text)
    files = [file for file in nginx_files() if any(fnmatch(file, pattern) for pattern in included)]
    return text + "".join(source(file).read_text() for file in files)


def unknown_placeholders(named: dict[str, str], app_environ: Mapping[str, str]) -> list[str]:
    """Return the problems of the configuration files: placeholders that have no value."""
    known = {
        "uwsgi.ini": named.keys() | app_environ.keys(),  # uWSGI replaces the variables of its environment
        "supervisord.ini": named.keys() | os.environ.keys(),
    }
    return [
        f"{file} names {name}, which has no value: it is not a setting, or not set"
        for file, (text, placeholder) in templates(named).items()
        for name in sorted(set(placeholder.findall(text)) - known.get(file, named.keys()))
    ]


def render(settings: Settings, named: dict[str, str]) -> list[str]:
    """Write the files that the programs read to /run. Return the problem if that fails, for example if /run is full."""
    try:
        _render(settings, named)
    except OSError as error:
        return [f"{error.filename or RUN} cannot be written: {error.strerror}"]
    return []


def _render(settings: Settings, named: dict[str, str]) -> None:
    # A restarted container has the files of its last run. `nginx -t` would wait for a reader of the FIFO.
    for name in "stopping", "metrics.fifo":
        (RUN / name).unlink(missing_ok=True)
    shutil.rmtree(RUN / "nginx", ignore_errors=True)
    for file, (text, placeholder) in templates(named).items():
        if file == "supervisord.ini":
            continue  # supervisor reads the template itself
        target = RUN / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        # uWSGI replaces the variables of its environment itself: unknown names stay.
        target.write_text(placeholder.sub(lambda match: named.get(match[1], match[0]), text))
    (RUN / "process-types.ini").write_text(formation.programs(named["PROCESSES"]))
    shutil.rmtree(named["CACHE_PATH"], ignore_errors=True)
    HEALTH.write_text(f"{named['PORT']}{named['HEALTH_PATH']}")
    for folder in METRICS, environment.PROFILE_SECRETS:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    for name, text in settings.profile_secrets().items():
        (environment.PROFILE_SECRETS / name).write_text(text)
    (RUN / "settings.json").write_text(json.dumps(report.report(settings, named)))
    values_file.write(named)
