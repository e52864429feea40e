"""Configuration of gunicorn and Nginx Unit, which this container does not read: warnings that name what replaces it."""

from collections.abc import Mapping
from pathlib import Path

from wsgi_runtime import APP

GUNICORN_CONFIG = APP / "gunicorn.conf.py"
UNIT_FOLDER = Path("/docker-entrypoint.d")
"""The image of Nginx Unit loads the configuration that it finds here."""

SETTINGS = "use the settings APP, PROCESSES, THREADS, REQUEST_TIMEOUT, MAX_REQUESTS, PORT and TRUSTED_PROXIES"


def warnings(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable, file or folder that another server reads and this container ignores."""
    found = {
        "GUNICORN_CMD_ARGS": environ.get("GUNICORN_CMD_ARGS"),
        str(GUNICORN_CONFIG): GUNICORN_CONFIG.exists(),
        str(UNIT_FOLDER): any(UNIT_FOLDER.glob("*.json")),
    }
    return [f"{name} is not read: {SETTINGS}" for name, present in found.items() if present]
