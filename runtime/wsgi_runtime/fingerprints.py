"""Fingerprinted names of static files: browsers may cache what can't change under its name.

When the image is built, runtime/build/fingerprint gives each file a fingerprinted name, and writes the list of these
names into the folder. Where there is a list, Flask's url_for("static", filename=...) returns the names in it.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

LIST = ".assets.json"


def use_fingerprints(app: Any) -> None:
    """Make a Flask app's url_for("static", ...) return fingerprinted names, for the files that have one."""
    names_file = Path(app.static_folder or "", LIST)
    if names_file.is_file():
        names = json.loads(names_file.read_text())

        def with_fingerprint(endpoint: str, values: dict[str, Any]) -> None:
            if endpoint == "static":
                values["filename"] = names.get(values.get("filename"), values.get("filename"))

        with suppress(AssertionError):  # an app that has served a request already, to warm up, takes no hook
            app.url_defaults(with_fingerprint)
