"""Values for the configuration files and the programs: the settings, and what startup has computed from them.

They are in a file, because the environment belongs to the app.
"""

import json

from wsgi_runtime import RUN

FILE = RUN / "values.json"


def write(values: dict[str, str]) -> None:
    """Store the values; secrets must not be among them. Raises OSError if the file cannot be written."""
    FILE.write_text(json.dumps(values))


def read() -> dict[str, str]:
    """Return the values that startup has stored."""
    values: dict[str, str] = json.loads(FILE.read_text())
    return values
