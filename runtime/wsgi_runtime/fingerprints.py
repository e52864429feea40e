"""Fingerprinted names of static files: browsers may cache what can't change under its name.

When the image is built, `python -m wsgi_runtime.fingerprints FOLDER` puts a fingerprinted copy beside each file, and a
list of them into the folder. Where there is a list, Flask's url_for("static", filename=...) returns the names in it.
"""

import json
import os
import sys
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


def make_copies(folder: Path) -> None:
    """Put a copy beside each file of the folder that is not hidden, and the list; a copy is a hard link."""
    import hashlib  # no worker needs it

    names = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            copy = path.with_name(f"{path.stem}.{digest}{path.suffix}")
            os.link(path, copy)
            names[str(relative)] = str(copy.relative_to(folder))
    (folder / LIST).write_text(json.dumps(names))


if __name__ == "__main__":
    make_copies(Path(sys.argv[1]))
