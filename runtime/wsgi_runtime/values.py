"""Values that the configuration files may name, computed once at startup and read by every later program.

They are kept in a file and not in the environment, because the app's environment belongs to the app.
"""

import json

from wsgi_runtime import RUN

FILE = RUN / "values.json"


def write(values: dict[str, str]) -> None:
    """Stores the values; secrets must not be among them. Raises OSError if the file can't be written."""
    FILE.write_text(json.dumps(values))


def read() -> dict[str, str]:
    """Return the values that startup has stored."""
    values: dict[str, str] = json.loads(FILE.read_text())
    return values
