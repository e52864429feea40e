"""Names with a hash of the content for static files: browsers may keep what can't change under its name.

When the image is built, `python -m wsgi_runtime.build.assets FOLDER` puts such a copy beside each file, and a list of them into
the folder. Where there is a list, Flask's url_for("static", filename=...) gives the names in it.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

LIST = ".assets.json"


def name_by_content(app: Any) -> None:
    """Makes a Flask app's url_for("static", ...) give the names with a hash, for the files that have one."""
    names_file = Path(app.static_folder or "", LIST)
    if names_file.is_file():
        names = json.loads(names_file.read_text())

        @app.url_defaults  # type: ignore[untyped-decorator]
        def with_hash(endpoint: str, values: dict[str, Any]) -> None:
            if endpoint == "static":
                values["filename"] = names.get(values.get("filename"), values.get("filename"))


def make_copies(folder: Path) -> None:
    """Puts a copy beside each file of the folder that is not hidden, and the list; a copy is a hard link."""
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
